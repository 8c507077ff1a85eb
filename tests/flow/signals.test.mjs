// A stage that waits for an answer from outside gets it exactly once, or runs out of time.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { finished } from '../lib/orders.mjs';
import { ofType, onHold, placeScripted, send, startScripted, stageIs, types, when } from '../lib/scripted.mjs';

let s;

before(async () => { s = await startScripted({ one: {}, two: { timeout: '1s' }, three: {} }); });
after(async () => assert.equal(await s.stop(), 0));

const signal = (id, body, key, stage = 'two') => send(s, `/orders/${id}/signals/${stage}`, body,
  key ? { 'Idempotency-Key': key } : {});

async function waiting(script = { two: 'w' }) {
  const id = await placeScripted(s, script);
  await stageIs(s, id, 'two', 'waiting');
  return id;
}

test('the_answer_goes_to_the_stage_and_the_order_goes_on', async () => {
  const id = await waiting();
  const answer = await signal(id, { approved: true, by: 'Zoë' });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  const whole = await finished(s, id);
  assert.equal(whole.order.status, 'completed');
  assert.deepEqual(types(whole).slice(1, 5), ['one_done', 'stage_waiting', 'stage_signalled', 'two_done']);
  assert.deepEqual(ofType(whole, 'two_done')[0].metadata, { approved: true, by: 'Zoë' });
});

test('an_answer_sent_again_with_its_key_is_taken_once', async () => {
  const id = await waiting();
  assert.equal((await signal(id, { approved: true }, 'k1')).status, 200);
  assert.equal((await signal(id, { approved: true }, 'k1')).status, 200);
  const whole = await finished(s, id);
  assert.equal((await signal(id, { approved: true }, 'k1')).status, 200, 'when it is completed too');
  assert.equal((await signal(id, { approved: false }, 'k1')).status, 422);
  await s.restart();
  assert.equal((await signal(id, { approved: true }, 'k1')).status, 200, 'after a restart too');
  assert.equal((await signal(id, { approved: false }, 'k1')).status, 422);
  assert.deepEqual((await finished(s, id)).events, whole.events);
  assert.equal(ofType(whole, 'stage_signalled').length, 1);
});

test('an_earlier_answer_that_is_sent_again_is_not_taken_for_the_next_one', async () => {
  const id = await waiting({ two: 'vvvd' });
  for (const n of [1, 2]) {
    assert.equal((await signal(id, { n }, `k${n}`)).status, 200);
    await when(s, id, `wait ${n + 1}`, (whole) => ofType(whole, 'stage_waiting').length === n + 1);
  }
  assert.equal((await signal(id, { n: 1 }, 'k1')).status, 200, 'late, once more');
  assert.equal((await signal(id, { n: 9 }, 'k1')).status, 422);
  await stageIs(s, id, 'two', 'waiting');
  assert.equal((await signal(id, { n: 3 }, 'k3')).status, 200);
  const whole = await finished(s, id);
  assert.deepEqual(ofType(whole, 'stage_signalled').map((e) => e.metadata.n), [1, 2, 3]);
  assert.equal((await signal(id, { n: 1 }, 'k1')).status, 200, 'when it is completed too');
});

test('a_key_that_is_not_visible_ascii_is_refused_and_nothing_is_taken', async () => {
  const id = await waiting();
  for (const key of ['Zo\u00eb', 'a b', 'k'.repeat(256)])
    assert.equal((await signal(id, { approved: true }, key)).status, 400, key);
  await stageIs(s, id, 'two', 'waiting');
  assert.equal((await signal(id, { approved: true }, 'k'.repeat(255))).status, 200);
  assert.equal(ofType(await finished(s, id), 'stage_signalled').length, 1);
});

test('an_undo_that_waits_is_not_given_the_answer_to_the_run', async () => {
  const id = await waiting({ two: 'w', 'undo two': 'w', three: 'f' });
  assert.equal((await signal(id, { approved: true })).status, 200);
  await when(s, id, 'the undo waits', (whole) => ofType(whole, 'stage_waiting').length === 2);
  assert.equal((await signal(id, { paid_back: true })).status, 200);
  const whole = await finished(s, id);
  assert.equal(whole.order.status, 'failed');
  assert.deepEqual(types(whole).slice(1), ['one_done', 'stage_waiting', 'stage_signalled', 'two_done', 'stage_failed',
    'stage_waiting', 'stage_signalled', 'two_undone', 'one_undone', 'order_failed']);
  assert.deepEqual(ofType(whole, 'stage_signalled').map((e) => e.metadata), [{ approved: true }, { paid_back: true }]);
});

test('of_many_answers_at_once_one_is_taken', async () => {
  const id = await waiting();
  const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => signal(id, { n }, `at-once-${n}`)));
  assert.deepEqual(answers.map((a) => a.status).sort(), [200, ...Array(9).fill(409)]);
  assert.equal(ofType(await finished(s, id), 'stage_signalled').length, 1);
});

test('409_for_a_stage_that_does_not_wait', async () => {
  const id = await waiting();
  assert.equal((await signal(id, {}, undefined, 'one')).status, 409);
  assert.equal((await signal(id, {}, undefined, 'three')).status, 409);
  assert.equal((await signal(id, {})).status, 200);
  await finished(s, id);
  assert.equal((await signal(id, {})).status, 409);
});

test('404_for_an_unknown_stage_or_order_and_400_for_what_is_no_object', async () => {
  const id = await waiting();
  assert.equal((await signal(id, {}, undefined, 'nowhere')).status, 404);
  assert.equal((await signal('01890000-0000-7000-8000-000000000000', {})).status, 404);
  assert.equal((await signal(id, [1])).status, 400);
  await signal(id, {});
  await finished(s, id);
});

test('a_deadline_that_passes_counts_as_an_attempt', async () => {
  const whole = await onHold(s, await placeScripted(s, { two: 'W' }));
  const retried = ofType(whole, 'stage_retrying');
  assert.equal(ofType(whole, 'stage_waiting').length, 3);
  assert.deepEqual(retried.map((e) => e.attempt), [1, 2]);
  assert.match(retried[0].message, /no answer came from outside in time/);
  assert.equal((await signal(whole.order.id, {})).status, 409);
});

test('the_deadline_is_kept_over_a_restart', async () => {
  const id = await waiting();
  const had = (await stageIs(s, id, 'two', 'waiting')).order.stages[1].due_at;
  await s.restart();
  assert.equal((await stageIs(s, id, 'two', 'waiting')).order.stages[1].due_at, had);
  assert.equal((await signal(id, { late: true })).status, 200);
  assert.deepEqual(ofType(await finished(s, id), 'two_done')[0].metadata, { late: true });
});

test('a_deadline_that_passed_while_the_daemon_was_down_has_passed', async () => {
  const id = await placeScripted(s, { two: 'Wd' });
  await stageIs(s, id, 'two', 'waiting');
  await s.kill();
  await s.restart();
  const whole = await finished(s, id);
  assert.equal(ofType(whole, 'stage_retrying').length, 1);
});

test('the_timeout_of_an_attempt_does_not_run_while_its_stage_waits', async () => {
  const id = await waiting();
  const due = Date.now() + 1300;
  await when(s, id, 'waiting beyond the timeout', ({ order: o }) => Date.now() > due && o.stages[1].status === 'waiting');
  assert.equal((await signal(id, {})).status, 200);
  assert.equal(ofType(await finished(s, id), 'stage_retrying').length, 0);
});

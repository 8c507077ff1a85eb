// A person cancels: what runs is waited for, what is done is undone, and the order ends cancelled.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { finished, look } from '../lib/orders.mjs';
import { ofType, onHold, placeScripted, send, startScripted, stageIs, stageOf, types } from '../lib/scripted.mjs';
import { until } from '../lib/until.mjs';

let s;

before(async () => { s = await startScripted({ one: {}, two: { timeout: '1500ms' }, three: {} }); });
after(async () => assert.equal(await s.stop(), 0));

const cancel = (id, body = { reason: 'changed my mind' }) => send(s, `/orders/${id}/cancel`, body);

async function cancelled(id) {
  const answer = await cancel(id);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.equal(answer.body.order.id, id);
  const whole = await finished(s, id);
  assert.equal(whole.order.status, 'cancelled');
  const [asked] = ofType(whole, 'cancel_requested');
  assert.equal(asked.reason, 'changed my mind');
  assert.equal(types(whole).at(-1), 'order_cancelled');
  return whole;
}

test('an_order_whose_stage_is_queued_is_cancelled_and_undone', async () => {
  await send(s, '/pipeline/stages/two/pause', { reason: 'so that it waits' });
  const id = await placeScripted(s);
  await stageIs(s, id, 'two', 'queued');
  assert.deepEqual(types(await cancelled(id)), ['order_created', 'one_done', 'cancel_requested', 'one_undone', 'order_cancelled']);
  await send(s, '/pipeline/stages/two/resume', { reason: 'seen' });
});

test('an_order_with_nothing_done_ends_at_once', async () => {
  await send(s, '/pipeline/stages/one/pause', { reason: 'so that it waits' });
  const id = await placeScripted(s);
  assert.deepEqual(types(await cancelled(id)), ['order_created', 'cancel_requested', 'order_cancelled']);
  await send(s, '/pipeline/stages/one/resume', { reason: 'seen' });
});

test('a_stage_that_runs_is_waited_for_and_then_undone', async () => {
  const id = await placeScripted(s, { one: 'l', two: '-d' });
  await until('two to run', async () => (await stageOf(s, 'two')).live.out === 1);
  const story = types(await cancelled(id));
  assert.deepEqual(story.slice(0, 4), ['order_created', 'one_done', 'cancel_requested', 'attempt_lost']);
  assert.deepEqual(story.slice(4), ['two_undone', 'one_undone', 'order_cancelled'], 'a lost attempt may have taken effect');
});

test('an_order_that_waits_for_its_next_attempt_is_cancelled', async () => {
  const id = await placeScripted(s, { two: 'RRR' });
  await stageIs(s, id, 'two', 'retrying');
  assert.deepEqual(types(await cancelled(id)).slice(-4), ['cancel_requested', 'two_undone', 'one_undone', 'order_cancelled']);
});

test('an_order_on_hold_is_cancelled', async () => {
  const id = await placeScripted(s, { two: 'r' });
  await onHold(s, id);
  assert.deepEqual(types(await cancelled(id)).slice(-4), ['cancel_requested', 'two_undone', 'one_undone', 'order_cancelled']);
});

test('an_order_that_waits_for_an_answer_is_cancelled', async () => {
  const id = await placeScripted(s, { two: 'w' });
  await stageIs(s, id, 'two', 'waiting');
  assert.deepEqual(types(await cancelled(id)).slice(-4), ['cancel_requested', 'two_undone', 'one_undone', 'order_cancelled']);
});

test('a_cancelled_order_is_cancelled_after_a_kill_too', async () => {
  const id = await placeScripted(s, { 'undo one': 'Rd', two: 'w' });
  await stageIs(s, id, 'two', 'waiting');
  await cancel(id);
  await s.kill();
  await s.restart();
  const whole = await finished(s, id);
  assert.equal(whole.order.status, 'cancelled');
  for (const type of ['one_undone', 'two_undone', 'cancel_requested', 'order_cancelled'])
    assert.equal(types(whole).filter((t) => t === type).length, 1, `${type} in ${types(whole)}`);
});

test('409_for_what_is_over_or_being_undone', async () => {
  const done = await placeScripted(s);
  const failed = await placeScripted(s, { one: 'f' });
  const undoing = await placeScripted(s, { three: 'f', 'undo two': 'f' });
  await Promise.all([finished(s, done), finished(s, failed), onHold(s, undoing)]);
  for (const id of [done, failed, undoing]) {
    const had = await look(s, id);
    const answer = await cancel(id);
    assert.equal(answer.status, 409, JSON.stringify(answer.body));
    assert.deepEqual(await look(s, id), had);
  }
});

test('a_second_cancel_is_409', async () => {
  const id = await placeScripted(s, { 'undo one': 'Rd', two: 'w' });
  await stageIs(s, id, 'two', 'waiting');
  assert.equal((await cancel(id)).status, 200);
  assert.equal((await cancel(id)).status, 409);
  assert.equal(ofType(await finished(s, id), 'cancel_requested').length, 1);
});

test('a_reason_is_asked_for_and_an_unknown_order_is_404', async () => {
  const id = await placeScripted(s, { two: 'w' });
  await stageIs(s, id, 'two', 'waiting');
  for (const body of [{}, { reason: '' }, { reason: 7 }])
    assert.equal((await cancel(id, body)).status, 422);
  assert.equal((await cancel('01890000-0000-7000-8000-000000000000')).status, 404);
  assert.equal((await cancel('nothing')).status, 404);
  assert.ok(!types(await look(s, id)).includes('cancel_requested'));
  await cancelled(id);
});

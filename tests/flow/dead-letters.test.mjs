// Orders on hold: seen, grouped by cause, and repaired one by one or in bulk, each with a reason.
import assert from 'node:assert/strict';
import test, { after, beforeEach } from 'node:test';
import { finished, getJson, look, order } from '../lib/orders.mjs';
import { hostFile } from '../lib/pipeline.mjs';
import { ofType, onHold, placeScripted, send, startScripted, types, when } from '../lib/scripted.mjs';
import { runStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

let s = null;

// Each test has its own dead letters.
beforeEach(async () => {
  await s?.stop();
  s = await startScripted({ one: {}, two: {}, three: {} });
});
after(async () => assert.equal(await s.stop(), 0));

const act = (action, body) => send(s, `/dead-letters/${action}`, { reason: 'the bank is back', ...body });
const list = (query = '') => getJson(s, `/dead-letters${query}`);
const ids = async (query) => (await list(query)).dead_letters.map((l) => l.order.id);

async function held(n, script = { two: 'rrrd' }, changes = {}) {
  const placed = [];
  for (let i = 0; i < n; i++)
    placed.push(await placeScripted(s, script, changes));
  await Promise.all(placed.map((id) => onHold(s, id)));
  return placed;
}

test('the_list_is_newest_first_with_what_holds_each_and_goes_on_at_its_cursor', async () => {
  const placed = (await held(3)).reverse();
  const first = await list('?limit=2');
  assert.deepEqual(first.dead_letters.map((l) => l.order.id), placed.slice(0, 2));
  assert.deepEqual(first.dead_letters[0].held, [{ name: 'two', undo: false, attempts: 3, error: 'not now' }]);
  assert.equal(first.total, 3);
  const second = await list(`?limit=2&cursor=${first.next}`);
  assert.deepEqual(second.dead_letters.map((l) => l.order.id), placed.slice(2));
  assert.equal(second.next, null);
});

test('causes_group_them_and_a_cause_finds_its_orders', async () => {
  const now = await held(3);
  const later = await held(2, { three: 'R' });
  const { causes } = await list('?group=cause');
  assert.deepEqual(causes.map((c) => [c.stage, c.error, c.count]), [['two', 'not now', 3], ['three', 'not now, later', 2]]);
  assert.ok(causes.every((c) => c.first_seen <= c.last_seen));
  assert.deepEqual(await ids('?stage=two&error=not%20now'), now.reverse());
  assert.deepEqual(await ids('?stage=three'), later.reverse());
  assert.deepEqual(await ids('?stage=one'), []);
});

test('an_order_on_hold_tells_its_whole_story', async () => {
  const [id] = await held(1);
  const whole = await look(s, id);
  assert.equal(whole.order.status, 'on_hold');
  assert.deepEqual(types(whole), ['order_created', 'one_done', 'stage_retrying', 'stage_retrying', 'stage_held']);
  assert.equal((await getJson(s, '/stats')).on_hold, 1);
});

test('a_retry_gives_new_attempts_and_says_why', async () => {
  const [id] = await held(1);
  const answer = await act('retry', { ids: [id] });
  assert.deepEqual([answer.status, answer.body.matched, answer.body.done, answer.body.refused], [200, 1, 1, 0]);
  const whole = await finished(s, id);
  assert.equal(whole.order.status, 'completed');
  const [released] = ofType(whole, 'stage_released');
  assert.deepEqual([released.stage, released.action, released.reason], ['two', 'retry', 'the bank is back']);
  assert.equal((await getJson(s, '/stats')).on_hold, 0);
});

test('a_retry_that_fails_again_is_on_hold_again', async () => {
  const [id] = await held(1, { two: 'r' });
  await act('retry', { ids: [id] });
  const whole = await until('it to be on hold again', async () => {
    const seen = await look(s, id);
    return ofType(seen, 'stage_held').length === 2 && seen;
  });
  assert.equal(ofType(whole, 'stage_retrying').length, 4);
});

test('a_skip_goes_on_behind_the_stage', async () => {
  const [id] = await held(1, { two: 'r' });
  assert.equal((await act('skip', { ids: [id] })).body.done, 1);
  const whole = await finished(s, id);
  assert.deepEqual(types(whole).slice(-4), ['stage_held', 'stage_released', 'three_done', 'order_completed']);
  assert.equal(whole.order.stages[1].status, 'skipped');
});

test('a_discard_fails_the_order_and_undoes_it', async () => {
  const [id] = await held(1, { two: 'r' });
  assert.equal((await act('discard', { ids: [id] })).body.done, 1);
  const whole = await finished(s, id);
  assert.equal(whole.order.status, 'failed');
  assert.match(whole.order.error, /the bank is back/);
  assert.deepEqual(types(whole).slice(-4), ['stage_released', 'two_undone', 'one_undone', 'order_failed']);
});

test('an_edited_order_is_checked_taken_and_retried_and_the_original_is_kept', async () => {
  const [id] = await held(1, { two: 'r' });
  const fixed = order({ 'PROD-003': 2 }, { customer_email: 'right@example.com', script: {} });
  const edit = (body) => send(s, `/dead-letters/${id}/edit`, body);
  const had = await look(s, id);

  const bad = await edit({ order: { ...fixed, total_amount: 'much' }, reason: 'typo' });
  assert.equal(bad.status, 422);
  assert.deepEqual(bad.body.errors.map((e) => e.pointer), ['/total_amount']);
  assert.equal((await edit({ order: { ...fixed, status: 'completed' }, reason: 'typo' })).status, 422);
  assert.equal((await edit({ order: 7, reason: 'typo' })).status, 422);
  assert.equal((await edit({ order: fixed })).status, 422, 'without a reason');
  assert.deepEqual(await look(s, id), had);

  const good = await edit({ order: fixed, reason: 'typo' });
  assert.equal(good.status, 200, JSON.stringify(good.body));
  assert.equal(good.body.order.customer_email, 'right@example.com');
  const whole = await finished(s, id);
  assert.deepEqual([whole.order.status, whole.order.total_amount], ['completed', 159.98]);
  assert.deepEqual([ofType(whole, 'stage_released')[0].action, ofType(whole, 'stage_released')[0].reason], ['retry', 'typo']);
  const original = await getJson(s, `/orders/${id}?at=${whole.events[0].seq}`);
  assert.equal(original.order.customer_email, 'ann@example.com');
  assert.equal((await edit({ order: fixed, reason: 'again' })).status, 409);
});

test('a_filter_releases_what_it_matches_and_nothing_else', async () => {
  const now = await held(3);
  const later = await held(2, { three: 'R' });
  const answer = await act('retry', { filter: { stage: 'two', error: 'not now' } });
  assert.deepEqual([answer.body.matched, answer.body.done], [3, 3]);
  for (const id of now)
    assert.equal((await finished(s, id)).order.status, 'completed');
  assert.deepEqual(await ids(), later.reverse());
  assert.equal((await act('skip', { filter: {} })).body.done, 2, 'an empty filter is all');
});

// Both branches of an order are held, each for a cause of its own.
async function heldTwice() {
  await s.stop();
  s = await startScripted({ gift: { after: [] }, payment: { after: [] }, ship: { after: ['gift', 'payment'] } });
  const id = await placeScripted(s, { gift: 'r', payment: 'RRRd' });
  await when(s, id, 'both to be held', (whole) => ofType(whole, 'stage_held').length === 2);
  return id;
}

for (const [by, filter] of [['stage', { stage: 'gift' }], ['error', { error: 'not now' }]])
  test(`a_filter_by_${by}_leaves_the_other_stage_that_holds_an_order_alone`, async () => {
    const id = await heldTwice();
    assert.equal((await act('skip', { filter })).body.done, 1);
    const { order: { status, stages } } = await look(s, id);
    assert.deepEqual([status, stages.map((stage) => stage.status)], ['on_hold', ['skipped', 'held', 'idle']]);
    assert.equal((await act('retry', { filter: { stage: 'payment', error: 'not now, later' } })).body.done, 1);
    const whole = await finished(s, id);
    assert.deepEqual(types(whole).slice(-4), ['stage_released', 'payment_done', 'ship_done', 'order_completed']);
  });

test('a_filter_discards_an_order_that_another_stage_holds_too', async () => {
  const id = await heldTwice();
  assert.equal((await act('discard', { filter: { stage: 'gift' } })).body.done, 1);
  assert.equal((await finished(s, id)).order.status, 'failed');
});

test('an_order_that_another_stage_holds_when_its_turn_comes_is_refused', async () => {
  const [moved] = await held(1, { two: 'rrrd', three: 'r' });
  await held(1);
  const { body } = await act('skip', { filter: { stage: 'two' }, rate: 1 });
  assert.equal((await act('retry', { ids: [moved] })).body.done, 1);
  await when(s, moved, 'three to hold it', (whole) => ofType(whole, 'stage_held').some((e) => e.stage === 'three'));
  const job = await until('the job to finish', async () => {
    const seen = await getJson(s, `/dead-letters/jobs/${body.job}`);
    return seen.finished && seen;
  });
  assert.deepEqual([job.done, job.refused, job.refusals[0].id], [1, 1, moved]);
  assert.match(job.refusals[0].detail, /on hold there/);
  assert.equal((await look(s, moved)).order.status, 'on_hold');
});

test('a_filter_that_matches_more_than_one_call_takes_says_so', async () => {
  await s.stop();
  s = await startScripted({ one: {}, two: {}, three: {} }, { config: hostFile('limits: {bulk: 2}\n') });
  const placed = (await held(3)).reverse();
  const dry = (await act('skip', { filter: {}, dry_run: true })).body;
  assert.deepEqual([dry.matched, dry.capped, dry.ids], [2, true, placed.slice(0, 2)]);
  const { out, err } = await runStageline(['dead-letters', 'skip', '--url', s.url, '--all', '--dry-run', '--reason', 'x']);
  assert.match(err, /More match/, out);
  const first = (await act('skip', { filter: {} })).body;
  assert.deepEqual([first.matched, first.done, first.capped], [2, 2, true]);
  assert.equal((await getJson(s, `/dead-letters/jobs/${first.job}`)).capped, true);
  const second = (await act('skip', { filter: {} })).body;
  assert.deepEqual([second.matched, second.done, second.capped], [1, 1, false]);
});

test('a_dry_run_changes_nothing', async () => {
  const placed = await held(2);
  const had = await Promise.all(placed.map((id) => look(s, id)));
  for (const action of ['retry', 'skip', 'discard']) {
    const { status, body } = await act(action, { filter: {}, dry_run: true });
    assert.deepEqual([status, body.dry_run, body.action, body.matched, [...body.ids].sort()],
      [200, true, action, 2, [...placed].sort()]);
  }
  assert.deepEqual(await Promise.all(placed.map((id) => look(s, id))), had);
});

for (const [name, body] of [
  ['no_reason', { reason: undefined, filter: {} }], ['an_empty_reason', { reason: '', filter: {} }],
  ['neither_ids_nor_filter', {}], ['both_ids_and_filter', { ids: [], filter: {} }], ['ids_that_are_no_list', { ids: 'x', filter: {} }],
  ['an_id_that_is_none', { ids: ['x'] }], ['a_filter_by_something_else', { filter: { color: 'red' } }],
  ['a_stage_too_long_to_be_one', { filter: { stage: 's'.repeat(300) } }],
  ['a_dry_run_that_is_a_text', { filter: {}, dry_run: 'true' }], ['a_dry_run_spelt_wrong', { filter: {}, 'dry-run': true }],
  ['a_rate_of_zero', { filter: {}, rate: 0 }], ['a_rate_that_is_a_text', { filter: {}, rate: '5' }],
]) {
  test(`422_and_nothing_released_for_${name}`, async () => {
    const [id] = await held(1);
    assert.equal((await act('discard', body)).status, 422);
    assert.equal((await look(s, id)).order.status, 'on_hold');
  });
}

test('an_empty_stage_in_a_filter_matches_nothing', async () => {
  const [id] = await held(1);
  assert.equal((await act('discard', { filter: { stage: '' } })).body.matched, 0);
  assert.equal((await look(s, id)).order.status, 'on_hold');
});

test('ids_that_are_not_on_hold_are_refused_each_with_its_reason', async () => {
  const [id] = await held(1);
  const done = await placeScripted(s);
  await finished(s, done);
  const nobody = '01890000-0000-7000-8000-000000000000';
  const { body } = await act('retry', { ids: [done, id, nobody] });
  assert.deepEqual([body.matched, body.done, body.refused], [3, 1, 2]);
  assert.match(body.refusals.find((r) => r.id === done).detail, /completed/);
  assert.match(body.refusals.find((r) => r.id === nobody).detail, /no such order/);
});

test('a_rate_answers_202_and_the_job_tells_how_far_it_is', async () => {
  await held(8);
  const start = performance.now();
  const { status, body } = await act('retry', { filter: {}, rate: 10 });
  assert.deepEqual([status, body.matched, body.finished], [202, 8, false]);
  const job = await until('the job to finish', async () => {
    const seen = await getJson(s, `/dead-letters/jobs/${body.job}`);
    assert.equal(seen.done + seen.refused + seen.left, 8);
    return seen.finished && seen;
  });
  assert.deepEqual([job.done, job.refused, job.left], [8, 0, 0]);
  assert.ok(performance.now() - start > 600, '8 at 10 a second take more than half a second');
  await until('nothing to be on hold', async () => (await list()).total === 0);
  assert.equal((await fetch(`${s.url}/dead-letters/jobs/999`)).status, 404);
});

test('what_is_on_hold_is_still_on_hold_after_a_kill', async () => {
  const placed = (await held(2)).reverse();
  await s.kill();
  await s.restart();
  assert.deepEqual(await ids(), placed);
  assert.equal((await act('retry', { ids: placed })).body.done, 2);
  for (const id of placed)
    await finished(s, id);
});

// The state: stock and ledgers, changed by operators with a reason that stays in the journal.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { query } from '../lib/oracle.mjs';
import { finished, order, place, state } from '../lib/orders.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { send } from '../lib/scripted.mjs';
import { startStageline } from '../lib/stageline.mjs';

let s;

before(async () => { s = await startStageline({ pipeline: fastPipeline() }); });
after(async () => { await s.stop(); });

const adjust = (body) => send(s, '/state/adjust', { reason: 'delivery 4711', ...body });
const value = async (key) => (await state(s, key))[key];

test('a_restock_makes_a_sold_out_product_orderable', async () => {
  const refused = await finished(s, (await place(s, order({ 'PROD-004': 1 }))).id);
  assert.equal(refused.order.status, 'failed');
  const answer = await adjust({ key: 'stock/PROD-004', delta: 5 });
  assert.deepEqual([answer.status, answer.body], [200, { adjusted: 'stock/PROD-004' }]);
  assert.equal(await value('stock/PROD-004'), 5);
  assert.equal((await finished(s, (await place(s, order({ 'PROD-004': 5 }))).id)).order.status, 'completed');
  assert.equal(await value('stock/PROD-004'), 0);
});

test('409_below_the_floor_and_nothing_is_changed', async () => {
  const had = await value('stock/PROD-003');
  assert.equal((await adjust({ key: 'stock/PROD-003', delta: -had - 1 })).status, 409);
  assert.equal((await adjust({ key: 'stock/PROD-003', delta: -1, floor: had })).status, 409);
  assert.equal(await value('stock/PROD-003'), had);
  assert.equal((await adjust({ key: 'stock/PROD-003', delta: -had })).status, 200);
  assert.equal((await adjust({ key: 'stock/PROD-003', delta: -1, floor: null })).status, 200, 'without a floor');
  assert.equal(await value('stock/PROD-003'), -1);
});

test('values_are_set_and_deleted', async () => {
  assert.equal((await adjust({ key: 'notes/today', value: { open: [1, 'zwölf', null] } })).status, 200);
  assert.deepEqual(await value('notes/today'), { open: [1, 'zwölf', null] });
  assert.equal((await adjust({ key: 'notes/today', delta: 1 })).status, 409, 'it is no number');
  assert.equal((await adjust({ key: 'notes/today', value: null })).status, 200);
  assert.deepEqual(await state(s, 'notes/'), {});
});

for (const [name, body] of [
  ['no_reason', { reason: undefined, key: 'a', delta: 1 }], ['no_key', { delta: 1 }], ['an_empty_key', { key: '', delta: 1 }],
  ['a_key_too_long', { key: 'k'.repeat(257), delta: 1 }], ['neither_delta_nor_value', { key: 'a' }],
  ['both_delta_and_value', { key: 'a', delta: 1, value: 1 }], ['half_a_piece', { key: 'a', delta: 0.5 }],
  ['a_delta_that_is_a_text', { key: 'a', delta: '1' }], ['a_floor_that_is_a_text', { key: 'a', delta: 1, floor: '0' }],
  ['a_key_of_stageline_s_own', { key: 'stageline/paused/payment', value: 'x' }],
]) {
  test(`422_for_${name}`, async () => {
    const had = await state(s, '');
    assert.equal((await adjust(body)).status, 422);
    assert.deepEqual(await state(s, ''), had);
  });
}

test('adjustments_at_once_all_count', async () => {
  await adjust({ key: 'counter', value: 0 });
  const answers = await Promise.all(Array.from({ length: 30 }, () => adjust({ key: 'counter', delta: 2 })));
  assert.ok(answers.every((a) => a.status === 200));
  assert.equal(await value('counter'), 60);
});

test('adjustments_stay_after_a_kill_and_are_journaled_with_their_reason', async () => {
  await adjust({ key: 'kept', delta: 7, reason: 'found in the cellar' });
  await s.kill();
  await s.restart();
  assert.equal(await value('kept'), 7);
  await s.stop();
  const events = query(s, "SELECT payload FROM events WHERE type = 'state_adjusted'").map((row) => JSON.parse(row.payload));
  const found = events.filter((e) => e.reason === 'found in the cellar');
  assert.deepEqual(found.map((e) => e.effects), [[['add', 'kept', 7, 0]]]);
  await s.restart();
});

test('what_changed_a_value_is_told_newest_first_page_after_page', async () => {
  const key = 'stock/PROD-001';
  const { id } = await place(s, order({ 'PROD-001': 3 }));
  await finished(s, id);
  await adjust({ key, delta: 40, reason: 'delivery 4712' });
  await adjust({ key, value: 50, reason: 'counted' });
  const page = async (more = '') => (await fetch(`${s.url}/state/history?key=${encodeURIComponent(key)}${more}`)).json();
  const whole = await page();
  assert.deepEqual([whole.key, whole.value, whole.next], [key, 50, null]);
  assert.deepEqual(whole.changes.map((c) => c.delta ?? { value: c.value }), [{ value: 50 }, 40, -3, { value: 100 }]);
  assert.deepEqual(whole.changes.slice(0, 2).map((c) => c.event.reason), ['counted', 'delivery 4712']);
  assert.equal(whole.changes[2].event.order_id, id);
  const first = await page('&limit=3');
  assert.equal(first.changes.length, 3);
  assert.deepEqual((await page(`&limit=3&cursor=${first.next}`)).changes, whole.changes.slice(3));
  const nobody = await (await fetch(`${s.url}/state/history?key=stock`)).json();
  assert.deepEqual([nobody.value, nobody.changes], [null, []], 'the start of a key is not the key');
  assert.equal((await fetch(`${s.url}/state/history`)).status, 400);
  assert.equal((await fetch(`${s.url}/state/history?key=${'k'.repeat(300)}`)).status, 400);
});

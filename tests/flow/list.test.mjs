// Lists, counts and state: what an operator looks things up by.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import WebSocket from 'ws';
import { fastPipeline } from '../lib/pipeline.mjs';
import { allFinished, allOrders, getJson, order, place, state } from '../lib/orders.mjs';
import { startStageline } from '../lib/stageline.mjs';

let s;
const placed = [];

before(async () => {
  s = await startStageline({ pipeline: fastPipeline() });
  for (let i = 0; i < 25; i++)
    placed.push((await place(s, order({ [i % 5 ? 'PROD-002' : 'PROD-004']: 1 },
      { customer_email: `${i < 3 ? 'carla' : 'ben'}.${i}@example.com` }))).id);
  await allFinished(s);
});
after(async () => assert.equal(await s.stop(), 0));

const ids = (orders) => orders.map((o) => o.id);

test('the_list_is_newest_first', async () => {
  assert.deepEqual(ids((await getJson(s, '/orders?limit=100')).orders), [...placed].reverse());
});

test('pages_follow_the_link_and_leave_nothing_out', async () => {
  assert.deepEqual(ids(await allOrders(s, 'limit=7')), [...placed].reverse());
});

test('a_page_stays_where_it_was_when_orders_come_in', async () => {
  const first = await fetch(`${s.url}/orders?limit=5&status=failed&q=ben`);
  assert.equal(first.status, 200);
  const orders = await allOrders(s, 'limit=2&status=failed');
  assert.equal(new Set(ids(orders)).size, 5);
});

test('the_list_can_be_narrowed_by_status', async () => {
  const completed = (await getJson(s, '/orders?status=completed&limit=100')).orders;
  const failed = (await getJson(s, '/orders?status=failed&limit=100')).orders;
  assert.ok(completed.every((o) => o.status === 'completed'));
  assert.equal(completed.length, 20);
  assert.equal(failed.length, 5);
});

test('an_order_is_found_by_id_by_e_mail_and_by_product', async () => {
  assert.deepEqual(ids((await getJson(s, `/orders?q=${placed[4]}`)).orders), [placed[4]]);
  assert.equal((await getJson(s, '/orders?q=carla')).orders.length, 3);
  assert.equal((await getJson(s, '/orders?q=PROD-004')).orders.length, 5);
  assert.equal((await getJson(s, '/orders?q=nobody%25')).orders.length, 0);
});

for (const query of ['limit=0', 'limit=x', 'limit=100000', 'cursor=!!']) {
  test(`400_for_${query}`, async () => {
    assert.equal((await fetch(`${s.url}/orders?${query}`)).status, 400);
  });
}

test('stats_count_what_happened', async () => {
  const stats = await getJson(s, '/stats');
  assert.equal(stats.accepted, 25);
  assert.equal(stats.completed, 20);
  assert.equal(stats.failed, 5);
  assert.equal(stats.cancelled, 0);
  assert.equal(stats.on_hold, 0);
  assert.equal(stats.in_flight, 0);
});

test('stock_taken_and_left_is_the_stock_given', async () => {
  assert.deepEqual(await state(s, 'stock/'),
    { 'stock/PROD-001': 100, 'stock/PROD-002': 30, 'stock/PROD-003': 25, 'stock/PROD-004': 0 });
});

test('the_pipeline_tells_its_stages_and_generation', async () => {
  const pipeline = await getJson(s, '/pipeline');
  assert.match(pipeline.generation, /^[0-9a-f]{16}$/);
  assert.deepEqual(pipeline.stages.map((stage) => stage.name), ['validation', 'payment', 'inventory', 'shipping']);
  assert.deepEqual(pipeline.stages[1].after, ['validation']);
});

test('a_list_says_after_which_event_it_is_and_the_stream_goes_on_from_there', async () => {
  const { last_seq: last } = await getJson(s, '/stats');
  for (const path of ['/orders?limit=1', '/dead-letters', '/dead-letters?group=cause', '/state'])
    assert.equal((await getJson(s, path)).seq, last, path);
  const { seq } = await getJson(s, '/orders?limit=1');
  const { id } = await place(s);
  await allFinished(s);
  const socket = new WebSocket(`${s.url.replace('http', 'ws')}/ws/events?after=${seq}`);
  const first = await new Promise((done) => { socket.on('message', (data) => done(JSON.parse(data).event)); });
  socket.close();
  assert.deepEqual([first.seq, first.order_id, first.event_type], [seq + 1, id, 'order_created']);
});

// Orders as people see them: placed, followed, finished, failed.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { fastPipeline } from '../lib/pipeline.mjs';
import { finished, getJson, look, order, place, post } from '../lib/orders.mjs';
import { startStageline } from '../lib/stageline.mjs';

const micros = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
let s;

before(async () => { s = await startStageline({ pipeline: fastPipeline({ latency: '1ms' }) }); });
after(async () => assert.equal(await s.stop(), 0));

const types = ({ events }) => events.map((e) => e.event_type);

test('a_placed_order_is_pending_and_has_an_address', async () => {
  const basket = order({ 'PROD-001': 1, 'PROD-002': 2 });
  const answer = await post(s, basket);
  const placed = await answer.json();

  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type'), /^application\/json/);
  assert.equal(answer.headers.get('location'), `/orders/${placed.id}`);
  assert.match(placed.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(placed.status, 'pending');
  assert.match(placed.created_at, micros);
  assert.equal(placed.updated_at, placed.created_at);
  assert.deepEqual(placed.items, basket.items);
  assert.equal(placed.customer_email, basket.customer_email);
  assert.equal(placed.total_amount, 1059.97);
});

test('an_order_goes_through_the_four_stages_in_order', async () => {
  const done = await finished(s, (await place(s, order({ 'PROD-001': 1, 'PROD-003': 1 }))).id);

  assert.equal(done.order.status, 'completed');
  assert.match(done.order.completed_at, micros);
  assert.deepEqual(types(done), ['order_created', 'order_validated', 'payment_processed',
    'inventory_reserved', 'shipment_created', 'order_completed']);
});

test('an_event_has_the_six_names_that_clients_read_first', async () => {
  const { order: o, events } = await finished(s, (await place(s)).id);

  for (const event of events) {
    assert.deepEqual(Object.keys(event).slice(0, 6),
      ['order_id', 'event_type', 'status', 'message', 'timestamp', 'metadata']);
    assert.equal(event.order_id, o.id);
    assert.match(event.timestamp, micros);
    assert.equal(typeof event.message, 'string');
    assert.equal(Object.prototype.toString.call(event.metadata), '[object Object]');
    assert.ok(Number.isInteger(event.seq));
  }
  assert.deepEqual(events.map((e) => e.status), ['created', 'success', 'success', 'success', 'success', 'success']);
  assert.deepEqual(events.slice(1, 5).map((e) => e.stage), ['validation', 'payment', 'inventory', 'shipping']);
  assert.ok(events.slice(1, 5).every((e) => e.attempt === 1 && e.duration_ms >= 0));
});

test('a_product_out_of_stock_fails_the_order_and_refunds_it', async () => {
  const failed = await finished(s, (await place(s, order({ 'PROD-002': 1, 'PROD-004': 1 }))).id);
  const story = types(failed);

  assert.equal(failed.order.status, 'failed');
  assert.match(failed.order.error, /insufficient inventory/i);
  assert.ok(story.indexOf('stage_failed') > story.indexOf('payment_processed'), story.join());
  assert.ok(story.indexOf('payment_refunded') > story.indexOf('stage_failed'), story.join());
  assert.equal(story.at(-1), 'order_failed');
  assert.match(failed.events.find((e) => e.event_type === 'stage_failed').message, /Insufficient inventory/);
});

test('an_unknown_product_fails_validation_by_name', async () => {
  const failed = await finished(s, (await place(s, order({ 'PROD-999': 1 }))).id);

  assert.equal(failed.order.status, 'failed');
  assert.deepEqual(types(failed), ['order_created', 'stage_failed', 'order_failed']);
  assert.match(failed.events[1].message, /PROD-999/);
  assert.equal(failed.events[1].stage, 'validation');
});

test('a_total_that_is_off_by_a_cent_fails_validation', async () => {
  const failed = await finished(s, (await place(s, order({ 'PROD-002': 1 }, { total_amount: 30.00 }))).id);

  assert.equal(failed.order.status, 'failed');
  assert.match(failed.order.error, /total/i);
});

for (const [name, body, why] of [
  ['without_items', order({}), /item/i],
  ['with_a_quantity_of_zero', order({ 'PROD-002': 0 }), /quantity/i],
  ['with_a_price_below_zero', order({}, { total_amount: -1,
    items: [{ product_id: 'PROD-002', name: 'Mouse', quantity: 1, price: -1 }] }), /price/i],
  ['without_an_at_in_the_e_mail', order({ 'PROD-002': 1 }, { customer_email: 'nobody' }), /e-?mail/i],
]) {
  test(`an_order_${name}_fails_validation_with_the_reason`, async () => {
    const failed = await finished(s, (await place(s, body)).id);
    assert.equal(failed.order.status, 'failed');
    assert.equal(failed.events[1].stage, 'validation');
    assert.match(failed.order.error, why);
  });
}

test('a_failed_order_takes_no_stock', async () => {
  const stock = async () => (await getJson(s, '/state?prefix=stock/')).state;
  const had = await stock();
  await finished(s, (await place(s, order({ 'PROD-003': 1, 'PROD-004': 1 }))).id);
  assert.deepEqual(await stock(), had);
});

test('an_order_can_be_seen_as_it_was_at_an_event', async () => {
  const { id } = await place(s);
  const { events } = await finished(s, id);
  const then = await getJson(s, `/orders/${id}?at=${events[2].seq}`);

  assert.deepEqual(types(then), ['order_created', 'order_validated', 'payment_processed']);
  assert.equal(then.order.status, 'inventory_check');
  assert.equal((await look(s, id)).order.status, 'completed');
});

test('each_stage_of_the_order_tells_how_it_stands', async () => {
  const { order: o } = await finished(s, (await place(s)).id);
  assert.deepEqual(o.stages.map((stage) => [stage.name, stage.status]),
    [['validation', 'done'], ['payment', 'done'], ['inventory', 'done'], ['shipping', 'done']]);
});

// What "reliable" means, in one place: whatever was done to the server, each order it said yes to exists
// exactly once and ended; stock taken and left is the stock given; money captured less money refunded is the
// totals of the completed orders; histories are whole; the file is sound.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { checkChain } from './chain.mjs';
import { inspectJournal } from './faults.mjs';
import { allFinished, allOrders, isTerminal, look, money, state, terminal } from './orders.mjs';

const successes = ['order_validated', 'payment_processed', 'inventory_reserved', 'shipment_created'];
const undoing = { payment_processed: 'payment_refunded', inventory_reserved: 'inventory_released',
  shipment_created: 'shipment_cancelled' };

const removals = ['order_erased', 'order_archived'];

// `accepted`: Map of id → the order as it was placed. `given`: { PRODUCT: stock }. With `mayHold` an order
// may also be on hold, with its reason, instead of ended.
export async function checkOrders(s, accepted, given, { deadline = 60_000, mayHold = false } = {}) {
  await allFinished(s, deadline, mayHold);
  const listed = await allOrders(s);
  const seen = new Set(listed.map((o) => o.id));
  assert.equal(seen.size, listed.length, 'an order is listed twice');
  for (const id of accepted.keys())
    assert.ok(seen.has(id), `order ${id} was accepted and is lost`);

  const taken = {};
  let captured = 0;
  for (const { id } of listed) {
    const whole = await look(s, id);
    const { order: o, events } = whole;
    const total = money(o.total_amount);
    const balance = (done, undone) => Number(events.some((e) => e.event_type === done))
      - Number(events.some((e) => e.event_type === undone));
    const paid = balance('payment_processed', 'payment_refunded') * total;
    checkHistory(whole, mayHold);
    if (isTerminal(whole))
      assert.equal(paid, o.status === 'completed' ? total : 0, `order ${id}: captured less refunded`);
    captured += paid;
    // An order that was erased or archived does not say any more what was in it.
    for (const { product_id: product, quantity } of o.items ?? accepted.get(id)?.items ?? [])
      taken[product] = (taken[product] ?? 0) + quantity * balance('inventory_reserved', 'inventory_released');
    if (accepted.has(id))
      assert.equal(money(accepted.get(id).total_amount), total, `order ${id} is another one`);
  }
  const ledger = await state(s, 'payments/');
  assert.equal((ledger['payments/captured'] ?? 0) - (ledger['payments/refunded'] ?? 0), captured, 'the ledger of payments');

  const left = await state(s, 'stock/');
  for (const [product, n] of Object.entries(given))
    assert.equal(Number(left[`stock/${product}`]) + (taken[product] ?? 0), n, `stock of ${product}`);
  const count = (status) => listed.filter((o) => o.status === status).length;
  return { orders: listed.length, completed: count('completed'), held: count('on_hold') };
}

// One order's events, oldest first: no step twice, one end, and nothing done that was not undone on failure.
export function checkHistory({ order, events }, mayHold = false) {
  const types = events.map((e) => e.event_type);
  const times = (type) => types.filter((t) => t === type).length;
  const story = `order ${order.id}: ${types.join(', ')}`;

  assert.equal(types[0], 'order_created', story);
  assert.equal(times('order_created'), 1, story);
  for (const type of [...successes, ...Object.values(undoing)])
    assert.ok(times(type) <= 1, `${story}: ${type} twice`);
  for (let i = 1; i < events.length; i++)
    assert.ok(events[i].seq > events[i - 1].seq, `${story}: seq`);
  for (const e of events)
    assert.ok((e.duration_ms ?? 0) >= 0, `${story}: a negative duration`);
  if (mayHold && order.status === 'on_hold') {
    assert.ok(order.error, `${story}: on hold without a reason`);
    assert.ok(!types.some((t) => terminal.includes(t)), `${story}: an end and a hold`);
    return;
  }
  assert.ok(isTerminal({ order }), `${story}: ${order.status}`);
  assert.equal(types.filter((t) => terminal.includes(t)).length, 1, `${story}: one terminal event`);
  const last = removals.includes(types.at(-1)) ? -2 : -1;
  assert.equal(types.at(last), `order_${order.status}`, `${story}: nothing comes after the end`);
  if (order.status === 'completed')
    assert.deepEqual(types.filter((t) => successes.includes(t)), successes, story);
  else
    for (const [done, undone] of Object.entries(undoing))
      assert.ok(times(done) <= times(undone), `${story}: ${done} is not undone`);
}

// The journal file of a server that is down.
export function journalFile(s) {
  const names = readdirSync(s.dataDir).filter((name) => /\.(db|sqlite3?)$/.test(name));
  assert.equal(names.length, 1, `one database in ${s.dataDir}: ${names}`);
  return join(s.dataDir, names[0]);
}

export function query(s, sql) {
  const text = execFileSync('sqlite3', ['-json', '-readonly', journalFile(s), sql],
    { encoding: 'utf8', maxBuffer: 1 << 28 });
  return text.trim() ? JSON.parse(text) : [];
}

// The file as SQLite, as the program's own verification (chain, projections against events) and as this
// side's computation of the chain see it. Returns the number of events.
export function checkFile(s) {
  assert.deepEqual(query(s, 'PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
  const { sound, events, why } = inspectJournal(journalFile(s));
  assert.ok(sound, why);
  assert.equal(checkChain(s), events);
  return events;
}

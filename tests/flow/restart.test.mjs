// Stops and deaths of the whole daemon: what was accepted finishes, once.
import assert from 'node:assert/strict';
import test from 'node:test';
import { checkChain } from '../lib/chain.mjs';
import { checkFile, checkOrders } from '../lib/oracle.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { look, order, place, placeStubbornly } from '../lib/orders.mjs';
import { seeded } from '../lib/random.mjs';
import { startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const KILLS = Number(process.env.KILLS ?? 25);

test('orders_unfinished_at_a_stop_finish_after_the_restart', { timeout: 60_000 }, async () => {
  const s = await startStageline({ pipeline: fastPipeline({ latency: '200ms', stock: plenty }) });
  const accepted = new Map();
  for (let i = 0; i < 40; i++) {
    const body = order({ [i % 8 ? 'PROD-001' : 'PROD-004']: 1 });
    accepted.set((await place(s, body)).id, body);
  }
  assert.equal(await s.stop(), 0);
  await s.restart();
  const { orders, completed } = await checkOrders(s, accepted, plenty);
  assert.deepEqual([orders, completed], [40, 35]);
  assert.equal(await s.stop(), 0);
  checkFile(s);
  checkChain(s);
});

test('a_finished_order_is_the_same_after_a_restart', { timeout: 60_000 }, async () => {
  const s = await startStageline({ pipeline: fastPipeline() });
  const { id } = await place(s);
  await until('the order to finish', async () => (await look(s, id)).order.status === 'completed');
  const had = await look(s, id);
  await s.restart();
  assert.deepEqual(await look(s, id), had);
  assert.equal(await s.stop(), 0);
});

test(`kill_9_at_${KILLS}_random_instants_loses_and_doubles_nothing`, { timeout: 60_000 + KILLS * 10_000 }, async () => {
  const random = seeded('kill -9');
  // Attempts that die with the daemon count; here none shall be used up.
  const s = await startStageline({ pipeline: fastPipeline({ latency: '1ms..30ms', stock: plenty,
    defaults: { retry: { attempts: 1000, backoff: '10ms', max: '100ms' } } }) });
  const accepted = new Map();
  const baskets = [{ 'PROD-001': 1 }, { 'PROD-002': 3, 'PROD-003': 1 }, { 'PROD-004': 1 }, { 'PROD-001': 1, 'PROD-004': 1 }];
  let over = false;

  const clients = Array.from({ length: 16 }, async () => {
    while (!over)
      await placeStubbornly(s, order(random.pick(baskets)), (id, body) => accepted.set(id, body), () => over);
  });
  for (let i = 0; i < KILLS; i++) {
    const enough = accepted.size + random.below(40);
    const latest = performance.now() + random.below(300);
    await until('the instant', () => accepted.size >= enough || performance.now() > latest, { step: 1 });
    await s.kill();
    await s.restart();
  }
  over = true;
  await Promise.all(clients);

  const { orders, completed } = await checkOrders(s, accepted, plenty, { deadline: 120_000 });
  console.log(`${KILLS} kills, ${accepted.size} orders accepted, ${orders} in the journal, ${completed} completed`);
  assert.ok(accepted.size > KILLS, 'there was load');
  assert.equal(await s.stop(), 0);
  checkFile(s);
  checkChain(s);
});

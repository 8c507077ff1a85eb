// Stops and deaths of the whole daemon: what was accepted finishes, once.
import assert from 'node:assert/strict';
import test from 'node:test';
import { checkFile, checkOrders } from '../lib/oracle.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { look, order, place } from '../lib/orders.mjs';
import { startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

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

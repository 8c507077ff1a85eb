// Stops and deaths of the whole daemon: what was accepted finishes, once.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import test from 'node:test';
import { checkFile, checkOrders } from '../lib/oracle.mjs';
import { fastPipeline, hostFile, plenty } from '../lib/pipeline.mjs';
import { finished, getJson, look, order, place } from '../lib/orders.mjs';
import { placeScripted, scriptedPipeline, send, stageIs, startScripted, types } from '../lib/scripted.mjs';
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

test('orders_under_way_finish_on_the_pipeline_that_they_began_with', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {}, three: { irreversible: true } });
  const begun = [];
  for (let i = 0; i < 10; i++)
    begun.push(await placeScripted(s, { two: 'w' }));
  const failing = await placeScripted(s, { two: 'w', three: 'f' });
  for (const id of [...begun, failing])
    await stageIs(s, id, 'two', 'waiting');
  const { generation } = await getJson(s, '/pipeline');
  assert.equal(await s.stop(), 0);
  // Another first stage; the second undoes under another name; the third is gone.
  writeFileSync(s.pipeline, readFileSync(scriptedPipeline({ zero: {}, two: { undo_event: 'two_taken_back' } })));
  await s.restart();
  assert.notEqual((await getJson(s, '/pipeline')).generation, generation);
  const later = await placeScripted(s);
  for (const id of [...begun, failing])
    assert.equal((await send(s, `/orders/${id}/signals/two`, {})).status, 200);
  assert.deepEqual(types(await finished(s, later)), ['order_created', 'zero_done', 'two_done', 'order_completed']);
  for (const id of begun)
    assert.deepEqual(types(await finished(s, id)), ['order_created', 'one_done', 'stage_waiting', 'stage_signalled',
      'two_done', 'three_done', 'order_completed']);
  assert.deepEqual(types(await finished(s, failing)).slice(-4), ['stage_failed', 'two_undone', 'one_undone', 'order_failed']);
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

test('few_orders_in_memory_and_many_under_way_lose_and_confuse_nothing', { timeout: 180_000 }, async () => {
  const s = await startStageline({ config: hostFile('limits: {orders_in_memory: 10}\n'),
    pipeline: fastPipeline({ latency: '1ms..20ms', stock: plenty, defaults: { retry: { attempts: 50, backoff: '5ms', max: '20ms' } },
      stages: { payment: { config: { failure_rate: 0.1, decline_rate: 0.05 } } } }) });
  await send(s, '/pipeline/stages/payment/pause', { reason: 'so that all are under way at once' });
  const accepted = new Map();
  for (let i = 0; i < 2000; i += 50)
    await Promise.all(Array.from({ length: 50 }, async (_, k) => {
      const body = order({ [k % 10 ? 'PROD-002' : 'PROD-004']: 1 });
      accepted.set((await place(s, body)).id, body);
    }));
  assert.equal((await getJson(s, '/stats')).in_flight, 2000);
  await s.restart();
  await send(s, '/pipeline/stages/payment/resume', { reason: 'all are' });
  const { orders, held } = await checkOrders(s, accepted, plenty, { deadline: 120_000 });
  assert.deepEqual([orders, held], [2000, 0]);
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

// Jumps of the wall clock (11): durations and retries do not care; orders and events go by their sequence.
import assert from 'node:assert/strict';
import test from 'node:test';
import { faultControl, result } from '../lib/faults.mjs';
import { checkFile, checkOrders } from '../lib/oracle.mjs';
import { allFinished, allOrders, look, order, place } from '../lib/orders.mjs';
import { fastPipeline, hostFile, plenty } from '../lib/pipeline.mjs';
import { placeScripted, send, stageIs, startScripted, types, when } from '../lib/scripted.mjs';
import { startStageline } from '../lib/stageline.mjs';

const HOUR = 3600;
const jumps = { '+1 h': HOUR, '-1 h': -HOUR, '+1 day': 24 * HOUR, '-1 day': -24 * HOUR, '-10 years': -3650 * 24 * HOUR };
const BACKOFF = 200;
const BEFORE = 15;

// Orders of which most wait for a retry when the clock jumps.
async function placeSome(s, accepted, n = BEFORE) {
  for (let i = 0; i < n; i++) {
    const body = order({ 'PROD-002': 1 });
    accepted.set((await place(s, body)).id, body);
  }
}

for (const [name, seconds] of Object.entries(jumps))
  for (const isRestarted of [false, true])
    test(`11_a_jump_of_${name.replace(' ', '_')}${isRestarted ? '_while_it_is_down' : ''}_neither_fires_nor_blocks_retries`, { timeout: 60_000 }, async () => {
      const faults = faultControl();
      const s = await startStageline({ env: faults.env, pipeline: fastPipeline({ latency: '1ms..10ms', stock: plenty,
        defaults: { retry: { attempts: 100, backoff: `${BACKOFF}ms`, factor: 1, max: `${BACKOFF}ms`, jitter: 0 } },
        stages: { payment: { config: { failure_rate: 0.5 } } } }) });
      const accepted = new Map();
      await placeSome(s, accepted);
      if (isRestarted)
        await s.kill();
      faults.setWallAhead(seconds);
      if (isRestarted)
        await s.restart();
      const before = performance.now();
      await placeSome(s, accepted);
      await allFinished(s, 15_000);
      const ms = Math.round(performance.now() - before);
      const { orders } = await checkOrders(s, accepted, plenty);
      assert.equal(orders, accepted.size);
      const listed = (await allOrders(s)).map((o) => o.id);
      assert.deepEqual(listed, [...accepted.keys()].reverse(), 'newest first, by sequence');
      // Retries of orders placed after the jump had their whole backoff.
      for (const id of [...accepted.keys()].slice(BEFORE)) {
        const { events } = await look(s, id);
        events.forEach((e, i) => {
          if (e.event_type === 'stage_retrying' && events[i + 1].stage === e.stage)
            assert.ok(Date.parse(events[i + 1].timestamp) - Date.parse(e.timestamp) >= BACKOFF - 2, `order ${id}: early`);
        });
      }
      assert.equal(await s.stop(), 0);
      result(11, `${name}${isRestarted ? ' while down' : ''}`, { orders, 'ms until all had ended': ms, events: checkFile(s) });
    });

for (const letter of ['W', 'R'])
  test(`11_a_clock_set_back_while_it_is_down_does_not_stretch_${letter === 'W' ? 'a_deadline' : 'a_delay'}`, { timeout: 60_000 }, async () => {
    const faults = faultControl();
    const s = await startScripted({ one: { retry: { attempts: 3, backoff: '1ms', max: '1ms' } } }, { env: faults.env });
    const id = await placeScripted(s, { one: `${letter}d` });
    await when(s, id, 'due later', ({ order: o }) => o.stages[0].due_at);
    await s.kill();
    faults.setWallAhead(-HOUR);
    await s.restart();
    await when(s, id, 'completed', ({ order: o }) => o.status === 'completed', 5000);
    assert.equal(await s.stop(), 0);
  });

test('11_a_jump_forward_does_not_fire_a_retry_of_an_order_that_was_out_of_memory', { timeout: 60_000 }, async () => {
  const faults = faultControl();
  const s = await startScripted({ slow: { retry: { attempts: 3, backoff: '2s', jitter: 0, max: '2s' } }, asks: { after: [] }, end: { after: ['slow', 'asks'] } },
    { env: faults.env, config: hostFile('limits: {orders_in_memory: 1}\n') });
  const id = await placeScripted(s, { slow: 'rd', asks: 'w' });
  const before = performance.now();
  await stageIs(s, id, 'slow', 'retrying');
  await stageIs(s, id, 'asks', 'waiting');
  for (let i = 0; i < 3; i++)
    await stageIs(s, await placeScripted(s, { slow: 'w', asks: 'w' }), 'asks', 'waiting');
  faults.setWallAhead(HOUR);
  assert.equal((await send(s, `/orders/${id}/signals/asks`, {})).status, 200);
  const whole = await when(s, id, 'completed', ({ order: o }) => o.status === 'completed');
  assert.ok(performance.now() - before > 1900, types(whole).join());
  assert.equal(await s.stop(), 0);
});

// One order among many kills the daemon whenever it is tried (8): it alone ends on hold.
import assert from 'node:assert/strict';
import test from 'node:test';
import { result, size } from '../lib/faults.mjs';
import { checkFile } from '../lib/oracle.mjs';
import { allOrders, getJson, look, post } from '../lib/orders.mjs';
import { seeded } from '../lib/random.mjs';
import { plugins, scripted, scriptedLine, stages } from '../lib/scripted.mjs';
import { startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const rounds = size(1, 10);
const ORDERS = 10_000;

// Keeps the daemon alive until every order ended or is on hold; how often it died.
async function nurse(s, deadline) {
  let deaths = 0;
  await until('every order but the poisoned one', async () => {
    const stats = s.isRunning && await getJson(s, '/stats').catch(() => null);
    if (!s.isRunning) {
      deaths++;
      await s.restart().catch(() => {}); // may die before it is ready
    }
    return stats && stats.accepted === ORDERS && stats.in_flight === stats.on_hold;
  }, { deadline, step: 20, detail: () => s.logs().slice(-2000) });
  return deaths;
}

test(`8_a_poison_order_among_10000_is_held_alone_${rounds}_times`, { timeout: rounds * 240_000 }, async () => {
  const random = seeded('poison');
  for (let i = 0; i < rounds; i++) {
    const s = await startStageline({ plugins, pipeline: scriptedLine({ attempts: 5, workers: 4 }) });
    const poisonAt = random.below(ORDERS);
    const poisoned = stages[random.below(stages.length)];
    let poison = null;
    let next = 0;
    const clients = Array.from({ length: 32 }, async () => {
      while (next < ORDERS) {
        const n = next++;
        const body = scripted(n === poisonAt ? { [poisoned]: 'c' } : {});
        for (;;) {
          const answer = await post(s, body, { 'Idempotency-Key': `n-${n}` })
            .then(async (a) => ({ status: a.status, body: await a.json() }), () => null);
          if (answer?.status === 200) {
            if (n === poisonAt)
              poison = answer.body.id;
            break;
          }
          await new Promise((done) => { setTimeout(done, 5); });
        }
      }
    });
    const deaths = await nurse(s, 200_000);
    await Promise.all(clients);
    await s.kill();
    await s.restart();
    const orders = await allOrders(s);
    const held = orders.filter((o) => o.status === 'on_hold');
    assert.deepEqual(held.map((o) => o.id), [poison], 'exactly the poisoned order is held');
    assert.equal(orders.filter((o) => o.status === 'completed').length, ORDERS - 1);
    const { events } = await look(s, poison);
    assert.ok(events.some((e) => e.event_type === 'attempt_lost' && e.stage === poisoned));
    assert.ok(deaths <= 5 + 1, `${deaths} deaths for 5 attempts`);
    assert.equal(await s.stop(), 0);
    result(8, 'poison order', { orders: ORDERS, deaths, held: held.length, events: checkFile(s), seed: random.seed });
  }
});

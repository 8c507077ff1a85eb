// Deaths and stops of the daemon at random instants under load (1, 19).
import assert from 'node:assert/strict';
import test from 'node:test';
import { result, size } from '../lib/faults.mjs';
import { startLoad } from '../lib/load.mjs';
import { checkFile, checkOrders, query } from '../lib/oracle.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { seeded } from '../lib/random.mjs';
import { startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const kills = size(25, 1000);
const stops = size(5, 100);
// Attempts that die with the daemon count; here none shall be used up.
const patient = { retry: { attempts: 1000, backoff: '10ms', max: '100ms' } };

async function instant(random, accepted) {
  const enough = accepted.size + random.below(40);
  const latest = performance.now() + random.below(300);
  await until('the instant', () => accepted.size >= enough || performance.now() > latest, { step: 1 });
}

async function killUnderLoad(times, name, more) {
  const random = seeded(name);
  const s = await startStageline({ pipeline: fastPipeline({ latency: '1ms..30ms', stock: plenty, defaults: { ...patient, ...more } }) });
  const load = startLoad(s, random);
  for (let i = 0; i < times; i++) {
    await instant(random, load.accepted);
    await s.kill();
    await s.restart();
  }
  await load.stop();
  const { orders, completed } = await checkOrders(s, load.accepted, plenty, { deadline: 120_000 });
  assert.ok(load.accepted.size > times, 'there was load');
  assert.equal(await s.stop(), 0);
  result(1, name, { kills: times, 'orders accepted': load.accepted.size, 'in the journal': orders, completed,
    events: checkFile(s), seed: random.seed });
}

test(`1_kill_9_at_${kills}_random_instants_loses_and_doubles_nothing`, { timeout: 60_000 + kills * 10_000 },
  () => killUnderLoad(kills, 'kill -9 under load', {}));

const killsOfProcesses = size(5, 200);
test(`1_kill_9_at_${killsOfProcesses}_random_instants_with_stages_in_processes`, { timeout: 60_000 + killsOfProcesses * 10_000 },
  () => killUnderLoad(killsOfProcesses, 'kill -9 under load, isolation: process', { isolation: 'process' }));

test('1_ready_with_100000_events_within_2_s_of_a_kill', { timeout: 300_000 }, async () => {
  const random = seeded('100,000 events');
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty, defaults: { workers: 2 } }) });
  const load = startLoad(s, random, { clients: 64, max: 17_000 });
  await load.done();
  await s.kill();
  const before = performance.now();
  await s.restart();
  const ms = Math.round(performance.now() - before);
  assert.equal(await s.stop(), 0);
  const [{ n }] = query(s, 'SELECT count(*) AS n FROM events');
  result(1, 'ready again after kill -9', { events: n, 'ms until ready': ms });
  assert.ok(n > 90_000, `${n} events`);
  assert.ok(ms < 2000, `${ms} ms`);
});

test(`19_SIGTERM_under_load_${stops}_times_drains_and_doubles_nothing`, { timeout: 60_000 + stops * 15_000 }, async () => {
  const random = seeded('SIGTERM');
  const s = await startStageline({ pipeline: fastPipeline({ latency: '1ms..200ms', stock: plenty }) });
  const load = startLoad(s, random);
  let slowest = 0;
  for (let i = 0; i < stops; i++) {
    await instant(random, load.accepted);
    const before = performance.now();
    assert.equal(await s.stop(), 0);
    slowest = Math.max(slowest, Math.round(performance.now() - before));
    await s.restart();
  }
  await load.stop();
  const { orders } = await checkOrders(s, load.accepted, plenty, { deadline: 120_000 });
  assert.equal(await s.stop(), 0);
  const twice = query(s, 'SELECT count(*) AS n FROM events WHERE attempt > 1');
  assert.equal(twice[0].n, 0, 'an attempt that was drained was given out again');
  assert.ok(slowest < 10_000, `${slowest} ms`);
  result(19, 'SIGTERM under load', { stops, orders, 'ms for the slowest stop': slowest, events: checkFile(s),
    seed: random.seed });
});

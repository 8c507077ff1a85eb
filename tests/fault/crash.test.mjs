// The process dies at each place that the source names (2). Needs a build with -Dcrash_points=true.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import test from 'node:test';
import { result, size } from '../lib/faults.mjs';
import { startLoad } from '../lib/load.mjs';
import { checkFile, checkOrders, query } from '../lib/oracle.mjs';
import { finished, getJson, order, place } from '../lib/orders.mjs';
import { fastPipelineText, pipelineFile, plenty } from '../lib/pipeline.mjs';
import { seeded } from '../lib/random.mjs';
import { send } from '../lib/scripted.mjs';
import { root, startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const times = size(1, 10);

function pointsInSource() {
  const lines = execFileSync('grep', ['-rhoE', 'CRASH_POINT\\("[^"]+"\\)', 'core'], { cwd: root, encoding: 'utf8' });
  return lines.trim().split('\n').map((line) => /"(.*)"/.exec(line)[1]);
}

const textWith = (workers) => fastPipelineText({ latency: '0ms..3ms', stock: plenty,
  defaults: { workers, retry: { attempts: 1000, backoff: '1ms', max: '5ms' } },
  stages: { payment: { config: { failure_rate: 0.2 } }, shipping: { config: { decline_rate: 0.1 } } } });
const pipeline = pipelineFile(textWith(4));
const edited = pipelineFile(textWith(5)); // so that a generation becomes current at the start that is to die
let workers = 5;

// A journal with unfinished orders, the daemon down.
async function leftover(random) {
  const s = await startStageline({ pipeline });
  const accepted = new Map();
  for (;;) {
    const load = startLoad(s, random, { clients: 8 });
    await until('some orders', () => load.accepted.size > 10, { step: 1 });
    await s.kill();
    await load.stop();
    for (const [id, body] of load.accepted)
      accepted.set(id, body);
    const [{ n }] = query(s, 'SELECT count(*) AS n FROM orders WHERE is_open = 1');
    if (n > 0)
      return { s, accepted };
    await s.restart(); // on a stalled machine all were through
  }
}

const resume = (s) => send(s, '/pipeline/stages/payment/resume', { reason: 'test' });

// The pipeline is loaded anew while orders wait in front of a stage, and they are moved to it.
async function reloadAndMove(s) {
  await send(s, '/pipeline/stages/payment/pause', { reason: 'test' });
  await until('orders that wait', async () => (await getJson(s, '/pipeline')).stages[1].live.waiting > 4);
  const from = (await getJson(s, '/pipeline')).generation;
  workers = workers === 5 ? 6 : 5;
  writeFileSync(edited, textWith(workers));
  await send(s, '/pipeline/reload', {});
  await send(s, '/pipeline/migrate', { from, reason: 'test' });
  await resume(s);
}

// Orders that have ended are erased while others go on.
async function eraseSome(s, accepted, n) {
  for (let i = 0; i < n; i++) {
    const body = order({ 'PROD-002': 1 });
    const { id } = await place(s, body);
    accepted.set(id, body);
    await finished(s, id);
    const answer = await send(s, `/orders/${id}/erase`, { reason: 'test' });
    assert.equal(answer.status, 200);
  }
}

// A request that failed is fine when the daemon died of it.
const died = (s, error) => until('its death', () => !s.isRunning, { deadline: 5_000 }).catch(() => { throw error; });

// Starts, works and stops until it dies on the way, at the n-th passing of the point.
async function liveUntilDeath(s, random, accepted, point, n) {
  const doomed = await startStageline({ pipeline: edited, port: s.port, dataDir: s.dataDir,
    env: { STAGELINE_CRASH_AT: `${point}:${n}` } }).catch((error) => error);
  if (doomed instanceof Error) {
    assert.match(doomed.message, /SIGKILL/, `${point}: the start failed for another reason`);
    return true;
  }
  const enough = point === 'checkpoint' ? 5000 : 700; // its log must grow to some 16 MiB
  const load = startLoad(doomed, random, { max: 3 * enough });
  await reloadAndMove(doomed).then(() => eraseSome(doomed, accepted, 5 * n)).catch((error) => died(doomed, error));
  await until('death or the end of the work', () => !doomed.isRunning || load.accepted.size >= enough, { deadline: 60_000 });
  const code = doomed.isRunning ? await doomed.stop() : null;
  await load.stop();
  for (const [id, body] of load.accepted)
    accepted.set(id, body);
  return code === null;
}

for (const point of pointsInSource()) {
  test(`2_a_death_at_${point}_is_survived`, { timeout: 120_000 * times }, async () => {
    const random = seeded(point);
    for (let i = 0; i < times; i++) {
      const { s, accepted } = await leftover(random);
      const n = i === 0 ? 1 : 1 + random.below(20);
      const died = await liveUntilDeath(s, random, accepted, point, n);
      assert.ok(died || n > 1, `${point} was never reached`);
      await s.restart();
      await resume(s); // where it died in between
      await checkOrders(s, accepted, plenty);
      assert.equal(await s.stop(), 0);
      checkFile(s);
    }
    result(2, point, { deaths: times, seed: random.seed });
  });
}

test('2_no_point_stands_twice', () => {
  const points = pointsInSource();
  assert.ok(points.length >= 15, `${points.length} points`);
  assert.equal(new Set(points).size, points.length, String(points));
});

// The process dies at each place that the source names (2). Needs a build with -Dcrash_points=true.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import test from 'node:test';
import { result, size } from '../lib/faults.mjs';
import { startLoad } from '../lib/load.mjs';
import { checkFile, checkOrders } from '../lib/oracle.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { seeded } from '../lib/random.mjs';
import { root, startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const times = size(1, 10);

function pointsInSource() {
  const lines = execFileSync('grep', ['-rhoE', 'CRASH_POINT\\("[^"]+"\\)', 'core'], { cwd: root, encoding: 'utf8' });
  return lines.trim().split('\n').map((line) => /"(.*)"/.exec(line)[1]);
}

const pipelineWith = (workers) => fastPipeline({ latency: '0ms..3ms', stock: plenty,
  defaults: { workers, retry: { attempts: 1000, backoff: '1ms', max: '5ms' } },
  stages: { payment: { config: { failure_rate: 0.2 } }, shipping: { config: { decline_rate: 0.1 } } } });
const pipeline = pipelineWith(4);
const edited = pipelineWith(5); // so that a generation becomes current at the start that is to die

// A journal with unfinished orders, the daemon down.
async function leftover(random) {
  const s = await startStageline({ pipeline });
  const load = startLoad(s, random, { clients: 8 });
  await until('some orders', () => load.accepted.size > 10, { step: 1 });
  await s.kill();
  await load.stop();
  return { s, accepted: load.accepted };
}

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

// (i) other buses and isolations against memory bus and threads: the same load, one line per variant.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { redisBus, startRedis } from '../lib/redis.mjs';
import { build, startWorker } from '../lib/stageline.mjs';
import { dropData, startDaemon } from './daemon.mjs';
import { saturate } from './throughput.mjs';
import { atRate } from './latency.mjs';

const TASKS = 4; // of an order

// One daemon that runs no stage, and one worker, on this machine.
async function oneWorker() {
  const redis = await startRedis();
  const bus = redisBus(redis, { worker: false, lease: '15s', timeout: '5s', out: 4000 });
  const worker = startWorker(bus);
  return { bus, end: async () => { await worker.stop(); await redis.kill(); } };
}

// The first is what the others are compared with. `defaults`: of every stage in the pipeline file; `flags`:
// of the daemon.
const variants = [
  { name: 'memory bus, threads', defaults: {}, flags: [] },
  { name: 'Redis, one worker process', defaults: {}, flags: [], around: oneWorker },
  { name: 'isolation: process', defaults: { isolation: 'process' }, flags: [] },
  { name: 'isolation: process, sandbox: off', defaults: { isolation: 'process', sandbox: 'off' }, flags: [] },
];

// Tasks of the inventory stage alone, through each kind of pool.
function isolations({ quick, show }) {
  const out = execFileSync(join(build, 'tests/bench/isolation'), [join(build, 'plugins'), quick ? '20000' : '200000'],
    { encoding: 'utf8' });
  const runs = out.trim().split('\n').map((text) => JSON.parse(text));
  for (const run of runs) {
    show(`pool, ${run.name}: tasks`, run.per_second, '/s');
    show(`pool, ${run.name}: CPU per task, all processes`, run.cpu_us, 'µs');
    show(`pool, ${run.name}: … more than a thread`, run.cpu_us - runs[0].cpu_us, 'µs');
    show(`pool, ${run.name}: one task alone, p50`, run.alone_us, 'µs');
  }
}

export async function buses({ quick, show }) {
  isolations({ quick, show });
  let first = null;
  for (const { name, defaults, flags, around } of variants) {
    const other = await around?.();
    const s = await startDaemon('variant', { pipeline: { defaults }, flags, bus: other?.bus ?? 'memory' });
    const run = await saturate(s, quick ? 3 : 10);
    const slow = await atRate(s, 50, quick ? 2 : 10);
    await s.stop();
    await other?.end();
    dropData('variant');
    first ??= run;
    show(`${name}: orders completed`, run.perSecond, '/s');
    show(`${name}: against the first`, run.perSecond / first.perSecond, '', around && { min: 0.5 });
    if (around)
      show(`${name}: tasks`, run.perSecond * TASKS, '/s', { min: 10_000 });
    show(`${name}: CPU of the daemon per order`, run.cpuPerOrder * 1e6, 'µs');
    show(`${name}: POST → completed at 50/s, p99`, slow.completed.p99_ms, 'ms');
  }
}

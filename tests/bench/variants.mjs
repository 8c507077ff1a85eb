// (i) other buses and isolations against memory bus and threads: the same load, one line per variant.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { build } from '../lib/stageline.mjs';
import { dropData, startDaemon } from './daemon.mjs';
import { saturate } from './throughput.mjs';
import { atRate } from './latency.mjs';

// The first is what the others are compared with. `defaults`: of every stage in the pipeline file; `flags`:
// of the daemon.
const variants = [
  { name: 'memory bus, threads', defaults: {}, flags: [] },
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
  for (const { name, defaults, flags } of variants) {
    const s = await startDaemon('variant', { pipeline: { defaults }, flags });
    const run = await saturate(s, quick ? 3 : 10);
    const slow = await atRate(s, 50, quick ? 2 : 10);
    await s.stop();
    dropData('variant');
    first ??= run;
    show(`${name}: orders completed`, run.perSecond, '/s');
    show(`${name}: against the first`, run.perSecond / first.perSecond, '');
    show(`${name}: CPU of the daemon per order`, run.cpuPerOrder * 1e6, 'µs');
    show(`${name}: POST → completed at 50/s, p99`, slow.completed.p99_ms, 'ms');
  }
}

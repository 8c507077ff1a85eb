// (i) other buses and isolations against memory bus and threads: the same load, one line per variant.
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

export async function buses({ quick, show }) {
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
    show(`${name}: CPU per order`, run.cpuPerOrder * 1e6, 'µs');
    show(`${name}: POST → completed at 50/s, p99`, slow.completed.p99_ms, 'ms');
  }
}

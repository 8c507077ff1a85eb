// The daemon under measurement: the build that people run, its data on a disk, what it uses.
import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fastPipelineText, pipelineFile } from '../lib/pipeline.mjs';
import { getJson } from '../lib/orders.mjs';
import { build, startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

// Not in /tmp, which may be memory.
export const folder = process.env.STAGELINE_BENCH_DIR ?? join(build, 'bench');

const stock = { 'PROD-001': 1e9, 'PROD-002': 1e9, 'PROD-003': 1e9, 'PROD-004': 0 };
export const TICKS_PER_S = 100; // USER_HZ

// startDaemon('throughput'): on an empty folder of that name; { keep: true }: on what is there. `pipeline`: as for
// fastPipelineText(); `more`: lines behind it.
export function startDaemon(name, { keep = false, pipeline = {}, more = '', ...options } = {}) {
  const dataDir = join(folder, name);
  if (!keep)
    rmSync(dataDir, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return startStageline({ dataDir,
    pipeline: pipelineFile(fastPipelineText({ stock, ...pipeline }) + more),
    deadline: 120_000, ...options });
}

export function dropData(name) {
  rmSync(join(folder, name), { recursive: true, force: true });
}

export const journalOf = (s) => join(s.dataDir, 'journal.sqlite');

export function rssKiB(pid) {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

// CPU seconds so far: the whole process, and the net loop and the sequencer by thread, most first.
export function cpu(pid) {
  const seconds = (file) => {
    const fields = readFileSync(file, 'utf8').replace(/^.*\) /s, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
  };
  return { total: seconds(`/proc/${pid}/stat`),
    threads: readdirSync(`/proc/${pid}/task`).map((tid) => ({ tid, seconds: seconds(`/proc/${pid}/task/${tid}/stat`) }))
      .sort((a, b) => b.seconds - a.seconds) };
}

export const stats = (s) => getJson(s, '/stats');

// Until nothing is in flight; the last /stats, with the time it was seen at.
export async function drained(s, { deadline = 600_000, step = 20 } = {}) {
  let last = null;
  await until('every order to finish', async () => {
    last = await stats(s);
    return last.in_flight === 0;
  }, { deadline, step, detail: () => JSON.stringify(last) });
  return { ...last, at: performance.now() };
}

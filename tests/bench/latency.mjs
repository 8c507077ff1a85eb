// (d) from POST to completed, at 50 orders/s.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from '../lib/stageline.mjs';
import { order } from '../lib/orders.mjs';
import { dropData, startDaemon } from './daemon.mjs';
import { syncMs } from './machine.mjs';

const RATE = 50;
// An order's commits one after the other: placed, and one for each of four stages; two pages each at least. Most of the
// time until the next order the disk rests, and takes longer for what comes then.
const COMMITS = { writes: 5, bytes: 8192, restMs: 1000 / RATE - 4 };

export async function atRate(s, rate, seconds) {
  const { stdout } = await promisify(execFile)(join(build, 'tests/bench/latency'),
    [s.port, rate, seconds, JSON.stringify(order({ 'PROD-001': 1, 'PROD-002': 2 }))].map(String));
  return JSON.parse(stdout);
}

export async function latency({ quick, show }) {
  const s = await startDaemon('latency');
  await atRate(s, RATE, 1);
  const run = await atRate(s, RATE, quick ? 3 : 20);
  await s.stop();
  dropData('latency');
  const disk = syncMs(COMMITS);
  show('POST → completed, p50', run.completed.p50_ms, 'ms', { max: 2.5 });
  show('POST → completed, p99', run.completed.p99_ms, 'ms', { max: 8 });
  show('POST → completed, max', run.completed.max_ms, 'ms');
  show(`disk alone: ${COMMITS.writes} commits in a row, p50`, disk, 'ms');
  show('POST → completed, p50, without the disk', run.completed.p50_ms - disk, 'ms');
  show('the generator sent late, p50', run.late.p50_ms, 'ms');
  show('POST → answered, p50', run.answered.p50_ms, 'ms');
  show('POST → answered, p99', run.answered.p99_ms, 'ms');
  show('orders not completed', run.sent - run.completed.n, '', { max: 0 });
}

// (a) orders completed per second, and (b) the floor: what SQLite alone needs for the same rows.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from '../lib/stageline.mjs';
import { cpu, drained, dropData, folder, journalOf, startDaemon, stats } from './daemon.mjs';
import { wrk } from './wrk.mjs';

// Posts for so long and waits for the last completion.
export async function saturate(s, seconds) {
  const before = { stats: await stats(s), cpu: cpu(s.pid), at: performance.now() };
  const posted = await wrk(`${s.url}/orders`, { seconds });
  const end = await drained(s);
  const after = cpu(s.pid);
  const took = (end.at - before.at) / 1000;
  const orders = end.completed - before.stats.completed;
  return { orders, took, posted, perSecond: orders / took,
    batch: (end.events_since_start - before.stats.events_since_start)
      / (end.commits_since_start - before.stats.commits_since_start),
    commitsPerSecond: (end.commits_since_start - before.stats.commits_since_start) / took,
    cpuPerOrder: (after.total - before.cpu.total) / orders,
    threads: after.threads.slice(0, 8).map((t) => t.seconds / after.total) };
}

// Rows of the floor that the journal does not have: 0, or floor.c writes something else than the daemon does.
function strangeRows(copy, journal) {
  const missing = (table, what) => `(SELECT count(*) FROM (SELECT * FROM ${table} EXCEPT
    SELECT * FROM j.${table} WHERE ${what} <= (SELECT max(seq) FROM orders)))`;
  return Number(execFileSync('sqlite3', [copy, `ATTACH '${journal}' AS j; SELECT ${missing('events', 'order_seq')}
    + ${missing('orders', 'seq')} + ${missing('product_blocks', 'block')}`], { encoding: 'utf8' }));
}

// The first orders of that journal, written again by one thread.
export function writeFloor(journal, orders, batch) {
  const copy = join(folder, 'floor', 'floor.sqlite');
  mkdirSync(join(folder, 'floor'), { recursive: true });
  const answer = JSON.parse(execFileSync(join(build, 'tests/bench/floor'), [journal, copy, String(orders), String(batch)]));
  const strange = strangeRows(copy, journal);
  dropData('floor');
  return { ...answer, strange, perSecond: answer.orders / answer.seconds };
}

export async function throughput({ quick, show }) {
  const s = await startDaemon('throughput');
  await wrk(`${s.url}/orders`, { seconds: 1 });
  await drained(s);
  const run = await saturate(s, quick ? 3 : 20);
  await s.stop();
  const floor = writeFloor(journalOf(s), quick ? 10_000 : 100_000, run.batch);
  dropData('throughput');
  show('orders completed', run.perSecond, '/s', { min: 16_000 });
  show('orders accepted', run.posted.perSecond, '/s');
  show('posts refused or broken', run.posted.refused + run.posted.broken, '', { max: 0 });
  show('POST answered, p50', run.posted.p50_ms, 'ms');
  show('POST answered, p99', run.posted.p99_ms, 'ms');
  show('events per commit', run.batch, '');
  show('commits', run.commitsPerSecond, '/s');
  show('CPU of the daemon per order', run.cpuPerOrder * 1e6, 'µs');
  show('… of it in its busiest threads', run.threads.slice(0, 3).map((t) => `${Math.round(t * 100)} %`).join(', '));
  show('floor: SQLite alone', floor.perSecond, '/s');
  show('floor: rows that the journal does not have', floor.strange, '', { max: 0 });
  show('orders completed / floor', run.perSecond / floor.perSecond, '', { min: 0.4 });
}

// (h) many watchers, each of an order of their own: they see it, and the others' orders hardly notice.
import { join } from 'node:path';
import { build } from '../lib/stageline.mjs';
import { order } from '../lib/orders.mjs';
import { start } from './children.mjs';
import { cpu, drained, dropData, startDaemon, stats } from './daemon.mjs';
import { atRate } from './latency.mjs';
import { wrk } from './wrk.mjs';

// Only the watched orders stay under way for a while, as long as the measuring takes.
const slowStage = (latency) => `  - ${JSON.stringify({ name: 'parcel', plugin: 'validation', status: 'waiting_for_parcel',
  event: 'parcel_ready', in_flight: 100_000, timeout: '10m', when: { field: 'customer_email', equals: 'watched@example.com' },
  config: { latency } })}\n`;

// Resolves when everything is placed and watched, to { ended }.
function startWatchers(s, n, blind) {
  const body = JSON.stringify(order({ 'PROD-002': 1 }, { customer_email: 'watched@example.com' }));
  const child = start(join(build, 'tests/bench/watchers'), [s.port, n, 300, body, ...(blind ? ['blind'] : [])]);
  const ended = new Promise((done) => child.on('close', () => done(JSON.parse(/^\{.*\}$/m.exec(child.text)?.[0] ?? 'null'))));
  return new Promise((ready, fail) => {
    child.on('error', fail);
    child.stdout.on('data', () => child.text.startsWith('ready\n') && ready({ ended }));
    ended.then(() => fail(new Error(`watchers ended: ${child.text}`)));
  });
}

// Orders completed per second while wrk posts, and what one costs.
async function rate(s, seconds) {
  const before = { done: (await stats(s)).completed, cpu: cpu(s.pid).total, at: performance.now() };
  await wrk(`${s.url}/orders`, { seconds });
  const done = (await stats(s)).completed - before.done;
  return { perSecond: done / (performance.now() - before.at) * 1000, cpuUs: (cpu(s.pid).total - before.cpu) / done * 1e6 };
}

async function round(s, n, seconds, blind) {
  const { ended } = await startWatchers(s, n, blind);
  const measured = await rate(s, seconds);
  const seen = await ended;
  await drained(s);
  return { ...measured, blind, unseen: seen.placed - seen.completed };
}

const mean = (list, what) => list.reduce((sum, x) => sum + x[what], 0) / list.length;

export async function watch({ quick, show }) {
  const n = quick ? 500 : 5000;
  const seconds = quick ? 3 : 10;
  const s = await startDaemon('watch', { more: slowStage(quick ? '3s..8s' : '10s..30s') });
  const crowd = await startWatchers(s, n, false);
  const flow = await atRate(s, 500, quick ? 3 : 20);
  const seen = await crowd.ended;
  show('watchers', seen.watched, '', { min: n });
  show('… that saw their order completed, at 500 orders/s', seen.completed, '', { min: n });
  show('… how late, p50', seen.lag.p50_ms, 'ms');
  show('… how late, p99', seen.lag.p99_ms, 'ms');
  show('the 500 orders/s: POST → completed, p99', flow.completed.p99_ms, 'ms');
  await drained(s);

  // In an order that a drift of the machine falls out of.
  const rounds = [];
  for (const blind of quick ? [true, false] : [true, false, false, true])
    rounds.push(await round(s, n, seconds, blind));
  const without = rounds.filter(({ blind }) => blind);
  const watched = rounds.filter(({ blind }) => !blind);
  await s.stop();
  dropData('watch');
  show('saturated, nobody watches', mean(without, 'perSecond'), '/s');
  show(`saturated, ${n.toLocaleString('en')} watchers`, mean(watched, 'perSecond'), '/s');
  show('… with / without', mean(watched, 'perSecond') / mean(without, 'perSecond'), '', { min: 0.85 });
  show('… CPU per order, with / without', mean(watched, 'cpuUs') / mean(without, 'cpuUs'), '');
  show('… watchers that did not see theirs completed', Math.max(...watched.map(({ unseen }) => unseen)), '', { max: 0 });
}

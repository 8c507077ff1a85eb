// (j) growth, the rest of (e), (f) start and (g) lists: a journal of a million orders, made by the daemon itself.
// It stays in the folder of the benches, for those that only read it.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { cpu, drained, folder, rssKiB, startDaemon } from './daemon.mjs';
import { postUntil } from './memory.mjs';

const sizeOf = (quick) => (quick ? 30_000 : 1_000_000);
const stamp = join(folder, 'grown', 'orders');

// `what` ('at', 'cpu') when the n-th order was completed, between two looks.
function valueAt(samples, what, n) {
  const i = samples.findIndex((sample) => sample.done >= n);
  const a = samples[Math.max(i - 1, 0)];
  const b = samples[i];
  return b.done === a.done ? b[what] : a[what] + (b[what] - a[what]) * (n - a.done) / (b.done - a.done);
}

const perOrderUs = (samples, what, from, to) => (
  (valueAt(samples, what, to) - valueAt(samples, what, from)) * 1000 / (to - from));

// The daemon on its new journal, and what was seen on the way.
async function grow(n) {
  const s = await startDaemon('grown');
  const samples = [];
  const look = (now) => samples.push({ at: performance.now(), cpu: cpu(s.pid).total * 1000,
    done: now.completed + now.failed, rss: rssKiB(s.pid) });

  await postUntil(s, n, { orders: 'varied' }, look);
  look(await drained(s));
  writeFileSync(stamp, String(n));
  return { s, samples };
}

async function grown(quick) {
  const n = sizeOf(quick);
  if (!existsSync(stamp) || Number(readFileSync(stamp, 'utf8')) !== n)
    await (await grow(n)).s.stop();
  return startDaemon('grown', { keep: true });
}

export async function growth({ quick, show }) {
  const n = sizeOf(quick);
  const { s, samples } = await grow(n);
  const rssAt = (m) => samples.find((sample) => sample.done >= m).rss / 1024;
  // Around a hundredth, a tenth, and at the end; wide enough that one checkpoint does not decide.
  const windows = [[n / 200, n / 40], [n / 12.5, n / 8], [0.9 * n, n]]
    .map(([from, to]) => ({ from, to, us: perOrderUs(samples, 'at', from, to), cpu: perOrderUs(samples, 'cpu', from, to) }));
  for (const { from, to, us, cpu: cpuUs } of windows) {
    show(`time per order, from ${from.toLocaleString('en')} to ${to.toLocaleString('en')} orders`, us, 'µs');
    show('… CPU of the daemon', cpuUs, 'µs');
  }
  for (const { to, us } of windows.slice(1))
    show(`… at ${to.toLocaleString('en')} against the first`, us / windows[0].us, '', { max: 1.2 });
  show(`memory after ${(n / 5).toLocaleString('en')} orders`, rssAt(n / 5), 'MiB');
  show(`memory after ${n.toLocaleString('en')} orders`, rssAt(n), 'MiB');
  show('… growth between them', rssAt(n) / rssAt(n / 5), '', { max: 1.05 });
  await s.stop();
}

export async function start({ quick, show }) {
  const s = await grown(quick);
  const times = [];
  const { last_seq: events } = await (await fetch(`${s.url}/stats`)).json();
  for (let i = 0; i < 3; i++) {
    await s.stop();
    const begin = performance.now();
    await s.restart();
    times.push((performance.now() - begin) / 1000);
  }
  await s.stop();
  show(`exec to /readyz 200 with ${events.toLocaleString('en')} events`, times.sort((a, b) => a - b)[1], 's', { max: 1 });
  show('… the slowest of three', times[2], 's', { max: 1 });
}

const queries = [
  ['newest', ''],
  ['deep in the list', 'cursor=HALF'],
  ['status: nearly all', 'status=completed'],
  ['status: rare', 'status=failed'],
  ['status: none has it', 'status=on_hold'],
  ['status: open', 'status=open'],
  ['address: one customer', 'q=customer0042@example.com'],
  ['address: start of all', 'q=customer'],
  ['address: start of all, rare status', 'q=customer&status=failed'],
  ['address: nobody\'s', 'q=zoe@example.com'],
  ['product: in every order', 'q=PROD-001'],
  ['product: in a tenth', 'q=PROD-003'],
  ['product: rare', 'q=PROD-004'],
  ['product: in every order, rare status', 'q=PROD-001&status=failed'],
  ['product: in every order, deep', 'q=PROD-001&cursor=HALF'],
];

function timedGet(agent, url) {
  return new Promise((done, fail) => {
    const begin = performance.now();
    get(url, { agent }, (answer) => {
      answer.resume();
      answer.on('end', () => (answer.statusCode === 200 ? done(performance.now() - begin)
        : fail(new Error(`${url}: ${answer.statusCode}`))));
    }).on('error', fail);
  });
}

export async function lists({ quick, show }) {
  const s = await grown(quick);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const { last_seq: last } = await (await fetch(`${s.url}/stats`)).json();
  for (const [name, query] of queries) {
    const times = [];
    for (let i = 0; i < (quick ? 5 : 50); i++)
      times.push(await timedGet(agent, `${s.url}/orders?limit=50&${query.replace('HALF', Math.round(last / 2))}`));
    times.sort((a, b) => a - b);
    show(`${name}, p50`, times[times.length >> 1], 'ms', { max: 50 });
    show(`${name}, max`, times.at(-1), 'ms');
  }
  agent.destroy();
  await s.stop();
}

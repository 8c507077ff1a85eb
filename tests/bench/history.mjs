// The journal's file looked at as a whole, with nobody writing it: events per second and memory.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary } from '../lib/stageline.mjs';
import { start } from './children.mjs';
import { drained, dropData, folder, journalOf, startDaemon } from './daemon.mjs';
import { postUntil } from './memory.mjs';

const SAMPLE_MS = 10;

// Runs the command to its good end: { seconds, MiB at its most }.
async function timed(args) {
  const child = start(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const begin = performance.now();
  let most = 0, words = '';
  child.stderr.setEncoding('utf8').on('data', (chunk) => { words += chunk; });
  const look = setInterval(() => {
    const status = `/proc/${child.pid}/status`;
    const peak = existsSync(status) && /^VmHWM:\s+(\d+)/m.exec(readFileSync(status, 'utf8'));
    most = Math.max(most, Number(peak?.[1] ?? 0));
  }, SAMPLE_MS);
  const code = await new Promise((done) => { child.on('close', done); });
  clearInterval(look);
  if (code !== 0)
    throw new Error(`${args.join(' ')}: ${code}: ${words}`);
  return { seconds: (performance.now() - begin) / 1000, mib: most / 1024 };
}

async function journal(orders) {
  const s = await startDaemon('history');
  await postUntil(s, orders, { orders: 'varied' });
  const { last_seq: events } = await drained(s);
  await s.stop();
  return { file: journalOf(s), events };
}

const commands = [
  ['audit verify', (file) => ['audit', 'verify', '--journal', file]],
  ['replay --verify', (file) => ['replay', '--verify', '--journal', file], { min: 200_000 }],
  ['audit export', (file) => ['audit', 'export', '--journal', file, '--output', join(folder, 'history.jsonl')]],
  ['audit import', () => ['audit', 'import', join(folder, 'history.jsonl'), join(folder, 'history.sqlite')]],
  ['recover', (file) => ['recover', file, join(folder, 'recovered.sqlite')]],
];

function dropFiles() {
  for (const name of ['history.jsonl', 'history.sqlite', 'recovered.sqlite'])
    dropData(name);
}

export async function history({ quick, show }) {
  const peaks = new Map();
  for (const orders of quick ? [2000, 10_000] : [20_000, 170_000]) {
    const { file, events } = await journal(orders);
    dropFiles();
    for (const [name, args, target] of commands) {
      const { seconds, mib } = await timed(args(file));
      const isLast = peaks.has(name);
      if (isLast) {
        show(`${name}, ${events.toLocaleString('en')} events`, events / seconds, '/s', target);
        show('… memory at its most', mib, 'MiB');
        show('… against a journal of an eighth', mib / peaks.get(name), '', name === 'replay --verify' ? { max: 1.2 } : undefined);
      }
      peaks.set(name, mib);
    }
  }
  dropFiles();
  dropData('history');
}

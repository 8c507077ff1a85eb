// `bench.mjs [NAME…] [--quick]`: runs the benches, prints their figures beside their targets, writes them as JSON.
// A full run of all of them writes RESULTS.md.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../lib/stageline.mjs';
import { folder } from './daemon.mjs';
import { growth, lists, start } from './grown.mjs';
import { history } from './history.mjs';
import { http } from './http.mjs';
import { latency } from './latency.mjs';
import { machine, watchOthers } from './machine.mjs';
import { memory } from './memory.mjs';
import { line, verdict, writeJson, writePage } from './report.mjs';
import { throughput } from './throughput.mjs';
import { buses } from './variants.mjs';
import { watch } from './watch.mjs';

const benches = [
  { name: 'throughput', title: 'orders through the four shipped stages, 64 connections', run: throughput },
  { name: 'http', title: 'the HTTP part', run: http },
  { name: 'latency', title: 'POST to completed, 50 orders/s on an open-loop schedule', run: latency },
  { name: 'memory', title: 'resident memory', run: memory },
  { name: 'growth', title: 'one continuous run to a million orders', run: growth },
  { name: 'start', title: 'start on that journal', run: start },
  { name: 'lists', title: 'lists and searches in it, 50 orders each', run: lists },
  { name: 'watch', title: 'a WebSocket per order', run: watch },
  { name: 'history', title: 'the journal looked at as a whole, from its file', run: history },
  { name: 'buses', title: 'buses and isolations', run: buses },
];

function chosen(args) {
  const names = args.filter((a) => a !== '--quick');
  const unknown = names.find((name) => !benches.some((b) => b.name === name));
  if (unknown) {
    console.error(`no bench '${unknown}'; there are: ${benches.map((b) => b.name).join(' ')}`);
    process.exit(2);
  }
  return names.length ? benches.filter((b) => names.includes(b.name)) : benches;
}

async function runOne({ name, title, run }, quick, figures) {
  const start = performance.now();
  const others = watchOthers();
  console.log(`\n${name}: ${title}`);
  const show = (what, value, unit = '', target = undefined) => {
    const figure = { bench: name, title, name: what, value, unit, target };
    figures.push(figure);
    console.log(line(figure));
  };
  const failed = await run({ quick, show }).then(() => null, (error) => error);
  if (failed)
    console.log(`  FAILED: ${failed.message}`);
  show('processors taken by other programs meanwhile', others(), '%');
  console.log(`  (${Math.round((performance.now() - start) / 1000)} s)`);
  return failed;
}

const args = process.argv.slice(2);
const quick = args.includes('--quick');
const list = chosen(args);
const figures = [];
mkdirSync(folder, { recursive: true });
const where = machine();
console.log(Object.entries(where).map(([key, value]) => `${key}: ${value}`).join('\n'));
let failures = 0;
for (const bench of list)
  if (await runOne(bench, quick, figures))
    failures++;

writeJson(join(folder, 'results.json'), { machine: where, quick, figures });
if (!quick && !failures && list.length === benches.length)
  writePage(join(root, 'tests/bench/RESULTS.md'), { machine: where, figures });
const missed = figures.filter((f) => verdict(f) === 'MISSED').length;
console.log(`\n${figures.filter((f) => f.target).length - missed} targets met, ${missed} missed${quick ? ' (--quick: too short to mean much)' : ''}; ${join(folder, 'results.json')}`);
process.exit(failures ? 1 : 0);

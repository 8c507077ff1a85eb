// What GET /metrics says, and Prometheus' own tool to doubt it.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './stageline.mjs';

// packaging/dev says in PATH where it put it; without that it is looked for in the usual build folder.
const PATH = `${process.env.PATH}:${join(root, 'build/tools')}`;

// promtool(['check', 'metrics'], { input }): { status, output }.
export function promtool(args, options = {}) {
  const end = spawnSync('promtool', args, { encoding: 'utf8', env: { ...process.env, PATH }, ...options });
  if (end.error)
    throw new Error(`promtool: ${end.error.message}; packaging/dev test installs it`);
  return { status: end.status, output: end.stdout + end.stderr };
}

export async function scrape(s) {
  const answer = await fetch(`${s.url}/metrics`);
  return { type: answer.headers.get('content-type'), text: await answer.text() };
}

const unescaped = (value) => value.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));

// The samples of a text: [{ name, labels, value }].
export function samples(text) {
  return text.split('\n').filter((line) => line && !line.startsWith('#')).map((line) => {
    const [, name, , inner = '', value] = /^(\w+)(\{(.*)\})? (\S+)$/.exec(line);
    const labels = Object.fromEntries([...inner.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, k, v]) => [k, unescaped(v)]));
    return { name, labels, value: Number(value) };
  });
}

// metric(text, 'stageline_stage_waiting', { stage: 'payment' }): the value of the one sample that fits.
export function metric(text, name, labels = {}) {
  const found = samples(text).filter((sample) => sample.name === name
    && Object.entries(labels).every(([k, v]) => sample.labels[k] === v));
  if (found.length !== 1)
    throw new Error(`${found.length} samples of ${name} ${JSON.stringify(labels)}`);
  return found[0].value;
}

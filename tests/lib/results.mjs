// `results.mjs RUNS PAGE`: writes the page of the long fault runs. A row is replaced by a newer run of the same
// test and stays otherwise, so that runs of single numbers add to the page.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const [, , runs, page] = process.argv;
const key = (row) => `${row.number} ${row.name}`;
const rows = new Map();

if (existsSync(page))
  for (const line of readFileSync(page, 'utf8').split('\n')) {
    const [, number, name, text, commit, date] = line.split('|').map((cell) => cell.trim());
    if (/^\d+$/.test(number))
      rows.set(`${number} ${name}`, { number: Number(number), name, text, commit, date });
  }
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
const date = new Date().toISOString().slice(0, 10);
for (const line of readFileSync(runs, 'utf8').split('\n').filter(Boolean)) {
  const row = JSON.parse(line);
  rows.set(key(row), { ...row, commit, date });
}
const sorted = [...rows.values()].sort((a, b) => a.number - b.number || a.name.localeCompare(b.name));
writeFileSync(page, `# Fault tests: the last long runs

Written by \`packaging/dev fault --long\`; do not edit. The numbers are those of the test names.

| # | what | figures | commit | date |
|---|---|---|---|---|
${sorted.map((r) => `| ${r.number} | ${r.name} | ${r.text} | ${r.commit} | ${r.date} |`).join('\n')}
`);

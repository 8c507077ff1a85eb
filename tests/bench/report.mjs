// Figures with their targets: as a table, as JSON, as a page.
import { writeFileSync } from 'node:fs';

function digits(value) {
  if (typeof value !== 'number')
    return String(value);
  if (Number.isInteger(value) || Math.abs(value) >= 1000)
    return Math.round(value).toLocaleString('en');
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}

const shown = ({ value, unit }) => digits(value) + (unit ? (unit.startsWith('/') ? unit : ` ${unit}`) : '');

function goal({ target, unit }) {
  if (!target)
    return '';
  const sign = target.min !== undefined ? '≥' : '≤';
  return `${sign} ${shown({ value: target.min ?? target.max, unit })}`;
}

export function verdict({ value, target }) {
  if (!target)
    return '';
  return value >= (target.min ?? -Infinity) && value <= (target.max ?? Infinity) ? 'ok' : 'MISSED';
}

// One line of the table on the terminal.
export function line(figure) {
  return `  ${figure.name.padEnd(52)} ${shown(figure).padStart(16)}  ${goal(figure).padEnd(14)} ${verdict(figure)}`.trimEnd();
}

export function writeJson(path, run) {
  const figures = run.figures.map((f) => ({ ...f, verdict: verdict(f) || undefined }));
  writeFileSync(path, `${JSON.stringify({ ...run, figures }, null, 1)}\n`);
}

const sections = (figures) => [...new Map(figures.map((f) => [f.bench, f.title]))];

export function writePage(path, { machine, figures }) {
  const tables = sections(figures).map(([bench, title]) => `## ${bench}: ${title}

| what | measured | target | |
|---|--:|---|---|
${figures.filter((f) => f.bench === bench).map((f) => `| ${f.name} | ${shown(f)} | ${goal(f)} | ${verdict(f)} |`).join('\n')}
`);
  writeFileSync(path, `# Benches: the last full run

Written by \`packaging/dev bench\`; do not edit. One run, one machine: compare the ratios, not the numbers, with
those of other machines.

| machine | |
|---|---|
${Object.entries(machine).map(([key, value]) => `| ${key.replaceAll('_', ' ')} | ${digits(value)} |`).join('\n')}

${tables.join('\n')}`);
}

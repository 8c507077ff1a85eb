// The commands that read the journal's file, and files of journals as tests change them.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { journalFile } from './oracle.mjs';
import { order, place, finished } from './orders.mjs';
import { runStageline, temporaryFolder } from './stageline.mjs';

// Runs one; with its JSON, where it printed some.
export async function run(...args) {
  const end = await runStageline(args.map(String), { deadline: 60_000 });
  const text = end.out.trim();
  return { ...end, json: text.startsWith('{') && !text.includes('\n') ? JSON.parse(text) : undefined };
}

export const audit = (action, file, ...args) => run('audit', action, '--journal', file, ...args);
export const replay = (mode, file, ...args) => run('replay', mode, '--journal', file, ...args);

// A few orders, ended: of two products, one that fails.
export async function trade(s, n = 5) {
  const ids = [];
  for (let i = 0; i < n; i++)
    ids.push((await place(s, order(i % 3 === 2 ? { 'PROD-004': 1 } : { 'PROD-001': 1, 'PROD-002': i + 1 }))).id);
  for (const id of ids)
    await finished(s, id);
  return ids;
}

// A copy of the journal of a server that is down.
export function copyJournal(s) {
  const file = join(temporaryFolder(), 'journal.sqlite');
  copyFileSync(journalFile(s), file);
  if (existsSync(`${journalFile(s)}-wal`))
    copyFileSync(`${journalFile(s)}-wal`, `${file}-wal`);
  return file;
}

export const sql = (file, text) => execFileSync('sqlite3', [file, text], { encoding: 'utf8' });

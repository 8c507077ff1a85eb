// Damage to the journal's file (12): every one is found and named, and what precedes it is saved.
import assert from 'node:assert/strict';
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { result, runProgram, size } from '../lib/faults.mjs';
import { trade } from '../lib/history.mjs';
import { journalFile } from '../lib/oracle.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { seeded } from '../lib/random.mjs';
import { startStageline, temporaryFolder } from '../lib/stageline.mjs';

const damages = size(50, 10_000);

// A journal of a stopped daemon, or of a killed one, with its log.
async function base(isKilled) {
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }) });
  const file = join(temporaryFolder(), 'base.sqlite');
  await trade(s, 40);
  if (!isKilled)
    await s.restart();
  await trade(s, 20);
  await s[isKilled ? 'kill' : 'stop']();
  copyFileSync(journalFile(s), file);
  assert.equal(existsSync(`${journalFile(s)}-wal`), isKilled);
  if (isKilled)
    copyFileSync(`${journalFile(s)}-wal`, `${file}-wal`);
  return file;
}

for (const [name, isKilled] of [['stopped', false], ['killed', true]]) {
  test(`12_${damages / 2}_damages_of_the_journal_of_a_${name}_daemon_are_found_and_what_precedes_is_saved`,
    { timeout: 60_000 + damages * 200 }, async () => {
      const random = seeded(`damage-${name}`);
      const seed = process.env.SEED ? random.seed : random.seed >>> 0;
      const out = await runProgram('damage', await base(isKilled), process.env.SEED ? 1 : damages / 2, seed);
      result(12, `damage to the journal of a ${name} daemon`, Object.fromEntries([
        ...out.matchAll(/(\d+) ([a-z ]+)/g)].map(([, n, what]) => [what, n]).concat([['first seed', seed]])));
    });
}

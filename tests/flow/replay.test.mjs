// The journal folded once more: `stageline replay`.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { copyJournal, replay, sql, trade } from '../lib/history.mjs';
import { journalFile } from '../lib/oracle.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { startStageline } from '../lib/stageline.mjs';

let s;

before(async () => {
  s = await startStageline({ pipeline: fastPipeline() });
  await trade(s, 6);
});
after(async () => { if (s.isRunning) await s.stop(); });

test('verify_compares_every_row_beside_the_running_daemon', async () => {
  const { code, json, err } = await replay('--verify', journalFile(s), '--json');
  assert.equal(code, 0, err);
  assert.equal(json.ok, true);
  assert.ok(json.rows > 10);
  const progress = err.trim().split('\n').map((line) => JSON.parse(line));
  assert.equal(progress.at(-1).done, json.events);
  await s.stop();
  assert.match((await replay('--verify', journalFile(s))).out, /^\d+ events give the \d+ rows that are there\n$/);
});

for (const [name, change, words] of [
  ['a_changed_row', 'UPDATE state SET value = 99 WHERE key = \'stock/PROD-001\'',
    /state, row stock\/PROD-001: value is '99', the events give '96'/],
  ['a_missing_row', 'DELETE FROM orders WHERE seq = (SELECT min(seq) FROM orders)', /orders, row \d+: missing/],
  ['a_row_too_many', 'INSERT INTO idempotency VALUES(\'k\', 3)', /idempotency, row k: no event gives it/],
]) {
  test(`verify_names_${name}`, async () => {
    const copy = copyJournal(s);
    sql(copy, change);
    const { code, json } = await replay('--verify', copy, '--json');
    assert.deepEqual([code, json.ok, json.fault], [1, false, 'difference']);
    assert.match(json.detail, words);
    assert.match((await replay('--verify', copy)).err, words);
  });
}

test('verify_sees_a_wrong_event_first', async () => {
  const copy = copyJournal(s);
  sql(copy, 'UPDATE events SET time_us = time_us + 1 WHERE seq = 5; DELETE FROM orders');
  const { code, json } = await replay('--verify', copy, '--json');
  assert.deepEqual([code, json.fault, json.seq], [1, 'changed', 5]);
});

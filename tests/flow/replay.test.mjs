// The journal folded once more: `stageline replay`.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { copyJournal, replay, run, sql, trade } from '../lib/history.mjs';
import { journalFile } from '../lib/oracle.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { startStageline, temporaryFolder } from '../lib/stageline.mjs';

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

// --- --rebuild ---

test('rebuild_gives_back_what_the_events_say', async () => {
  const copy = copyJournal(s);
  const rows = 'SELECT * FROM orders; SELECT * FROM state; SELECT * FROM product_blocks; SELECT * FROM idempotency; SELECT * FROM generations; SELECT name FROM sqlite_schema ORDER BY name';
  sql(copy, 'DELETE FROM orders; UPDATE state SET value = 1; INSERT INTO idempotency VALUES(\'x\', 1)');
  const end = await replay('--rebuild', copy, '--json');
  assert.deepEqual([end.code, end.json.ok], [0, true], end.err);
  assert.equal(sql(copy, rows), sql(journalFile(s), rows));
  assert.equal((await replay('--verify', copy)).code, 0);
});

test('rebuild_changes_nothing_when_an_event_is_wrong', async () => {
  const copy = copyJournal(s);
  sql(copy, 'UPDATE events SET attempt = 5 WHERE seq = 7; UPDATE state SET value = 1');
  const had = sql(copy, '.dump');
  const end = await replay('--rebuild', copy);
  assert.deepEqual([end.code, /event 7 was changed/.test(end.err)], [1, true], end.err);
  assert.equal(sql(copy, '.dump'), had);
});

test('rebuild_is_refused_while_a_daemon_has_the_journal', async () => {
  await s.restart();
  const end = await replay('--rebuild', journalFile(s));
  assert.deepEqual([end.code, /stop the daemon first: .*another process writes this journal/.test(end.err)], [1, true], end.err);
});

// --- --until ---

const until = (moment, ...args) => run('replay', '--journal', journalFile(s), '--until', moment, ...args);

test('until_writes_the_journal_as_it_was', async () => {
  const to = join(temporaryFolder(), 'past.sqlite');
  const times = sql(journalFile(s), 'SELECT time_us FROM events WHERE seq = 20').trim();
  const end = await until('20', to, '--json');
  assert.deepEqual([end.code, end.json], [0, { ok: true, events: 20, until: 20 }], end.err);
  assert.equal(sql(to, 'SELECT max(seq), max(time_us) FROM events'), `20|${times}\n`);
  assert.equal((await replay('--verify', to)).code, 0);
  assert.equal((await until('20', to)).code, 1, 'it is there already');
});

test('until_takes_a_time', async () => {
  const to = join(temporaryFolder(), 'past.sqlite');
  const [us, seq] = sql(journalFile(s), 'SELECT time_us, max(seq) FROM events WHERE time_us <= (SELECT time_us FROM events WHERE seq = 15)').trim().split('|').map(Number);
  const time = new Date(Math.floor(us / 1000)).toISOString().replace(/\.\d+Z/, `.${String(us % 1e6).padStart(6, '0')}Z`);
  const end = await until(time, to, '--json');
  assert.deepEqual([end.code, end.json?.until], [0, seq], end.err);
  assert.match((await until('1999-01-01T00:00:00Z', `${to}2`)).err, /no event so early/);
  assert.equal((await until('soon', `${to}2`)).code, 2);
});

// History that can be checked: `stageline audit`, on the journal's file.
import assert from 'node:assert/strict';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { audit, copyJournal, run, sql, trade } from '../lib/history.mjs';
import { journalFile } from '../lib/oracle.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { startStageline, temporaryFolder } from '../lib/stageline.mjs';

let s, file, whole;

before(async () => {
  s = await startStageline({ pipeline: fastPipeline() });
  await trade(s, 6);
  whole = (await audit('verify', journalFile(s), '--json')).json;
  await s.stop();
  file = journalFile(s);
});

const headText = ({ head }) => `${head.seq}:${head.hash}`;

test('verify_works_beside_the_running_daemon', async () => {
  assert.equal(whole.ok, true);
  assert.equal(whole.events, whole.head.seq);
  assert.equal(whole.head.hash, sql(file, `SELECT lower(hex(hash)) FROM events WHERE seq = ${whole.head.seq}`).trim());
  await s.restart();
  const again = await audit('verify', journalFile(s), '--head', headText(whole));
  assert.equal(again.code, 0, again.err);
  assert.match(again.out, /events are what was appended; head=\d+:[0-9a-f]{64}/);
  await s.stop();
});

for (const [fault, change, words] of [
  ['changed', 'UPDATE events SET payload = payload || \' \' WHERE seq = 8', /event 8 was changed: its payload/],
  ['deleted', 'DELETE FROM events WHERE seq = 9', /event 9 was deleted/],
  ['inserted', `UPDATE events SET seq = -seq WHERE seq > 9; UPDATE events SET seq = -seq + 1 WHERE seq < 0;
    INSERT INTO events SELECT 10, time_us, order_seq, kind, type, stage, attempt, id, salt, payload, digest, hash
    FROM events WHERE seq = 9`, /event 10 was inserted/],
  ['reordered', `UPDATE events SET seq = -5 WHERE seq = 10; UPDATE events SET seq = 10 WHERE seq = 12;
    UPDATE events SET seq = 12 WHERE seq = -5`, /event 10 was reordered/],
]) {
  test(`an_event_that_was_${fault}_is_named`, async () => {
    const copy = copyJournal(s);
    sql(copy, change);
    const words_ = await audit('verify', copy);
    assert.equal(words_.code, 1);
    assert.match(words_.err, words);
    const { code, json } = await audit('verify', copy, '--json');
    assert.deepEqual([code, json.ok, json.fault], [1, false, fault]);
    assert.match(json.detail, words);
    assert.equal(json.events, json.seq - 1);
  });
}

test('what_is_cut_off_shows_by_a_head_alone', async () => {
  const copy = copyJournal(s);
  const heads = join(temporaryFolder(), 'heads');
  sql(copy, 'DELETE FROM events WHERE seq > 20');
  assert.equal((await audit('verify', copy)).code, 0, 'a shorter chain is a whole one');
  const { code, json } = await audit('verify', copy, '--json', '--head', headText(whole));
  assert.deepEqual([code, json.fault, json.seq], [1, 'cut_off', 21]);
  writeFileSync(heads, `time=2026-01-31T10:00:00.000000Z head=${headText(whole)}\n`);
  assert.match((await audit('verify', copy, '--heads', heads)).err, /event 21 was cut off/);
});

test('a_head_of_another_history_is_told', async () => {
  const { code, json } = await audit('verify', file, '--json', '--head', `7:${'ab'.repeat(32)}`);
  assert.deepEqual([code, json.fault, json.seq], [1, 'rewritten', 7]);
});

test('from_looks_at_the_rest_alone', async () => {
  const copy = copyJournal(s);
  sql(copy, 'UPDATE events SET attempt = 9 WHERE seq = 4');
  assert.equal((await audit('verify', copy)).code, 1);
  const { code, json } = await audit('verify', copy, '--json', '--from', 10);
  assert.deepEqual([code, json.ok, json.events], [0, true, whole.head.seq - 9]);
});

test('a_damaged_page_is_named_by_its_event', async () => {
  const copy = copyJournal(s);
  // The root page of the table: nothing below it can be found.
  const page = Number(sql(copy, 'SELECT rootpage FROM sqlite_schema WHERE name = \'events\''));
  const fd = openSync(copy, 'r+');
  writeSync(fd, Buffer.alloc(4096, 0xa5), 0, 4096, 4096 * (page - 1));
  closeSync(fd);
  const { code, json } = await audit('verify', copy, '--json');
  assert.deepEqual([code, json.fault, json.seq], [1, 'unreadable', 1]);
});

test('wrong_usage_is_said_and_exits_with_2', async () => {
  for (const [args, words] of [
    [['audit'], /usage: stageline audit ACTION/], [['audit', 'nonsense'], /no action 'nonsense'/],
    [['audit', 'verify', '--head', 'x'], /--head 'x' is not SEQ:HASH/],
    [['audit', 'verify', '--from', '0'], /--from '0' is not a whole number/],
    [['audit', 'verify', 'more'], /does not know what to do with 'more'/],
    [['audit', 'verify', '--data', 'a', '--journal', 'b'], /either --journal or --data/],
    [['replay'], /--verify/]]) {
    const end = await run(...args);
    assert.equal(end.code, 2, args.join(' '));
    assert.match(end.err, words);
  }
  assert.match((await run('audit', 'verify', '--help')).out, /--head SEQ:HASH/);
  const missing = await audit('verify', '/nowhere/journal.sqlite');
  assert.deepEqual([missing.code, /No such file/.test(missing.err)], [1, true], missing.err);
});

after(async () => { if (s.isRunning) await s.stop(); });

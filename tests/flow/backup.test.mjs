// `stageline backup`: a copy of the journal while it is written, and going back to it.
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { after, before } from 'node:test';
import { audit, copyJournal, replay, run, sql, trade } from '../lib/history.mjs';
import { journalFile } from '../lib/oracle.mjs';
import { allOrders, finished, look, place } from '../lib/orders.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { startStageline, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

let s;
before(async () => { s = await startStageline({ pipeline: fastPipeline({ stock: plenty }) }); });
after(async () => { if (s.isRunning) assert.equal(await s.stop(), 0); });

const newFile = () => join(temporaryFolder(), 'copy.sqlite');
const backup = (to, ...more) => run('backup', to, '--journal', journalFile(s), ...more);

test('a_copy_while_orders_come_is_of_one_moment', async () => {
  let isOver = false, n = 0;
  const lines = [0, 1, 2, 3].map(async () => { for (; !isOver; n++) await place(s); });
  await until('orders', () => n > 100);
  const to = newFile();
  const { code, json, err } = await backup(to, '--json');
  const had = n;
  await until('orders to go on', () => n > had + 20);
  isOver = true;
  await Promise.all(lines);
  assert.equal(code, 0, err);
  assert.deepEqual([json.ok, json.file], [true, to]);
  const [seq, hash] = json.head.split(':');
  assert.equal(sql(journalFile(s), `SELECT lower(hex(hash)) FROM events WHERE seq = ${seq}`).trim(), hash);
  assert.equal(sql(to, 'SELECT max(seq) FROM events').trim(), seq);
  assert.equal((await replay('--verify', to)).code, 0);
  assert.deepEqual([...new Set(err.trim().split('\n').map((line) => JSON.parse(line).progress))], ['copy', 'verify']);
});

test('the_copy_is_one_file_that_others_cannot_read', async () => {
  const to = newFile();
  const { code, out, err } = await backup(to);
  assert.equal(code, 0, err);
  assert.match(out, /^\d+ events are in \S+copy\.sqlite; head=\d+:[0-9a-f]{64}\n$/);
  assert.equal((await audit('verify', to)).code, 0);
  assert.deepEqual(readdirSync(dirname(to)), ['copy.sqlite']);
  assert.equal(statSync(to).mode & 0o777, 0o600);
});

test('the_daemon_goes_on_from_a_copy_that_was_put_back', async () => {
  const early = await trade(s, 3);
  const to = newFile();
  assert.equal((await backup(to)).code, 0);
  const { id: late } = await place(s);
  await s.stop();
  copyFileSync(to, journalFile(s));
  for (const name of ['journal.sqlite-wal', 'journal.sqlite-shm', 'attempts'])
    rmSync(join(s.dataDir, name), { force: true });
  await s.restart();
  const ids = (await allOrders(s)).map((o) => o.id);
  assert.ok(early.every((id) => ids.includes(id)) && !ids.includes(late));
  const { id } = await place(s);
  assert.equal((await finished(s, id)).order.status, 'completed');
  assert.equal((await look(s, early[0])).order.status, 'completed');
  await s.stop();
  assert.equal((await replay('--verify', journalFile(s))).code, 0);
});

test('nothing_is_overwritten_and_nothing_half_is_left', async () => {
  const to = newFile();
  assert.equal((await backup(to)).code, 0);
  const again = await backup(to);
  assert.deepEqual([again.code, /is there already/.test(again.err)], [1, true], again.err);
  assert.match((await backup('/nowhere/copy.sqlite')).err, /No such file or directory/);
  const missing = newFile();
  assert.equal((await run('backup', missing, '--journal', '/nowhere/journal.sqlite')).code, 1);
  assert.deepEqual(readdirSync(dirname(missing)), []);
  assert.equal((await run('backup')).code, 2);
});

test('a_journal_with_a_wrong_event_is_copied_and_the_event_named', async () => {
  const wrong = copyJournal(s);
  sql(wrong, 'UPDATE events SET time_us = time_us + 1 WHERE seq = 5');
  const to = newFile();
  const { code, err } = await run('backup', to, '--journal', wrong);
  assert.equal(code, 1);
  assert.match(err, /copy\.sqlite' is the journal as it stands, and.*event 5 was changed/);
  assert.ok(existsSync(to));
});

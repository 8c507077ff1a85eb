// Archives: ended orders leave the journal for a file that proves them, and nothing that interrupts it loses one.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import test from 'node:test';
import { checkFile, journalFile, query } from '../lib/oracle.mjs';
import { allFinished, allOrders, finished, look, order, place, state } from '../lib/orders.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { onHold, placeScripted, send, startScripted, types } from '../lib/scripted.mjs';
import { binary, build, runStageline, startStageline, temporaryFolder } from '../lib/stageline.mjs';

const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
const archiveArgs = (s, file, more = []) => ['archive', '--before', tomorrow, '--data', s.dataDir, '--reason', 'year end', file, ...more];
const archive = (s, file, more) => runStageline(archiveArgs(s, file, more), { deadline: 60_000 });
const verify = (file) => runStageline(['audit', 'verify', '--archive', file]);
const newFile = () => join(temporaryFolder(), 'orders.archive');
const sqlite = (file, sql) => execFileSync('sqlite3', [file, sql], { encoding: 'utf8' });

async function placeMany(s, n, email) {
  for (let i = 0; i < n; i += 25)
    await Promise.all(Array.from({ length: 25 }, (_, k) => place(s, order({ 'PROD-002': 1 }, { customer_email: `${email}${i + k}@arc.example` }))));
  await allFinished(s);
}

test('ended_orders_move_into_a_file_that_proves_them', async () => {
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }) });
  const { id } = await place(s, order({ 'PROD-001': 1 }, { customer_email: 'archie@arc.example' }));
  const whole = await finished(s, id);
  await placeMany(s, 50, 'a');
  const had = await state(s, '');
  const busy = await archive(s, newFile());
  assert.equal(busy.code, 1);
  assert.match(busy.err, /stop the daemon first.*another process writes/);
  assert.equal(await s.stop(), 0);

  const file = newFile();
  const dry = await archive(s, file, ['--dry-run', '--json']);
  assert.equal(JSON.parse(dry.out).orders, 51);
  assert.ok(!existsSync(file));
  const done = await archive(s, file, ['--json']);
  assert.equal(done.code, 0, done.err);
  const told = JSON.parse(done.out);
  assert.equal(told.orders, 51);
  assert.equal(told.sha256, createHash('sha256').update(readFileSync(file)).digest('hex'));
  assert.match(done.err, /"progress":"archive"/);
  const checked = await verify(file);
  assert.equal(checked.code, 0, checked.err);
  assert.match(checked.out, /events are what was appended/);
  assert.match(sqlite(file, 'SELECT payload FROM events WHERE kind = 1'), /archie@arc\.example/);
  for (const name of readdirSync(s.dataDir))
    assert.ok(!readFileSync(join(s.dataDir, name)).includes('@arc.example'), `${name} has an address in it`);
  checkFile(s);

  await s.restart();
  const { order: o, events } = await look(s, id);
  assert.deepEqual([o.archived, o.archive, o.erased, o.customer_email], [true, { file: basename(file) }, undefined, undefined]);
  assert.equal(o.total_amount, whole.order.total_amount);
  assert.deepEqual(types({ events }), [...types(whole), 'order_archived']);
  assert.deepEqual(await state(s, ''), had);
  assert.ok((await allOrders(s)).every((row) => row.archived && row.status === 'completed'));
  const refused = await send(s, `/orders/${id}/erase`, { reason: 'test' });
  assert.equal(refused.status, 409);
  assert.match(refused.body.detail, /archived/);
  assert.equal((await place(s)).status, 'pending');
  await allFinished(s);
  assert.equal(await s.stop(), 0);
  const [{ payload }] = query(s, "SELECT payload FROM events WHERE type = 'orders_archived'");
  const { metadata, reason } = JSON.parse(payload);
  assert.deepEqual([metadata.file, metadata.sha256, metadata.orders, reason], [basename(file), told.sha256, 51, 'year end']);
  const next = newFile();
  const second = await archive(s, next, ['--json']);
  assert.deepEqual([JSON.parse(second.out).orders, JSON.parse(second.out).removed_before], [1, 51]);
  assert.equal((await verify(next)).code, 0);
  checkFile(s);
});

test('an_order_can_be_erased_in_an_archive_which_stays_that_of_its_journal', async () => {
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }) });
  const email = (n) => ({ customer_email: `erik${n}@arc.example` });
  const [{ id }, { id: other }] = [await place(s, order(undefined, email(1))), await place(s, order(undefined, email(2)))];
  await allFinished(s);
  assert.equal(await s.stop(), 0);
  const file = newFile();
  assert.equal((await archive(s, file)).code, 0);
  const whole = readFileSync(file);
  const compare = (name = file, ...more) => runStageline(['audit', 'verify', '--archive', name, '--data', s.dataDir, '--json', ...more]);
  const first = await compare();
  assert.equal(first.code, 0, first.err);
  assert.equal(JSON.parse(first.out).archive.as_written, true);

  const erase = (...args) => runStageline(['erase', '--archive', file, '--reason', 'GDPR', ...args]);
  const done = await erase(id, '--json');
  assert.equal(done.code, 0, done.err);
  assert.deepEqual([done.code, JSON.parse(done.out)], [0, { erased: id, sha256: createHash('sha256').update(readFileSync(file)).digest('hex') }]);
  assert.ok(!readFileSync(file).includes('erik1@') && readFileSync(file).includes('erik2@'));
  for (const end of ['-wal', '-shm', '-journal'])
    assert.ok(!existsSync(`${file}${end}`), end);
  const again = await compare();
  assert.equal(again.code, 0, again.err);
  const { archive: told } = JSON.parse(again.out);
  assert.deepEqual([told.as_written, told.erased], [false, 1]);
  assert.match(sqlite(file, `SELECT value FROM meta WHERE key = 'erased/${id}'`), /"reason":"GDPR"/);
  assert.deepEqual([(await erase(id)).code, (await erase('0')).code], [1, 2], 'it is not there any more');
  assert.equal((await runStageline(['erase', '--archive', journalFile(s), '--reason', 'x', other])).code, 1, 'no archive');

  const changed = async (sql, words) => {
    const copy = newFile();
    writeFileSync(copy, whole);
    sqlite(copy, sql);
    const end = await compare(copy);
    assert.deepEqual([end.code, words.test(end.out)], [1, true], end.out + end.err);
  };
  await changed('VACUUM; PRAGMA user_version = 4; UPDATE orders SET email = \'x\'', /not byte by byte the one that event \d+ of the journal names/);
  await changed(`UPDATE events SET payload = NULL, salt = NULL WHERE order_seq = (SELECT min(seq) FROM orders);
    DELETE FROM orders WHERE seq = (SELECT min(seq) FROM orders)`, /written with 2 orders, and has 1 and 0 that were erased/);
  const t = await startStageline({ pipeline: fastPipeline({ stock: plenty }) });
  assert.equal(await t.stop(), 0);
  const strange = await runStageline(['audit', 'verify', '--archive', file, '--data', t.dataDir]);
  assert.deepEqual([strange.code, /the journal has no event of an archive of events/.test(strange.err)], [1, true], strange.err);
});

test('orders_under_way_on_hold_and_too_young_stay', async () => {
  const s = await startScripted({ one: {}, two: {} });
  const done = await placeScripted(s);
  await finished(s, done);
  const held = await placeScripted(s, { two: 'r' });
  await onHold(s, held);
  const last = await placeScripted(s);
  await finished(s, last);
  assert.equal(await s.stop(), 0);
  const none = await runStageline(['archive', '--before', '2001-01-01', '--data', s.dataDir, '--reason', 'x', newFile()]);
  assert.equal(none.code, 0);
  assert.match(none.err, /No order/);
  const file = newFile();
  assert.equal((await archive(s, file)).code, 0);
  const checked = await verify(file);
  assert.equal(checked.code, 0, checked.err);
  assert.match(checked.err, /the content of \d+ events is elsewhere/);
  checkFile(s);
  await s.restart();
  assert.equal((await look(s, held)).order.customer_email, 'ann@example.com');
  assert.equal((await look(s, done)).order.archived, true);
  await send(s, '/dead-letters/skip', { ids: [held], reason: 'test' });
  assert.equal((await finished(s, held)).order.status, 'completed');
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

test('changes_of_an_archive_are_named', async () => {
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }) });
  await placeMany(s, 25, 'c');
  assert.equal(await s.stop(), 0);
  const file = newFile();
  assert.equal((await archive(s, file)).code, 0);
  const pristine = readFileSync(file);
  for (const [sql, want] of [
    ["UPDATE events SET payload = replace(payload, 'arc.example', 'arc.exempel') WHERE seq = 3", /event 3/],
    ['UPDATE events SET payload = NULL WHERE seq = 9', /event 9.*payload is missing/],
    ['UPDATE events SET payload = NULL, salt = NULL WHERE seq = 3', /event 3.*payload is missing/],
    ['UPDATE events SET time_us = time_us + 1 WHERE seq = 20', /event 20/],
    ['DELETE FROM events WHERE seq = 15', /event 15/],
  ]) {
    writeFileSync(file, pristine);
    sqlite(file, sql);
    const { code, err } = await verify(file);
    assert.equal(code, 1, sql);
    assert.match(err, want, sql);
  }
  const journal = await verify(journalFile(s));
  assert.equal(journal.code, 1);
  assert.match(journal.err, /no archive/);
  const asJournal = await runStageline(['audit', 'verify', '--journal', file]);
  assert.equal(asJournal.code, 1, 'an archive is no journal');
});

test('a_file_that_is_there_is_not_replaced_and_nothing_is_removed', async () => {
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }) });
  await placeMany(s, 25, 'f');
  assert.equal(await s.stop(), 0);
  const file = newFile();
  writeFileSync(file, 'mine');
  const there = await archive(s, file);
  assert.equal(there.code, 1);
  assert.match(there.err, /is there already/);
  assert.equal(readFileSync(file, 'utf8'), 'mine');
  const nowhere = await archive(s, join(temporaryFolder(), 'missing', 'a'));
  assert.equal(nowhere.code, 1);
  assert.match(nowhere.err, /No such file/);
  mkdirSync(`${file}2.partial`);
  assert.equal((await archive(s, `${file}2`)).code, 1);
  assert.deepEqual(query(s, 'SELECT count(*) AS n FROM orders WHERE removed_seq IS NOT NULL'), [{ n: 0 }]);
  checkFile(s);
});

test('a_file_system_that_does_not_rename_without_replacing_takes_archives_too', async () => {
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }) });
  await placeMany(s, 25, 'n');
  assert.equal(await s.stop(), 0);
  const file = newFile();
  const { code, err } = await runStageline(archiveArgs(s, file), { wrapper: [join(build, 'tests/lib/lacking'), 'renameat2'] });
  assert.equal(code, 0, err);
  assert.deepEqual(readdirSync(dirname(file)), [basename(file)]);
  assert.equal((await verify(file)).code, 0);
  checkFile(s);
});

test('what_an_archive_that_was_interrupted_left_beside_the_file_goes', async () => {
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }) });
  await placeMany(s, 25, 'l');
  assert.equal(await s.stop(), 0);
  const file = newFile();
  for (const end of ['', '-wal', '-shm', '-journal'])
    writeFileSync(`${file}.partial${end}`, 'left');
  assert.equal((await archive(s, file)).code, 0);
  assert.deepEqual(readdirSync(dirname(file)), [basename(file)]);
  assert.equal((await verify(file)).code, 0);
  checkFile(s);
});

test('a_full_disk_under_the_archive_changes_nothing', async () => {
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }) });
  await placeMany(s, 200, 'd');
  assert.equal(await s.stop(), 0);
  const file = newFile();
  const limited = spawn('sh', ['-c', 'ulimit -f 64; trap "" XFSZ; exec "$0" "$@"', binary, ...archiveArgs(s, file)], { stdio: ['ignore', 'ignore', 'pipe'] });
  let err = '';
  limited.stderr.on('data', (chunk) => { err += chunk; });
  const code = await new Promise((done) => { limited.on('close', done); });
  assert.equal(code, 1, err);
  assert.ok(!existsSync(file));
  assert.deepEqual(query(s, 'SELECT count(*) AS n FROM orders WHERE removed_seq IS NOT NULL'), [{ n: 0 }]);
  checkFile(s);
  assert.equal((await archive(s, file)).code, 0);
  assert.equal((await verify(file)).code, 0);
  checkFile(s);
});

test('kill_9_at_any_moment_loses_no_order', { timeout: 180_000 }, async (t) => {
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }) });
  await placeMany(s, 1000, 'k');
  assert.equal(await s.stop(), 0);
  const files = [];
  let deaths = 0;
  for (let i = 0; i < 12; i++) {
    const file = newFile();
    const child = spawn(binary, archiveArgs(s, file), { stdio: 'ignore' });
    const ended = new Promise((done) => { child.on('close', (code, signal) => done({ code, signal })); });
    const timer = setTimeout(() => child.kill('SIGKILL'), 15 + 25 * i);
    const { code, signal } = await ended;
    clearTimeout(timer);
    assert.ok(code === 0 || signal === 'SIGKILL', `${code} ${signal}`);
    deaths += signal === 'SIGKILL';
    if (existsSync(file))
      files.push(file);
    checkFile(s);
    for (const { seq, payload } of query(s, 'SELECT o.seq, e.payload FROM orders o JOIN events e ON e.seq = o.seq WHERE o.removed_seq IS NOT NULL')) {
      assert.equal(JSON.parse(payload).removed, 'archived');
      assert.ok(files.some((f) => sqlite(f, `SELECT payload FROM events WHERE seq = ${seq}`).includes('@arc.example')), `order ${seq} is nowhere`);
      if (seq > 200)
        break; // the file is the same for all of a run: a sample is enough
    }
    if (code === 0)
      break;
  }
  t.diagnostic(`${deaths} deaths, ${files.length} files`);
  assert.ok(deaths > 0);
  const last = newFile();
  assert.equal((await archive(s, last)).code, 0);
  if (existsSync(last))
    files.push(last);
  for (const file of files)
    assert.equal((await verify(file)).code, 0);
  const seqs = new Set(files.flatMap((f) => sqlite(f, 'SELECT seq FROM orders').trim().split('\n')));
  assert.equal(seqs.size, 1000, 'every order is in some archive');
  assert.deepEqual(query(s, 'SELECT count(*) AS n FROM orders WHERE removed_seq IS NULL'), [{ n: 0 }]);
  checkFile(s);
});

for (const [name, args, want] of [
  ['no_day', ['--reason', 'x', 'f'], /needs --before/], ['nonsense', ['--before', 'may', '--reason', 'x', 'f'], /must be a day/],
  ['no_reason', ['--before', '2026-01-31', 'f'], /--reason/], ['no_file', ['--before', '2026-01-31', '--reason', 'x'], /FILE/],
]) {
  test(`wrong_usage_${name}`, async () => {
    const { code, err } = await runStageline(['archive', '--data', temporaryFolder(), ...args]);
    assert.equal(code, 2);
    assert.match(err, want);
  });
}

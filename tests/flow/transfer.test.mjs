// History as files: `stageline audit export|import|prove`, and the proof checked without Stageline.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { audit, copyJournal, replay, run, sql, trade } from '../lib/history.mjs';
import { journalFile } from '../lib/oracle.mjs';
import { look } from '../lib/orders.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { root, startStageline, temporaryFolder } from '../lib/stageline.mjs';

let s, ids, file, exported, head;

before(async () => {
  s = await startStageline({ pipeline: fastPipeline() });
  ids = await trade(s, 6);
  const end = await audit('export', journalFile(s));
  assert.equal(end.code, 0, end.err);
  exported = end.out;
  head = /head=(\d+:[0-9a-f]{64})/.exec(end.err)[1];
});
after(async () => { if (s.isRunning) await s.stop(); });

const folderFile = (name) => join(temporaryFolder(), name);
const columns = 'SELECT seq, time_us, order_seq, kind, hex(type), hex(stage), attempt, hex(id), hex(salt), hex(payload), typeof(payload), hex(digest), hex(hash) FROM events';

function imported(text, ...args) {
  const from = folderFile('export.jsonl');
  const to = folderFile('new.sqlite');
  writeFileSync(from, text);
  return run('audit', 'import', from, to, ...args).then((end) => ({ ...end, from, to }));
}

test('an_export_is_a_line_per_event_beside_the_running_daemon', async () => {
  const lines = exported.trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(lines[0], { stageline: 'journal', version: 1 });
  assert.deepEqual(lines.at(-1), { head, events: lines.length - 2 });
  assert.deepEqual(lines.slice(1, -1).map((e) => e.seq), lines.slice(1, -1).map((_, i) => i + 1));
  assert.equal(lines.find((e) => e.type === 'order_created').payload.order.customer_email, 'ann@example.com');
  await s.stop();
  file = journalFile(s);
});

test('a_round_trip_gives_the_same_journal', async () => {
  const { code, err, to } = await imported(exported);
  assert.equal(code, 0, err);
  assert.equal(sql(to, columns), sql(file, columns));
  assert.equal(sql(to, 'SELECT * FROM orders; SELECT * FROM state; SELECT * FROM idempotency; PRAGMA journal_mode'),
    sql(file, 'SELECT * FROM orders; SELECT * FROM state; SELECT * FROM idempotency; PRAGMA journal_mode'));
  assert.equal((await audit('verify', to, '--head', head)).code, 0);
  assert.equal((await replay('--verify', to)).code, 0);
  assert.equal((await audit('export', to)).out, exported);
  const schema = (path) => sql(path, '.schema').split('\n').sort();
  assert.deepEqual(schema(to), schema(file));
});

test('import_never_touches_a_file_that_is_there', async () => {
  const { to, from } = await imported(exported);
  const had = readFileSync(to);
  const again = await run('audit', 'import', from, to);
  assert.deepEqual([again.code, /is there already/.test(again.err)], [1, true], again.err);
  assert.deepEqual(readFileSync(to), had);
});

for (const [name, change, words] of [
  ['a_line_that_is_no_json', (l) => { l[7] = '{"seq":'; }, /export\.jsonl:8: /],
  ['a_changed_payload', (l) => { l[9] = l[9].replace(/"payload":\{/, '"payload":{"x":1,'); }, /export\.jsonl:10: event 9: its payload is not/],
  ['a_changed_header', (l) => { l[9] = l[9].replace(/"attempt":\d+/, '"attempt":7'); }, /export\.jsonl:10: event 9 is not what followed/],
  ['a_line_out_of_order', (l) => { [l[8], l[9]] = [l[9], l[8]]; }, /export\.jsonl:(9|10): event \d/],
  ['a_missing_line', (l) => { l.splice(8, 1); }, /export\.jsonl:9: event 8 is missing before this line/],
  ['a_missing_end', (l) => { l.splice(-2); }, /it ends here, without its last line/],
  ['a_missing_hash', (l) => { l[4] = l[4].replace(/"hash":"[0-9a-f]*",/, ''); }, /export\.jsonl:5: event 4: its hash is missing/],
  ['another_kind_of_file', (l) => { l[0] = '{"a":1}'; }, /export\.jsonl:1: it is not the first line of a journal/],
]) {
  test(`import_names_${name}_and_leaves_nothing`, async () => {
    const lines = exported.split('\n');
    change(lines);
    const { code, err, to } = await imported(lines.join('\n'));
    assert.equal(code, 1, err);
    assert.match(err, words);
    assert.throws(() => readFileSync(to), /ENOENT/);
    assert.throws(() => readFileSync(`${to}.partial`), /ENOENT/);
  });
}

test('export_stops_at_a_wrong_event_and_says_so', async () => {
  const copy = copyJournal(s);
  const to = folderFile('export.jsonl');
  sql(copy, 'UPDATE events SET time_us = 1 WHERE seq = 12');
  const end = await audit('export', copy, '--output', to);
  assert.deepEqual([end.code, /event 12 was changed/.test(end.err)], [1, true], end.err);
  assert.throws(() => readFileSync(to), /ENOENT/);
});

// --- proofs ---

const check = (path, ...heads) => {
  const end = spawnSync('python3', [join(root, 'packaging/check-proof.py'), path, ...heads], { encoding: 'utf8' });
  return { code: end.status, out: end.stdout, err: end.stderr };
};

async function prove(id, ...args) {
  const path = folderFile('proof.jsonl');
  const end = await run('audit', 'prove', id, '--journal', file, '--output', path, ...args);
  assert.equal(end.code, 0, end.err);
  return path;
}

test('a_proof_is_checked_by_a_script_without_stageline', async () => {
  const path = await prove(ids[1]);
  const { code, out, err } = check(path);
  assert.equal(code, 0, err);
  assert.match(out, new RegExp(`right: \\d+ events, order ${ids[1]}`));
  for (const type of ['order_created', 'payment_processed', 'order_completed'])
    assert.match(out, new RegExp(`^\\d+ .* ${type}$`, 'm'));
  assert.ok(readFileSync(join(root, 'packaging/check-proof.py'), 'utf8').split('\n').length < 100);
});

test('a_proof_says_nothing_of_other_orders', async () => {
  const text = readFileSync(await prove(ids[0], '--head', head), 'utf8');
  const own = text.split('\n').filter((line) => line.includes('"payload"')).map((line) => JSON.parse(line));
  assert.ok(own.length > 3);
  assert.equal(new Set(own.map((e) => e.order_seq)).size, 1);
  assert.equal(text.split('\n').filter((line) => line.includes('"salt"')).length, 1);
});

test('a_proof_reaches_a_head_that_was_noted', async () => {
  const path = await prove(ids[1], '--head', head);
  assert.match(check(path, head).out, new RegExp(`head=${head}`));
  const other = head.replace(/.$/, (c) => (c === '0' ? '1' : '0'));
  assert.match(check(path, other).err, /is not the one whose hash was noted/);
  assert.equal((await run('audit', 'prove', ids[1], '--journal', file, '--head', other)).code, 1);
});

for (const [name, change] of [
  ['its_content', (t) => t.replace('Payment captured', 'Payment declined')],
  ['its_header', (t) => t.replace(/"attempt":1/, '"attempt":2')],
  ['its_time', (t) => t.replace(/"time_us":(\d+)/, (_, n) => `"time_us":${Number(n) + 1}`)],
  ['its_end', (t) => t.trim().split('\n').slice(0, -1).join('\n')],
  ['a_line_less', (t) => t.split('\n').filter((_, i) => i !== 3).join('\n')],
]) {
  test(`a_proof_with_${name}_changed_is_refused`, async () => {
    const path = await prove(ids[1]);
    const had = readFileSync(path, 'utf8');
    const changed = change(had);
    assert.notEqual(changed, had);
    writeFileSync(path, changed);
    const { code, err } = check(path);
    assert.deepEqual([code, /proof\.jsonl:\d+: /.test(err)], [1, true], err);
  });
}

test('an_export_is_checked_by_the_same_script', async () => {
  const path = folderFile('export.jsonl');
  writeFileSync(path, exported);
  assert.match(check(path, head).out, /^right: \d+ events$/m);
});

test('no_such_order_is_said', async () => {
  const end = await run('audit', 'prove', '01890a5d-ac96-774b-bcce-b302099a8057', '--journal', file);
  assert.deepEqual([end.code, /no such order/.test(end.err)], [1, true]);
  assert.equal((await run('audit', 'prove', 'x', '--journal', file)).code, 2);
});

test('an_erased_order_is_exported_and_proven_as_what_remains', async () => {
  await s.restart();
  const answer = await fetch(`${s.url}/orders/${ids[0]}/erase`, { method: 'POST',
    headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ reason: 'asked for' }) });
  assert.equal(answer.status, 200, await answer.text());
  assert.equal((await look(s, ids[0])).order.erased, true);
  await s.stop();
  const { out } = await audit('export', file);
  const { code, err, to } = await imported(out);
  assert.equal(code, 0, err);
  assert.equal(sql(to, columns), sql(file, columns));
  assert.equal((await replay('--verify', to)).code, 0);
  assert.match(check(await prove(ids[0])).out, /order_created {2}\(erased: only remains\)/);
});

// What can be saved from a damaged journal: `stageline recover`.
import assert from 'node:assert/strict';
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, rmSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { audit, copyJournal, replay, run, sql, trade } from '../lib/history.mjs';
import { journalFile } from '../lib/oracle.mjs';
import { finished, getJson, look, place } from '../lib/orders.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { startStageline, temporaryFolder } from '../lib/stageline.mjs';

const PAGE = 4096;
let s, ids, whole, last, pipeline;

before(async () => {
  pipeline = fastPipeline();
  s = await startStageline({ pipeline });
  ids = await trade(s, 30);
  whole = await look(s, ids[4]);
  await s.stop();
  last = Number(sql(journalFile(s), 'SELECT max(seq) FROM events'));
});
after(async () => { if (s.isRunning) await s.stop(); });

function overwrite(file, page, bytes = PAGE) {
  const fd = openSync(file, 'r+');
  writeSync(fd, Buffer.alloc(bytes, 0xee), 0, bytes, PAGE * (page - 1));
  closeSync(fd);
}

// The leaf page that holds an event, by the bytes of its hash.
function pageOf(file, seq) {
  const hash = Buffer.from(sql(file, `SELECT hex(hash) FROM events WHERE seq = ${seq}`).trim(), 'hex');
  return Math.floor(readFileSync(file).indexOf(hash) / PAGE) + 1;
}

// What a gap does to orders, all of which have ended, by the events that were there: those that lost some in their
// midst (their last event alone behind the gap ends them all the same), their end, their beginning.
function harmed([from, until]) {
  const rows = sql(journalFile(s), `SELECT lower(hex(o.id)), min(e.seq) >= ${from}, min(sum(e.seq > ${until}), 2) FROM events e
    JOIN orders o ON o.seq = e.order_seq GROUP BY o.seq HAVING sum(e.seq BETWEEN ${from} AND ${until}) > 0`);
  const all = rows.trim().split('\n').map((row) => row.split('|'));
  const those = (is) => all.filter(([, isHeadless, nBehind]) => is(isHeadless === '1', Number(nBehind)))
    .map(([id]) => id.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')).sort();
  return { middle: those((isHeadless, n) => !isHeadless && n > 1), end: those((isHeadless, n) => !isHeadless && n === 0),
    beginning: those((isHeadless, n) => isHeadless && n > 0) };
}

async function recover(file) {
  const to = join(temporaryFolder(), 'saved.sqlite');
  return { ...await run('recover', file, to, '--json'), to };
}

// Serves what was saved, as an operator would.
async function serve(file) {
  const dataDir = join(temporaryFolder(), 'data');
  mkdirSync(dataDir, { recursive: true });
  copyFileSync(file, join(dataDir, 'journal.sqlite'));
  return startStageline({ pipeline, dataDir });
}

test('a_torn_page_costs_its_events_and_the_chain_is_picked_up_behind_it', async () => {
  const copy = copyJournal(s);
  overwrite(copy, pageOf(copy, 60));
  assert.equal((await audit('verify', copy)).code, 1);
  const { code, json, to, err } = await recover(copy);
  assert.equal(code, 0, err);
  assert.equal(json.gaps.length, 1);
  const [[from, until]] = json.gaps;
  assert.ok(from <= 60 && until >= 60 && until - from < 30, JSON.stringify(json));
  assert.equal(json.kept, last - json.missing);
  assert.equal(json.last_saved, last);

  const verified = await audit('verify', to, '--json');
  assert.deepEqual([verified.code, verified.json.gaps], [1, [[from, until]]], 'a gap is no success by itself');
  assert.match((await audit('verify', to)).err, new RegExp(`events ${from} to ${until} are missing since a recovery`));
  assert.equal((await audit('verify', to, '--gap', `${from}-${until}`)).code, 0, 'but one may know of it');
  assert.equal((await replay('--verify', to)).code, 0);

  const { middle, end, beginning } = harmed(json.gaps[0]);
  assert.deepEqual([json.orders.sort(), json.unsure.sort(), json.broken_orders, json.unsure_orders, json.lost_orders],
    [middle, end, middle.length, end.length, beginning.length]);
  const saved = await serve(to);
  assert.equal((await look(saved, ids[0])).order.status, 'completed');
  const { id } = await place(saved);
  assert.equal((await finished(saved, id)).order.status, 'completed', 'it goes on');
  assert.equal((await getJson(saved, '/stats')).set_aside, json.orders.length);
  await saved.stop();
  assert.equal((await replay('--verify', journalFile(saved))).code, 0);
});

test('an_order_that_lost_an_event_is_named_and_set_aside', async () => {
  const copy = copyJournal(s);
  sql(copy, `DELETE FROM events WHERE type = 'payment_processed'
    AND order_seq = (SELECT seq FROM orders WHERE id = x'${ids[1].replaceAll('-', '')}')`);
  const { json, to } = await recover(copy);
  assert.ok(json.orders.includes(ids[1]), JSON.stringify(json));
  assert.deepEqual([json.missing, json.gaps.length], [2, 1], 'what stood behind it is proven by nothing');
  const saved = await serve(to);
  assert.equal((await getJson(saved, '/stats')).set_aside, json.orders.length);
  assert.deepEqual(await look(saved, ids[4]), whole, 'an order beside it is what it was');
  await saved.stop();
});

test('an_order_that_lost_its_end_is_named_and_goes_on', async () => {
  const copy = copyJournal(s);
  const events = sql(copy, `SELECT e.seq FROM events e JOIN orders o ON o.seq = e.order_seq
    WHERE o.id = x'${ids[1].replaceAll('-', '')}' ORDER BY e.seq`).trim().split('\n').map(Number);
  sql(copy, `DELETE FROM events WHERE seq BETWEEN ${events.at(-2)} AND ${events.at(-1)}`);
  const { json, to } = await recover(copy);
  const { middle, end } = harmed(json.gaps[0]);
  assert.ok(end.includes(ids[1]), JSON.stringify(json));
  assert.deepEqual([json.orders.sort(), json.unsure.sort()], [middle, end]);
  assert.match((await run('recover', copy, join(temporaryFolder(), 'again.sqlite'))).out,
    new RegExp(`order ${ids[1]} has no event behind the gap: it may have lost its last ones`));
  const saved = await serve(to);
  assert.equal((await finished(saved, ids[1])).order.status, 'completed');
  await saved.stop();
});

test('a_gap_cannot_be_made_larger_unseen', async () => {
  const copy = copyJournal(s);
  overwrite(copy, pageOf(copy, 60));
  const { json, to } = await recover(copy);
  sql(to, `DELETE FROM events WHERE seq = ${json.gaps[0][1] + 1}`);
  assert.match((await audit('verify', to)).err, new RegExp(`event ${json.gaps[0][0]} was deleted`));
});

test('the_first_page_and_the_root_of_the_events_are_not_needed', async () => {
  const copy = copyJournal(s);
  const root = Number(sql(copy, 'SELECT rootpage FROM sqlite_schema WHERE name = \'events\''));
  overwrite(copy, 1);
  overwrite(copy, root);
  const { code, json, err } = await recover(copy);
  assert.equal(code, 0, err);
  assert.deepEqual([json.kept, json.gaps], [last, []]);
});

test('a_file_that_was_cut_off_is_saved_up_to_there', async () => {
  const copy = copyJournal(s);
  truncateSync(copy, PAGE * Math.max(pageOf(copy, 100), 20));
  const { code, json, err } = await recover(copy);
  assert.equal(code, 0, err);
  assert.ok(json.kept > 20, JSON.stringify(json));
});

test('events_in_the_log_of_a_killed_daemon_are_saved', async () => {
  const killed = await startStageline({ pipeline });
  await trade(killed, 5);
  await killed.kill();
  const copy = copyJournal(killed);
  const events = (await audit('verify', journalFile(killed), '--json')).json.events;
  overwrite(copy, 1);
  const { code, json, err } = await recover(copy);
  assert.equal(code, 0, err);
  assert.equal(json.kept, events);
});

test('a_lost_pipeline_is_found_beside_its_event', async () => {
  const copy = copyJournal(s);
  sql(copy, 'UPDATE events SET payload = \'{}\' WHERE type = \'pipeline_loaded\'');
  const { code, json, to, err } = await recover(copy);
  assert.equal(code, 0, err);
  assert.deepEqual([json.pipelines, json.broken_orders, json.gaps], [1, 0, [[1, 1]]]);
  assert.equal((await replay('--verify', to)).code, 0);
  const saved = await serve(to);
  assert.equal((await look(saved, ids[1])).order.status, 'completed');
  await saved.stop();
});

test('a_damaged_hash_is_mended_from_its_neighbours', async () => {
  const copy = copyJournal(s);
  sql(copy, 'UPDATE events SET hash = zeroblob(32) WHERE seq = 50');
  const { json, to } = await recover(copy);
  assert.deepEqual([json.kept, json.mended, json.gaps], [last, 1, []]);
  assert.equal(sql(to, 'SELECT hash FROM events WHERE seq = 50'), sql(journalFile(s), 'SELECT hash FROM events WHERE seq = 50'));
});

test('nothing_to_save_is_said_and_leaves_nothing', async () => {
  const file = join(temporaryFolder(), 'rubbish');
  const fd = openSync(file, 'w');
  writeSync(fd, Buffer.alloc(100_000, 'no journal '));
  closeSync(fd);
  const { code, err, to } = await recover(file);
  assert.deepEqual([code, /no event can be saved/.test(err)], [1, true], err);
  assert.throws(() => readFileSync(to), /ENOENT/);
  rmSync(file);
  assert.equal((await recover(file)).code, 1);
});

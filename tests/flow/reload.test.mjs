// Loading the pipeline anew under orders: checked first, current for new orders, and nobody is stranded.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import test from 'node:test';
import { join } from 'node:path';
import WebSocket from 'ws';
import { checkFile } from '../lib/oracle.mjs';
import { hostFile } from '../lib/pipeline.mjs';
import { finished, getJson, look, order, place, state } from '../lib/orders.mjs';
import { ofType, onHold, placeScripted, plugins, scriptedPipeline, send, stageIs, stageOf, startScripted, types,
  when } from '../lib/scripted.mjs';
import { build, root, runStageline, startStageline, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const reload = (s) => send(s, '/pipeline/reload', {});
const pipeline = (s) => getJson(s, '/pipeline');
const write = (s, ...stages) => writeFileSync(s.pipeline, readFileSync(scriptedPipeline(...stages)));
const cli = (s, ...args) => runStageline([...args, '--url', s.url]);
const generationOf = async (s, id) => (await look(s, id)).order.generation;
const earlier = async (s) => (await getJson(s, '/pipeline/generations')).generations.filter((g) => !g.current);

async function loaded(s) {
  const { status, body } = await reload(s);
  assert.equal(status, 200, JSON.stringify(body));
  return body.generation;
}

async function stopAndCheck(s) {
  assert.equal(await s.stop(), 0);
  return checkFile(s);
}

// A plugin folder of our own, and the pipeline that runs one of two versions of a plugin from it.
function replaceable() {
  const folder = join(temporaryFolder(), 'stages');
  const mock = (name) => join(plugins, `${name}.so`);
  const path = (name) => join(folder, `${name}.so`);
  mkdirSync(folder, { mode: 0o755 });
  for (const name of ['scripted', 'versioned'])
    copyFileSync(mock(name), path(name));
  return {
    folder,
    overwrite: (name, as) => copyFileSync(mock(name), path(as)),
    rename(name, as) {
      copyFileSync(mock(name), `${path(as)}.new`);
      renameSync(`${path(as)}.new`, path(as));
    },
  };
}

const versionedStages = { one: {}, two: { plugin: 'versioned', irreversible: true } };

async function startReplaceable() {
  const files = replaceable();
  const file = scriptedPipeline(versionedStages);
  const s = await startStageline({ pipeline: file, plugins: files.folder });
  return { s: Object.assign(s, { pipeline: file }), files };
}

const versionOf = (whole) => ofType(whole, 'two_done')[0].message;

test('a_reload_is_current_for_new_orders_and_orders_under_way_finish_on_their_own', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {} });
  const first = (await pipeline(s)).generation;
  const under_way = await placeScripted(s, { two: 'w' });
  await stageIs(s, under_way, 'two', 'waiting');
  write(s, { zero: {}, two: {}, three: { irreversible: true } }, { state: { fresh: 7 } });
  const second = await loaded(s);
  assert.notEqual(second, first);
  const { generation, last_reload, stages } = await pipeline(s);
  assert.deepEqual([generation, stages.map((stage) => stage.name)], [second, ['zero', 'two', 'three']]);
  assert.deepEqual([last_reload.ok, last_reload.unchanged, last_reload.generation, last_reload.errors], [true, false, second, []]);
  assert.equal((await state(s, 'fresh')).fresh, 7);
  assert.deepEqual(types(await finished(s, await placeScripted(s))),
    ['order_created', 'zero_done', 'two_done', 'three_done', 'order_completed']);
  assert.equal((await send(s, `/orders/${under_way}/signals/two`, {})).status, 200);
  assert.deepEqual(types(await finished(s, under_way)),
    ['order_created', 'one_done', 'stage_waiting', 'stage_signalled', 'two_done', 'order_completed']);
  await stopAndCheck(s);
});

test('orders_under_way_at_a_reload_finish_on_their_own_generation_after_a_restart_too', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {} });
  const id = await placeScripted(s, { two: 'w' });
  await stageIs(s, id, 'two', 'waiting');
  write(s, { zero: {} });
  await loaded(s);
  await s.kill();
  await s.restart();
  assert.equal((await earlier(s))[0].orders, 1);
  assert.equal((await send(s, `/orders/${id}/signals/two`, {})).status, 200);
  assert.equal((await finished(s, id)).order.status, 'completed');
  await until('the earlier generation to be over', async () => (await earlier(s)).length === 0);
  await stopAndCheck(s);
});

test('a_file_with_faults_changes_nothing_and_every_fault_is_told_everywhere', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {} });
  const { generation } = await pipeline(s);
  assert.equal((await pipeline(s)).last_reload, null);
  writeFileSync(s.pipeline, 'pipeline: orders\nstages:\n  - {name: one, plugin: scripetd}\n  - {name: two, plugin: scripted, wrokers: 2}\n');
  const said = await runStageline(['check', s.pipeline, '--plugins', join(build, 'plugins'), '--plugins', plugins]);
  const lines = said.err.trim().split('\n');
  assert.deepEqual([said.code, lines.length], [78, 3], said.err);

  const { status, body } = await reload(s);
  assert.equal(status, 422);
  const text = ({ file, line, column, detail }) => `${file}:${line}:${column}: error: ${detail}`;
  assert.deepEqual(body.errors.map(text), lines);
  const after = await pipeline(s);
  assert.equal(after.generation, generation);
  assert.deepEqual([after.last_reload.ok, after.last_reload.generation, after.last_reload.errors], [false, generation, body.errors]);
  for (const { file, line, column, detail } of body.errors)
    assert.ok(s.logs().includes(`${file}:${line}:${column}: ${detail}`), s.logs());

  const { code, err } = await cli(s, 'reload');
  assert.equal(code, 78);
  assert.deepEqual(err.trim().split('\n').slice(0, 3), lines);
  assert.ok((await cli(s, 'pipeline', 'show')).err.endsWith(`The last reload was refused, 3 faults:\n${lines.join('\n')}\n`));
  assert.equal((await finished(s, await placeScripted(s))).order.generation, generation);

  rmSync(s.pipeline);
  assert.equal((await cli(s, 'reload')).code, 78);
  assert.match((await reload(s)).body.errors[0].detail, /No such file/);
  write(s, { one: {}, two: {} });
  assert.equal((await cli(s, 'reload')).code, 0);
  assert.equal((await pipeline(s)).last_reload.ok, true);
  await stopAndCheck(s);
});

test('a_fault_in_a_long_word_is_told_whole_letter_by_letter', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {} });
  write(s, { one: { retry: { backoff: `x${'é'.repeat(40)}` } } });
  const answer = await fetch(`${s.url}/pipeline/reload`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' });
  const { errors } = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await answer.arrayBuffer()));
  assert.ok(errors[0].detail.endsWith(`not the text 'x${'é'.repeat(29)}'`), errors[0].detail);
  for (const args of [['reload'], ['pipeline', 'show']]) {
    const { err } = await cli(s, ...args);
    assert.ok(err.includes(errors[0].detail), err);
  }
  await stopAndCheck(s);
});

// A program whose every answer is a long one.
const verbose = `const message = 'ü'.repeat(200);
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  console.log(JSON.stringify({ id: JSON.parse(line).id, verdict: 'retry', message }));
});`;

test('a_long_error_that_holds_a_generation_is_cut_between_letters', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: { plugin: 'exec', irreversible: true, retry: { attempts: 1 },
    config: { command: [process.execPath, '-e', verbose] } } });
  await onHold(s, await placeScripted(s));
  write(s, { one: {} });
  await loaded(s);
  const answer = await fetch(`${s.url}/pipeline/generations`);
  assert.match(new TextDecoder('utf-8', { fatal: true }).decode(await answer.arrayBuffer()), /"ü{127}"/);
  const { code, out, err } = await cli(s, 'pipeline', 'generations');
  assert.equal(code, 0, err);
  assert.match(out, /üüü/);
  await stopAndCheck(s);
});

test('a_stage_that_cannot_start_refuses_the_reload_with_its_reason', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {} });
  write(s, { one: {}, two: { plugin: 'failing_create', irreversible: true } });
  const { status, body } = await reload(s);
  assert.equal(status, 422);
  assert.match(body.errors[0].detail, /stage 'two'.*the licence has expired/);
  assert.equal((await finished(s, await placeScripted(s))).order.status, 'completed');
  await stopAndCheck(s);
});

test('hangup_loads_the_file_and_an_unchanged_one_is_no_new_generation', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {} });
  const { generation } = await pipeline(s);
  process.kill(s.pid, 'SIGHUP');
  await until('the reload', async () => (await pipeline(s)).last_reload?.unchanged);
  const { err, code } = await cli(s, 'reload');
  assert.deepEqual([code, err], [0, `generation ${generation} is current already\n`]);
  write(s, { one: {}, two: {} });
  process.kill(s.pid, 'SIGHUP');
  await until('the new generation', async () => (await pipeline(s)).generation !== generation);
  await stopAndCheck(s);
});

for (const how of ['write', 'rename'])
  test(`with_watch_a_change_by_${how}_is_taken_up_by_itself`, { timeout: 60_000 }, async () => {
    const files = replaceable();
    const file = scriptedPipeline(versionedStages);
    const s = Object.assign(await startStageline({ pipeline: file, plugins: files.folder,
      config: hostFile(how === 'write' ? 'watch: true\n' : ''), flags: how === 'write' ? [] : ['--watch'] }), { pipeline: file });
    const seen = new Set([(await pipeline(s)).generation]);
    const isNew = () => until('a new generation', async () => {
      const { generation } = await pipeline(s);
      return !seen.has(generation) && seen.add(generation);
    });
    for (const name of ['three', 'four']) {
      const text = readFileSync(scriptedPipeline({ ...versionedStages, [name]: { irreversible: true } }));
      writeFileSync(how === 'write' ? file : `${file}~`, text);
      if (how === 'rename')
        renameSync(`${file}~`, file);
      await isNew();
    }
    files[how === 'write' ? 'overwrite' : 'rename']('versioned_later', 'versioned');
    await isNew();
    assert.equal(versionOf(await finished(s, await placeScripted(s))), 'two');
    writeFileSync(file, 'nonsense: [');
    await until('the faults', async () => (await pipeline(s)).last_reload.ok === false);
    await stopAndCheck(s);
  });

for (const how of ['overwrite', 'rename'])
  test(`a_plugin_replaced_by_${how}_is_a_new_generation_and_the_old_code_goes_on`, { timeout: 60_000 }, async () => {
    const { s, files } = await startReplaceable();
    const before = await pipeline(s);
    const old = await placeScripted(s, { one: 'w' });
    await stageIs(s, old, 'one', 'waiting');
    files[how]('versioned_later', 'versioned');
    const generation = await loaded(s);
    const after = await pipeline(s);
    assert.notEqual(generation, before.generation);
    assert.equal(after.stages[0].build, before.stages[0].build);
    assert.notEqual(after.stages[1].build, before.stages[1].build);
    assert.equal(versionOf(await finished(s, await placeScripted(s))), 'two');
    assert.equal((await send(s, `/orders/${old}/signals/one`, {})).status, 200);
    assert.equal(versionOf(await finished(s, old)), 'one');
    files[how]('versioned', 'versioned');
    assert.equal(await loaded(s), before.generation);
    assert.equal(versionOf(await finished(s, await placeScripted(s))), 'one');
    await stopAndCheck(s);
  });

test('after_a_restart_an_earlier_generation_runs_the_plugins_that_lie_in_the_folders_and_says_so', { timeout: 60_000 }, async () => {
  const { s, files } = await startReplaceable();
  const id = await placeScripted(s, { one: 'w' });
  await stageIs(s, id, 'one', 'waiting');
  const { generation } = await pipeline(s);
  files.rename('versioned_later', 'versioned');
  await s.restart();
  assert.notEqual((await pipeline(s)).generation, generation);
  assert.equal(await generationOf(s, id), generation);
  assert.match(s.logs(), new RegExp(`generation=${generation} stage=two plugin=versioned goes on with build`));
  assert.equal((await send(s, `/orders/${id}/signals/one`, {})).status, 200);
  assert.equal(versionOf(await finished(s, id)), 'two');
  await stopAndCheck(s);
});

test('orders_of_a_journal_from_before_builds_were_named_go_on', { timeout: 60_000 }, async () => {
  const dataDir = join(temporaryFolder(), 'data');
  mkdirSync(dataDir);
  copyFileSync(join(root, 'tests/unit/journals/schema-1.sqlite'), join(dataDir, 'journal.sqlite'));
  const s = await startStageline({ dataDir });
  const { generation } = await pipeline(s);
  const list = await earlier(s);
  assert.deepEqual(list.map((g) => [g.orders, g.holding.map((h) => [h.stage, h.status])]).sort(),
    [[1, [['payment', 'held']]], [2, [['inventory', 'queued']]]]);
  assert.deepEqual(list.map((g) => g.generation).sort(), ['4645030418171102', '98811f1b36497207']); // of the text alone
  const held = list.find((g) => g.orders === 1);
  const [id] = held.holding[0].sample;
  assert.equal((await send(s, '/pipeline/migrate', { from: held.generation, reason: 'test' })).body.done, 1);
  assert.equal((await send(s, '/dead-letters/retry', { ids: [id], reason: 'test' })).body.done, 1);
  const whole = await when(s, id, 'beyond what held it', (w) => ofType(w, 'payment_processed').length);
  assert.equal(whole.order.generation, generation);
  await stopAndCheck(s);
});

test('a_plugin_file_that_others_can_write_or_that_is_cut_off_is_refused', { timeout: 60_000 }, async () => {
  const { s, files } = await startReplaceable();
  const { generation } = await pipeline(s);
  const whole = readFileSync(join(files.folder, 'versioned.so'));
  writeFileSync(join(files.folder, 'versioned.so'), whole.subarray(0, whole.length / 2));
  assert.match((await reload(s)).body.errors[0].detail, /is cut off/);
  writeFileSync(join(files.folder, 'versioned.so'), 'no plugin');
  assert.match((await reload(s)).body.errors[0].detail, /ELF|file too short/);
  rmSync(join(files.folder, 'versioned.so'));
  assert.match((await reload(s)).body.errors[0].detail, /no plugin 'versioned'/);
  symlinkSync(join(files.folder, 'gone.so'), join(files.folder, 'versioned.so'));
  assert.equal((await reload(s)).status, 422);
  assert.equal((await pipeline(s)).generation, generation);
  assert.equal(versionOf(await finished(s, await placeScripted(s))), 'one');
  await stopAndCheck(s);
});

test('a_generation_is_released_when_its_last_order_has_ended', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {} });
  const ids = [await placeScripted(s, { two: 'w' }), await placeScripted(s, { two: 'w', one: 'l' })];
  for (const id of ids)
    await stageIs(s, id, 'two', 'waiting');
  const { generation } = await pipeline(s);
  write(s, { one: {} });
  await loaded(s);
  assert.deepEqual((await earlier(s)).map((g) => [g.generation, g.orders]), [[generation, 2]]);
  await send(s, `/orders/${ids[0]}/signals/two`, {});
  await finished(s, ids[0]);
  assert.deepEqual((await earlier(s)).map((g) => g.orders), [1]);
  assert.equal((await send(s, `/orders/${ids[1]}/cancel`, { reason: 'test' })).status, 200);
  await finished(s, ids[1]);
  await until('the generation to be over', () => s.logs().includes(`generation=${generation} is over`));
  assert.deepEqual(await earlier(s), []);
  await stopAndCheck(s);
});

test('who_holds_an_earlier_generation_and_why_is_listed_by_stage', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {}, three: {} });
  const waiting = [];
  for (let i = 0; i < 7; i++)
    waiting.push(await placeScripted(s, { two: 'w' }));
  const held = await placeScripted(s, { three: 'r' });
  await onHold(s, held);
  for (const id of waiting)
    await stageIs(s, id, 'two', 'waiting');
  await send(s, '/pipeline/stages/one/pause', { reason: 'test' });
  const paused = await placeScripted(s);
  write(s, { one: {}, four: {} });
  await loaded(s);
  const [g] = await earlier(s);
  const seen = Object.fromEntries(g.holding.map((h) => [h.stage, h]));
  assert.deepEqual([g.orders, g.looked_at, Object.keys(seen).sort()], [9, 9, ['one', 'three', 'two']]);
  assert.deepEqual([seen.one.status, seen.one.orders, seen.one.why, seen.one.sample], ['queued', 1, 'the stage is paused', [paused]]);
  assert.deepEqual([seen.two.status, seen.two.orders, seen.two.why], ['waiting', 7, 'waits for an answer from outside']);
  assert.deepEqual(seen.two.sample, waiting.slice(0, 5));
  assert.deepEqual([seen.three.status, seen.three.orders, seen.three.why, seen.three.sample], ['held', 1, 'not now', [held]]);
  const table = await cli(s, 'pipeline', 'generations');
  assert.equal(table.code, 0);
  assert.match(table.out, new RegExp(`${g.generation} +earlier +9`));
  assert.match(table.out, /waiting +7 +two/);
  const json = JSON.parse((await cli(s, 'pipeline', 'generations', '--json')).out);
  assert.deepEqual(json.generations.filter((x) => !x.current), [g]);
  await stopAndCheck(s);
});

test('an_earlier_generation_whose_plugin_is_missing_says_so', { timeout: 60_000 }, async () => {
  const { s, files } = await startReplaceable();
  const id = await placeScripted(s, { one: 'w' });
  await stageIs(s, id, 'one', 'waiting');
  rmSync(join(files.folder, 'versioned.so'));
  write(s, { one: {} });
  await s.restart();
  await send(s, `/orders/${id}/signals/one`, {});
  await stageIs(s, id, 'two', 'queued');
  const [{ holding: [h] }] = await earlier(s);
  assert.deepEqual([h.stage, h.plugin, h.status, h.orders], ['two', 'versioned', 'queued', 1]);
  assert.match(h.why, /no plugin 'versioned'/);
  await stopAndCheck(s);
});

test('a_reload_to_a_generation_whose_plugin_was_missing_makes_its_stages_again', { timeout: 60_000 }, async () => {
  const { s, files } = await startReplaceable();
  const { generation } = await pipeline(s);
  const text = readFileSync(s.pipeline);
  const waiting = await placeScripted(s, { one: 'w' });
  await stageIs(s, waiting, 'one', 'waiting');
  rmSync(join(files.folder, 'versioned.so'));
  write(s, { one: {} });
  await s.restart();
  await send(s, `/orders/${waiting}/signals/one`, {});
  await stageIs(s, waiting, 'two', 'queued');
  files.rename('versioned', 'versioned');
  writeFileSync(s.pipeline, text);
  assert.equal(await loaded(s), generation);
  await until('the stage to be served again', async () => (await stageOf(s, 'two')).live.served_by === 1); // Redis is asked each second
  assert.equal((await stageOf(s, 'two')).live.trouble, null);
  for (const id of [waiting, await placeScripted(s)])
    assert.equal(versionOf(await finished(s, id)), 'one');
  await stopAndCheck(s);
});

test('orders_are_moved_to_the_current_generation_and_go_on_there', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {}, three: {} });
  const from = (await pipeline(s)).generation;
  const waiting = await placeScripted(s, { two: 'w' });
  const held = await placeScripted(s, { two: 'rrrd' });
  const retrying = await placeScripted(s, { one: 'd', two: 'Zd' }); // not before it was moved
  const failing = await placeScripted(s, { two: 'w', last: 'f' });
  await onHold(s, held);
  for (const id of [waiting, failing])
    await stageIs(s, id, 'two', 'waiting');
  await stageIs(s, retrying, 'two', 'retrying');
  // More stages, in front too: indices move. The third was not begun and is gone.
  write(s, { zero: {}, one: {}, between: {}, two: {}, extra: {}, last: { irreversible: true } });
  const to = await loaded(s);
  const dry = await send(s, '/pipeline/migrate', { from, reason: 'test', dry_run: true });
  assert.deepEqual([dry.status, dry.body.matched, dry.body.refused, dry.body.to], [200, 4, 0, to]);
  assert.equal(await generationOf(s, held), from);
  const { status, body } = await send(s, '/pipeline/migrate', { from, reason: 'the new one is right' });
  assert.deepEqual([status, body.matched, body.done, body.refused], [200, 4, 4, 0], JSON.stringify(body));
  for (const id of [waiting, held, retrying, failing])
    assert.equal(await generationOf(s, id), to);
  const moved = ofType(await look(s, held), 'order_migrated')[0];
  assert.deepEqual([moved.metadata, moved.reason], [{ from, to }, 'the new one is right']);
  for (const id of [waiting, failing])
    assert.equal((await send(s, `/orders/${id}/signals/two`, {})).status, 200);
  assert.equal((await send(s, '/dead-letters/retry', { ids: [held], reason: 'test' })).body.done, 1);
  for (const id of [waiting, held, retrying]) {
    const whole = await finished(s, id);
    assert.equal(whole.order.status, 'completed', JSON.stringify(types(whole)));
    for (const name of ['zero', 'one', 'between', 'two', 'extra', 'last'])
      assert.equal(ofType(whole, `${name}_done`).length, 1, JSON.stringify(types(whole)));
  }
  const undone = await finished(s, failing);
  assert.deepEqual([undone.order.status, ...['two', 'one', 'zero', 'between', 'extra'].map((n) => ofType(undone, `${n}_undone`).length)],
    ['failed', 1, 1, 1, 1, 1], JSON.stringify(types(undone)));
  await until('the earlier generation to be over', async () => (await earlier(s)).length === 0);
  assert.deepEqual((await state(s, 'net/'))['net/two'], 3);
  await s.restart();
  assert.equal(await generationOf(s, held), to);
  await stopAndCheck(s);
});

test('what_does_not_fit_is_refused_with_its_reason_and_stays', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {} });
  const from = (await pipeline(s)).generation;
  const begun = await placeScripted(s, { two: 'w' });
  const first = await placeScripted(s, { one: 'w' });
  const running = await placeScripted(s, { one: '-' });
  await stageIs(s, begun, 'two', 'waiting');
  await stageIs(s, first, 'one', 'waiting');
  await until('it to run', async () => (await stageOf(s, 'one')).live.out === 1);
  write(s, { one: {}, three: {} });
  await loaded(s);
  const { code, err } = await cli(s, 'pipeline', 'migrate', from, '--reason', 'test');
  assert.equal(code, 1);
  assert.match(err, /migrate: 1 of 3 done, 2 refused/);
  assert.match(err, new RegExp(`${begun}: stage 'two' is waiting, and generation \\w+ has no such stage`));
  assert.match(err, new RegExp(`${running}: stage 'one' is running: try again later`));
  assert.deepEqual(await Promise.all([begun, running].map((id) => generationOf(s, id))), [from, from]);
  assert.deepEqual((await getJson(s, `/orders?status=open&generation=${from}`)).orders.map((o) => o.id), [running, begun]);
  write(s, { one: { irreversible: true, undo_event: undefined }, two: {} });
  await loaded(s);
  const dry = await cli(s, 'pipeline', 'migrate', from, '--dry-run');
  assert.equal(dry.code, 0);
  assert.match(dry.out, /could not undo it/);
  for (const [body, status] of [[{ from }, 422], [{ from: 'nobody', reason: 'r' }, 404], [{ reason: 'r' }, 422],
    [{ from, reason: 'r', more: 1 }, 422], [{ from: (await pipeline(s)).generation, reason: 'r' }, 422]])
    assert.equal((await send(s, '/pipeline/migrate', body)).status, status, JSON.stringify(body));
  await stopAndCheck(s);
});

test('what_was_moved_is_what_a_crash_leaves', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {}, three: {} });
  const from = (await pipeline(s)).generation;
  const ids = [];
  for (let i = 0; i < 20; i++)
    ids.push(await placeScripted(s, { [['one', 'two', 'three'][i % 3]]: 'w' }));
  for (let i = 0; i < 20; i++)
    await stageIs(s, ids[i], ['one', 'two', 'three'][i % 3], 'waiting');
  write(s, { three: { after: [] }, one: { after: [] }, two: { after: [] }, end: { after: ['one', 'two', 'three'] } });
  const to = await loaded(s);
  assert.equal((await send(s, '/pipeline/migrate', { from, reason: 'test' })).body.done, 20);
  await s.kill();
  await s.restart();
  for (let i = 0; i < 20; i++) {
    assert.equal((await send(s, `/orders/${ids[i]}/signals/${['one', 'two', 'three'][i % 3]}`, {})).status, 200);
    const whole = await finished(s, ids[i]);
    assert.equal(whole.order.generation, to);
    assert.deepEqual(types(whole).filter((t) => t.endsWith('_done')).sort(), ['end_done', 'one_done', 'three_done', 'two_done']);
  }
  await stopAndCheck(s);
});

test('a_watcher_sees_the_move', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {} });
  const from = (await pipeline(s)).generation;
  const id = await placeScripted(s, { two: 'w' });
  await stageIs(s, id, 'two', 'waiting');
  const socket = new WebSocket(`${s.url.replace('http', 'ws')}/ws/orders/${id}`);
  const messages = [];
  socket.on('message', (data) => messages.push(JSON.parse(data)));
  await until('the welcome', () => messages.length);
  write(s, { zero: {}, one: {}, two: {}, three: {} });
  const to = await loaded(s);
  await send(s, '/pipeline/migrate', { from, reason: 'test' });
  await until('the move', () => messages.at(-1).order.generation === to);
  await send(s, `/orders/${id}/signals/two`, {});
  await until('the end', () => messages.at(-1).order.status === 'completed');
  socket.close();
  await stopAndCheck(s);
});

test('a_slow_start_of_a_stage_keeps_nobody_waiting', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {} });
  write(s, { one: {}, two: { plugin: 'slow_create', irreversible: true } });
  const begun = performance.now();
  let isOver = false;
  const reloading = loaded(s).finally(() => { isOver = true; });
  let n = 0;
  for (; !isOver; n++)
    await place(s, order({ 'PROD-002': 1 }));
  assert.ok(n > 3, `${n} orders were taken meanwhile`);
  await reloading;
  assert.ok(performance.now() - begun >= 1000);
  assert.equal((await stageOf(s, 'two')).plugin, 'slow_create');
  await stopAndCheck(s);
});

test('a_stop_during_a_reload_is_in_good_order', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {} });
  const id = await placeScripted(s, { one: 'w' });
  write(s, { one: {}, two: { plugin: 'slow_create', irreversible: true } });
  const answers = Promise.all([1, 2, 3].map(() => reload(s).catch(() => null)));
  await stageIs(s, id, 'one', 'waiting');
  assert.equal(await s.stop(), 0);
  for (const answer of (await answers).filter((a) => a))
    assert.ok([200, 503].includes(answer.status), JSON.stringify(answer));
  checkFile(s);
});

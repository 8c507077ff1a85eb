// Stages in processes of their own: what they do to themselves stays with them, and is told.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { finished, look, order, place } from '../lib/orders.mjs';
import { pipelineFile } from '../lib/pipeline.mjs';
import { onHold, placeScripted, plugins, scriptedPipeline, stageIs, stageOf, types } from '../lib/scripted.mjs';
import { build, runStageline, startStageline, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const retry = { attempts: 3, backoff: '5ms', max: '10ms', jitter: 0 };

// A pipeline of one stage that does what the order says, and one that follows it.
const hazards = (policy = {}) => pipelineFile(['pipeline: orders',
  `defaults: ${JSON.stringify({ isolation: 'process', timeout: '10s', workers: 2, retry })}`, 'stages:',
  `  - ${JSON.stringify({ name: 'hazard', undo_event: 'hazard_undone', ...policy })}`,
  `  - ${JSON.stringify({ name: 'next', plugin: 'hazard', undo_event: 'next_undone', isolation: 'thread', when: { field: 'go_on', exists: true } })}`,
  ''].join('\n'));

const start = (policy) => startStageline({ plugins, pipeline: hazards(policy) });
const told = (word, more = {}) => order({ 'PROD-002': 1 }, { do: word, ...more });
const children = (pid) => execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
  .split('\n').filter(Boolean).map(Number);

// What the stage said of an order that it did.
const answerOf = async (s, body) => {
  const { id } = await place(s, body);
  const { events } = await finished(s, id);
  return events.find((e) => e.event_type === 'hazard_done')?.message;
};

test('verdicts_undo_later_and_waiting_are_the_same_in_a_process', { timeout: 60_000 }, async () => {
  const pipeline = scriptedPipeline({ a: {}, b: { irreversible: true } },
    { defaults: { isolation: 'process', workers: 2 } });
  const s = await startStageline({ pipeline, plugins });
  const script = { plain: {}, retried: { a: 'rd' }, later: { a: 'l' }, undone: { b: 'f' } };
  const ids = {};
  for (const [name, what] of Object.entries(script))
    ids[name] = await placeScripted(s, what);
  const waiting = await placeScripted(s, { a: 'w' });
  const seen = {};
  for (const [name, id] of Object.entries(ids))
    seen[name] = types(await finished(s, id));
  assert.deepEqual(seen.plain, ['order_created', 'a_done', 'b_done', 'order_completed']);
  assert.deepEqual(seen.retried, ['order_created', 'stage_retrying', 'a_done', 'b_done', 'order_completed']);
  assert.deepEqual(seen.later, seen.plain);
  assert.deepEqual(seen.undone, ['order_created', 'a_done', 'stage_failed', 'a_undone', 'order_failed']);
  await stageIs(s, waiting, 'a', 'waiting');
  await fetch(`${s.url}/orders/${waiting}/signals/a`, { method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: '{"ok":true}' });
  assert.equal((await finished(s, waiting)).order.status, 'completed');
  assert.equal(await s.stop(), 0);
});

test('an_order_that_crashes_its_stage_is_held_with_signal_and_backtrace', { timeout: 60_000 }, async () => {
  const s = await start();
  const { pid } = s;
  const bad = await place(s, told('segv'));
  const { order: held, events } = await onHold(s, bad.id);
  assert.deepEqual(events.map((e) => e.event_type), ['order_created', 'stage_retrying', 'stage_retrying', 'stage_held']);
  assert.match(events.at(-1).message, /SIGSEGV at address 0x8 in fall_into_segv\+0x[0-9a-f]+, hazard_run\+0x[0-9a-f]+ \(hazard\.so\)/);
  assert.equal(held.stages[0].attempt, 3);
  const stage = await stageOf(s, 'hazard');
  assert.equal(stage.isolation, 'process');
  assert.equal(stage.live.processes.crashes, 3);
  assert.match(stage.live.processes.last_crash, /SIGSEGV/);
  assert.equal((await finished(s, (await place(s)).id)).order.status, 'completed');
  assert.equal(s.pid, pid);
  assert.ok(s.isRunning);
  assert.equal(await s.stop(), 0);
});

test('a_stage_that_cannot_start_is_unhealthy_and_its_orders_wait_until_it_can', { timeout: 60_000 }, async () => {
  const folder = temporaryFolder();
  const s = await startStageline({ plugins, pipeline: pipelineFile(
    `pipeline: orders\nstages: [{name: bad, plugin: hazard, irreversible: true, isolation: process, sandbox: {read: [${folder}/later]}}]\n`) })
    .catch((error) => error);
  assert.match(s.message, /'read: .*later': No such file or directory/, 'a path that is not there is found at once');
  mkdirSync(join(folder, 'later'));
  const t = await startStageline({ plugins, pipeline: pipelineFile(
    'pipeline: orders\nstages: [{name: bad, plugin: bad_start, irreversible: true, isolation: process}]\n') });
  const placed = await place(t);
  const unhealthy = await until('the stage to be unhealthy', async () => {
    const { live } = await stageOf(t, 'bad');
    return !live.processes.healthy && live;
  });
  assert.match(unhealthy.processes.trouble, /fall_into_segv/);
  const pauses = () => [...t.logs().matchAll(/stage=bad no process can be started: .*; tried again in (\d+) ms/g)].map((m) => Number(m[1]));
  await until('four starts', () => pauses().length >= 4);
  assert.deepEqual(pauses().slice(0, 4), [100, 200, 400, 800], 'it backs off');
  const shown = await runStageline(['pipeline', 'show', '--url', t.url]);
  assert.match(shown.out, /bad +unhealthy/);
  assert.match(shown.err, /^Stage bad cannot run: .*fall_into_segv/m, 'and why');
  assert.equal((await look(t, placed.id)).order.stages[0].attempt, 1, 'nobody is charged');
  assert.equal(await t.stop(), 0);
});

test('no_process_outlives_the_daemon', { timeout: 60_000 }, async () => {
  const s = await start({ timeout: '1m' });
  await place(s, told('loop'));
  await until('a call', async () => (await stageOf(s, 'hazard')).live.running === 1);
  const pids = children(s.pid);
  assert.ok(pids.length >= 1);
  await s.kill();
  await until('its processes to end', () => pids.every((pid) => !existsSync(`/proc/${pid}`)
    || /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))), { deadline: 2000 });
});

test('a_stop_lets_calls_end_and_leaves_no_process', { timeout: 60_000 }, async () => {
  const s = await start();
  const ids = [];
  for (let i = 0; i < 6; i++)
    ids.push((await place(s, told('nap'))).id);
  await until('a call', async () => (await stageOf(s, 'hazard')).live.running > 0);
  const pids = children(s.pid);
  assert.equal(await s.stop(), 0);
  assert.ok(pids.every((pid) => !existsSync(`/proc/${pid}`)));
  await s.restart();
  for (const id of ids)
    assert.deepEqual(types(await finished(s, id)), ['order_created', 'hazard_done', 'stage_skipped', 'order_completed']);
  assert.equal(await s.stop(), 0);
});

test('the_sandbox_of_every_stage_lets_it_do_what_the_file_says', { timeout: 60_000 }, async () => {
  const folder = temporaryFolder();
  const [readable, writable, other] = ['readable', 'writable', 'other'].map((name) => join(folder, name));
  for (const path of [readable, writable, other]) {
    mkdirSync(path);
    writeFileSync(join(path, 'file'), 'x');
  }
  const s = await start({ sandbox: { read: [readable], write: [writable] } });
  const tryTo = (word, path) => answerOf(s, told(word, { path: join(path, 'file') }));
  assert.equal(await tryTo('read', readable), 'opened');
  assert.equal(await tryTo('write', writable), 'opened');
  assert.equal(await tryTo('read', writable), 'opened');
  assert.equal(await tryTo('write', readable), 'Permission denied');
  assert.equal(await tryTo('read', other), 'Permission denied');
  assert.equal(await answerOf(s, told('read', { path: '/etc/passwd' })), 'Permission denied');
  assert.equal(await answerOf(s, told('read', { path: '/usr/share/dict/../doc' })), 'opened');
  assert.equal(await s.stop(), 0);
});

test('without_more_a_stage_has_no_network_and_no_files_and_with_more_it_has', { timeout: 60_000 }, async () => {
  const s = await start();
  const { id } = await place(s, told('connect'));
  assert.match((await onHold(s, id)).events.at(-1).message, /tried system call socket, which its sandbox forbids, in .*call_somebody/);
  assert.equal(await answerOf(s, told('write', { path: '/tmp/stageline-never' })), 'Permission denied');
  assert.equal(await answerOf(s, told('read', { path: join(s.dataDir, 'journal.sqlite') })), 'Permission denied');
  assert.equal(await s.stop(), 0);
  const t = await start({ sandbox: { network: true } });
  assert.equal(await answerOf(t, told('connect')), 'a socket');
  assert.equal(await answerOf(t, told('read', { path: join(t.dataDir, 'journal.sqlite') })), 'Permission denied');
  assert.equal(await t.stop(), 0);
  const u = await start({ sandbox: 'off' });
  assert.equal(await answerOf(u, told('fork')), 'forked');
  assert.equal(await answerOf(u, told('read', { path: join(u.dataDir, 'journal.sqlite') })), 'opened');
  assert.equal(await u.stop(), 0);
});

for (const [what, says, does] of [
  ['landlock', /sandbox: .*the kernel has no Landlock: stages may read what the daemon may/g, { read: 'opened', connect: 'held' }],
  ['seccomp', /sandbox: .*the kernel has no seccomp: stages may make any system call/g, { read: 'Permission denied', connect: 'a socket' }]])
  test(`on_a_kernel_without_${what}_that_is_said_once_and_the_rest_of_the_sandbox_holds`, { timeout: 60_000 }, async () => {
    const s = await startStageline({ plugins, pipeline: hazards({ retry: { attempts: 1 } }), wrapper: [join(build, 'tests/lib/lacking'), what] });
    assert.equal(await answerOf(s, told('read', { path: '/etc/passwd' })), does.read);
    const { id } = await place(s, told('connect'));
    if (does.connect === 'held')
      assert.match((await onHold(s, id)).events.at(-1).message, /tried system call socket, which its sandbox forbids/);
    else
      assert.equal((await finished(s, id)).events.find((e) => e.event_type === 'hazard_done').message, does.connect);
    await onHold(s, (await place(s, told('segv'))).id); // another process comes
    assert.equal(await answerOf(s, told('read', { path: '/etc/passwd' })), does.read);
    assert.equal(s.logs().match(says).length, 1);
    assert.equal(await s.stop(), 0);
  });

test('processor_time_has_a_limit_of_its_own', { timeout: 60_000 }, async () => {
  const s = await start({ sandbox: { cpu: '50ms' }, retry: { attempts: 1 } });
  const { id } = await place(s, told('loop'));
  assert.match((await onHold(s, id)).events.at(-1).message, /used more than 50ms of processor time in turn_in_circles/);
  assert.equal(await s.stop(), 0);
});

// What is mapped of plugins, and whether it can be run: each is loaded from a copy that has that name.
const mapped = (pid) => readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n').filter((line) => /memfd:stage\b/.test(line));

test('no_code_of_a_stage_in_processes_is_in_the_daemon_at_the_start_or_after_a_reload', { timeout: 60_000 }, async () => {
  const stage = (name, more) => `  - ${JSON.stringify({ name, plugin: 'hazard', undo_event: `${name}_undone`, ...more })}\n`;
  const head = 'pipeline: orders\ndefaults: {isolation: process}\nstages:\n';
  const pipeline = pipelineFile(head + stage('one'));
  const s = await startStageline({ plugins, pipeline });
  await finished(s, (await place(s)).id);
  assert.deepEqual(mapped(s.pid), []);
  assert.ok(children(s.pid).some((pid) => mapped(pid).length), 'its process has it');
  writeFileSync(pipeline, head + stage('one') + stage('two'));
  const reload = () => fetch(`${s.url}/pipeline/reload`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' });
  assert.equal((await reload()).status, 200);
  await finished(s, (await place(s)).id);
  assert.deepEqual(mapped(s.pid), []);
  writeFileSync(pipeline, head + stage('one') + stage('two', { isolation: 'thread' }));
  assert.equal((await reload()).status, 200);
  assert.equal((await finished(s, (await place(s)).id)).order.status, 'completed');
  assert.ok(mapped(s.pid).length > 0, 'in threads it must be there');
  assert.equal(await s.stop(), 0);
});

test('check_says_what_is_wrong_with_isolation_and_sandbox', async () => {
  const check = async (stage) => (await runStageline(['check', '--plugins', plugins,
    pipelineFile(`pipeline: p\nstages:\n  - {name: hazard, irreversible: true, ${stage}}\n`)])).err;
  assert.equal(await check('isolation: process, sandbox: off'), '');
  assert.match(await check('isolation: procss'), /3:\d+: error: 'isolation' must be one of thread, process/);
  assert.match(await check('sandbox: {network: true}'), /it needs 'isolation: process'/);
  assert.match(await check('isolation: process, sandbox: {read: [etc]}'), /must be an absolute path/);
  assert.match(await check('isolation: process, sandbox: {write: [/nowhere/at/all]}'), /No such file or directory/);
  assert.match(await check('isolation: process, sandbox: {memroy: 1GiB}'), /did you mean 'memory'/);
});

// As root only: others are nobody else already.
test('an_ordinary_user_has_the_whole_sandbox', { timeout: 60_000, skip: process.getuid() !== 0 && 'already one' }, async () => {
  const folder = temporaryFolder();
  const pipeline = hazards();
  chmodSync(dirname(pipeline), 0o755);
  chmodSync(folder, 0o777);
  mkdirSync(join(folder, 'plugins'));
  cpSync(join(plugins, 'hazard.so'), join(folder, 'plugins/hazard.so'));
  const s = await startStageline({ plugins: join(folder, 'plugins'), dataDir: join(folder, 'data'), user: 65534, pipeline });
  const { id } = await place(s, told('connect'));
  assert.match((await onHold(s, id)).events.at(-1).message, /which its sandbox forbids/);
  assert.equal(await answerOf(s, told('read', { path: '/etc/passwd' })), 'Permission denied');
  assert.equal(await s.stop(), 0);
});

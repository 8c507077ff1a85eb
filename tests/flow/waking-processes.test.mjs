// http and exec in processes of their own: woken there, in a sandbox that lets them do their work and nothing else.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { before } from 'node:test';
import { allFinished, allOrders, finished, order, place } from '../lib/orders.mjs';
import { pipelineFile } from '../lib/pipeline.mjs';
import { ofType, stageOf } from '../lib/scripted.mjs';
import { startService } from '../lib/service.mjs';
import { build, runStageline, startStageline, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const retry = { attempts: 4, backoff: '5ms', factor: 2, max: '20ms', jitter: 0 };
const python = '/usr/bin/python3';

// A program that does what the order's `act` says, in Python; without one it is done.
const actor = `
import json, os, socket, sys, time
def attempt(f):
    try: return str(f())
    except OSError as e: return os.strerror(e.errno)
for line in sys.stdin:
    q = json.loads(line)
    message = "pid %d" % os.getpid()
    if "act" in q["order"]: message = eval(q["order"]["act"])
    print(json.dumps({"id": q["id"], "verdict": "done", "message": message}), flush=True)
`;

const pipeline = (plugin, config, sandbox, policy = {}) => pipelineFile(['pipeline: orders', 'stages:',
  `  - ${JSON.stringify({ name: 'ask', plugin, event: 'asked', undo_event: 'unasked', isolation: 'process', workers: 2,
    timeout: '1m', retry, sandbox, ...policy, config })}`, ''].join('\n'));

function program() {
  const folder = join(temporaryFolder(), 'cards');
  mkdirSync(folder);
  writeFileSync(join(folder, 'actor.py'), actor);
  return folder;
}

const startExec = (folder, sandbox = {}, policy = {}) => startStageline({ pipeline: pipeline('exec',
  { command: [python, 'actor.py'], folder, timeout: '50s', processes: 2 }, { programs: true, read: [folder], ...sandbox }, policy) });
const startHttp = (config = {}, policy = {}) => startStageline({ pipeline: pipeline('http',
  { url: service.url, timeout: '50s', ...config }, { network: true }, policy) });
const childrenOf = (pid) => execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
  .split('\n').filter(Boolean).map(Number);
const isAlive = (pid) => existsSync(`/proc/${pid}`) && !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
let service;

before(async () => { service = await startService(); });

test('answers_of_a_service_wake_their_orders_in_a_process', { timeout: 60_000 }, async () => {
  const s = await startHttp({ in_flight: 50 });
  const ids = [];
  for (let i = 0; i < 300; i++)
    ids.push((await place(s, order({ 'PROD-002': 1 }, { service: { run: [{ delay: 20 }] } }))).id);
  await allFinished(s); // an order that nobody wakes would wait 55 s
  for (const id of ids) {
    const whole = await finished(s, id);
    assert.equal(whole.order.status, 'completed');
    assert.deepEqual(service.of(id).map((r) => r.event.data.attempt), [1], 'it was asked once');
  }
  const { live } = await stageOf(s, 'ask');
  assert.equal(live.processes.crashes, 0);
  assert.equal(await s.stop(), 0);
});

test('what_a_service_says_is_the_same_in_a_process', { timeout: 60_000 }, async () => {
  const s = await startHttp();
  const placed = async (answers) => (await place(s, order({ 'PROD-002': 1 }, { service: { run: answers } }))).id;
  const no = await finished(s, await placed([{ status: 409, body: { detail: 'Card expired' } }]));
  assert.equal(no.order.status, 'failed');
  assert.equal(ofType(no, 'stage_failed')[0].message, 'Card expired');
  const again = await finished(s, await placed([{ status: 500 }, { body: { message: 'Captured', data: { reference: 'R-1' } } }]));
  assert.match(ofType(again, 'stage_retrying')[0].message, /: 500 /);
  assert.deepEqual([ofType(again, 'asked')[0].message, ofType(again, 'asked')[0].metadata], ['Captured', { reference: 'R-1' }]);
  assert.equal(await s.stop(), 0);
});

test('requests_of_a_process_that_dies_are_sent_again_by_the_next_one', { timeout: 60_000 }, async () => {
  const s = await startHttp({ in_flight: 100 }, { workers: 1 });
  const ids = [];
  for (let i = 0; i < 40; i++)
    ids.push((await place(s, order({ 'PROD-002': 1 }, { service: { run: [{ act: 'hang' }, {}] } }))).id);
  await until('all requests to be under way', () => ids.every((id) => service.of(id).length === 1));
  await until('no call to go on', async () => (await stageOf(s, 'ask')).live.later === ids.length);
  for (const pid of childrenOf(s.pid))
    process.kill(pid, 'SIGKILL');
  await allFinished(s);
  for (const id of ids) {
    const { order: o, events } = await finished(s, id);
    assert.equal(o.status, 'completed');
    assert.deepEqual(events.map((e) => e.event_type), ['order_created', 'asked', 'order_completed'], 'nobody was charged');
    assert.equal(new Set(service.of(id).map((r) => r.headers['idempotency-key'])).size, 1);
  }
  assert.equal(await s.stop(), 0);
});

test('programs_are_asked_from_a_process_and_see_its_sandbox', { timeout: 60_000 }, async () => {
  const folder = program();
  const s = await startExec(folder);
  for (let i = 0; i < 40; i++)
    await place(s);
  await allFinished(s);
  const pids = new Set((await Promise.all((await allOrders(s)).map((o) => finished(s, o.id))))
    .map((whole) => ofType(whole, 'asked')[0].message));
  assert.ok(pids.size <= 4, 'programs are kept alive');
  const said = async (act) => ofType(await finished(s, (await place(s, order({ 'PROD-002': 1 }, { act }))).id), 'asked')[0].message;
  assert.equal(await said('attempt(lambda: socket.socket())'), 'Permission denied');
  assert.equal(await said('attempt(lambda: open("/etc/passwd").read())'), 'Permission denied');
  assert.equal(await said('attempt(lambda: open("made.card", "w"))'), 'Permission denied');
  assert.equal(await said('attempt(lambda: len(open("actor.py").read()) > 9)'), 'True');
  assert.equal(await said(`attempt(lambda: os.kill(${s.pid}, 9))`), 'Operation not permitted');
  assert.equal(await s.stop(), 0);
  const t = await startExec(folder, { network: true, write: [folder] });
  const tSaid = async (act) => ofType(await finished(t, (await place(t, order({ 'PROD-002': 1 }, { act }))).id), 'asked')[0].message;
  assert.equal(await tSaid('attempt(lambda: socket.socket() is not None)'), 'True');
  assert.equal(await tSaid('attempt(lambda: open("made.card", "w").write("x"))'), '1');
  assert.equal(await t.stop(), 0);
});

test('programs_end_with_their_process_and_their_orders_go_on', { timeout: 60_000 }, async () => {
  const s = await startExec(program(), {}, { workers: 1 });
  await finished(s, (await place(s)).id);
  const [child] = childrenOf(s.pid);
  const programs = childrenOf(child);
  assert.ok(programs.length >= 1);
  const { id } = await place(s, order({ 'PROD-002': 1 }, { act: 'time.sleep(1) or "slept"' }));
  await until('the order to be with its program', async () => (await stageOf(s, 'ask')).live.later === 1);
  process.kill(child, 'SIGKILL');
  const whole = await finished(s, id);
  assert.deepEqual(whole.events.map((e) => e.event_type), ['order_created', 'asked', 'order_completed']);
  await until('its programs to end', () => !programs.some(isAlive));
  const left = childrenOf(childrenOf(s.pid)[0]);
  assert.equal(await s.stop(), 0);
  assert.ok(!left.some(isAlive), 'no program is left behind');
});

test('check_says_what_http_and_exec_need_of_the_sandbox', async () => {
  const check = async (...file) => (await runStageline(['check', '--plugins', join(build, 'plugins'), pipeline(...file)])).err;
  const url = 'http://127.0.0.1:9/';
  assert.match(await check('http', { url }, {}),
    /3:\d+: error: plugin 'http' calls out: with 'isolation: process' stage 'ask' needs 'sandbox: \{network: true\}'/);
  assert.match(await check('exec', { command: ['true'] }, { network: true }),
    /error: plugin 'exec' starts programs: .* needs 'sandbox: \{programs: true\}'/);
  for (const sandbox of ['off', { network: true }])
    assert.equal(await check('http', { url }, sandbox), '');
  assert.equal(await check('http', { url }, {}, { isolation: 'thread', sandbox: undefined }), '');
});

// The exec stage with programs that answer, crash, hang, babble and do not want to end.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { allFinished, allOrders, finished, order, place, state } from '../lib/orders.mjs';
import { pipelineFile } from '../lib/pipeline.mjs';
import { ofType, onHold, send, stageIs, when } from '../lib/scripted.mjs';
import { freePort, runStageline, serveArgs, startStageline, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const retry = { attempts: 3, backoff: '5ms', factor: 2, max: '20ms', jitter: 0 };

const python = '/usr/bin/python3'; // what PATH finds first may be a wrapper that takes its time

// A program that does what the order's `acts` say, one per attempt of that direction; `say` prints a line.
const actor = `
import json, os, signal, sys, time
def say(text):
    sys.stdout.write(text + "\\n"); sys.stdout.flush()
def crash(code): os._exit(code)
for line in sys.stdin:
    q = json.loads(line)
    acts = q["order"].get("acts", {}).get(q["direction"], ['done()'])
    def answer(verdict, **more): say(json.dumps({"id": q["id"], "verdict": verdict, **more}))
    def done(**more): answer("done", **{"message": "pid %d" % os.getpid(), **more})
    exec(acts[min(q["attempt"] - 1, len(acts) - 1)])
`;

function program(source = actor) {
  const path = join(temporaryFolder(), 'program.py');
  writeFileSync(path, source);
  return path;
}

function pipeline(config, { last = '', ...policy } = {}) {
  return pipelineFile(['pipeline: orders', 'state: {stock/gift: 10}', `defaults: ${JSON.stringify({ timeout: '10s', retry })}`,
    'stages:', `  - ${JSON.stringify({ name: 'wrap', plugin: 'exec', event: 'wrapped', undo_event: 'unwrapped', ...policy, config })}`,
    last].join('\n'));
}

const start = (config = {}, policy = {}) => startStageline({
  pipeline: pipeline({ command: [python, program()], ...config }, policy) });
const placed = async (s, run, undo) => (await place(s, order({ 'PROD-002': 1 }, { acts: { run, undo } }))).id;
const ended = async (s, run) => finished(s, await placed(s, run));

// All processes that the daemon's threads started.
function programsOf(pid) {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).filter((name) => {
    try {
      return new RegExp(`^PPid:\\t${pid}$`, 'm').test(readFileSync(`/proc/${name}/status`, 'utf8'));
    } catch { return false; }
  });
}

// The message of the only attempt that went wrong before one that did not.
async function trouble(s, act) {
  const whole = await ended(s, [act, 'done()']);
  assert.equal(whole.order.status, 'completed', JSON.stringify(whole.order));
  assert.equal(ofType(whole, 'stage_retrying').length, 1);
  return ofType(whole, 'stage_retrying')[0].message;
}

test('a_question_is_one_line_and_so_is_its_answer', async () => {
  const s = await start();
  const id = await placed(s, ['done(message="Wrapped ü\\n", data={"question": {k: v for k, v in q.items() if k != "order"}, '
    + '"total": q["order"]["total_amount"]}, effects=[{"add": "stock/gift", "delta": -1, "floor": 0}])']);
  const whole = await finished(s, id);
  const [wrapped] = ofType(whole, 'wrapped');
  assert.equal(wrapped.message, 'Wrapped ü');
  const { id: question, ...rest } = wrapped.metadata.question;
  assert.match(question, /^\d+$/);
  assert.deepEqual(rest, { stage: 'wrap', direction: 'run', attempt: 1, idempotency_key: `${id}:wrap:run`, results: {} });
  assert.equal(wrapped.metadata.total, 29.99);
  assert.equal((await state(s, 'stock/'))['stock/gift'], 9);
  assert.equal(await s.stop(), 0);
});

test('one_program_serves_one_order_after_the_other', async () => {
  const s = await start();
  const pids = new Set();
  for (let i = 0; i < 20; i++)
    pids.add(ofType(await ended(s), 'wrapped')[0].message);
  assert.equal(pids.size, 1);
  assert.equal(await s.stop(), 0);
});

test('several_programs_share_the_orders_and_no_thread_waits_for_them', async () => {
  const s = await start({ processes: 4 });
  for (let i = 0; i < 200; i++)
    await placed(s, ['time.sleep(0.005); done()']);
  await allFinished(s);
  const wholes = await Promise.all((await allOrders(s)).map((o) => finished(s, o.id)));
  const pids = new Set(wholes.map((whole) => ofType(whole, 'wrapped')[0].message));
  assert.equal(wholes.length, 200);
  assert.ok(pids.size >= 2 && pids.size <= 4, [...pids].join());
  // Redis has four of its own.
  const threads = readdirSync(`/proc/${s.pid}/task`).map((id) => readFileSync(`/proc/${s.pid}/task/${id}/comm`, 'utf8'));
  assert.ok(threads.filter((name) => !name.startsWith('redis-')).length < 15, threads.join(''));
  assert.equal(await s.stop(), 0);
});

test('verdicts_are_taken_as_they_are_said', async () => {
  const s = await start();
  const failed = await ended(s, ['answer("fail", message="No paper left")']);
  assert.equal(failed.order.status, 'failed');
  assert.equal(ofType(failed, 'stage_failed')[0].message, 'No paper left');
  const again = await ended(s, ['answer("retry", message="Paper is on its way", delay_ms=300)', 'done()']);
  assert.equal(ofType(again, 'stage_retrying')[0].message, 'Paper is on its way');
  assert.ok(Date.parse(ofType(again, 'wrapped')[0].timestamp) - Date.parse(ofType(again, 'stage_retrying')[0].timestamp) >= 290);
  assert.match(await trouble(s, 'answer("maybe")'), /has no verdict: done, fail, retry or wait/);
  assert.match(await trouble(s, 'done(data=[1])'), /answered, but its data is no object, or too large$/);
  assert.match(await trouble(s, 'done(effects=[{"add": 1}])'), /answered, but its effect 1 is no add, put or delete/);
  assert.equal(await s.stop(), 0);
});

test('wait_waits_for_a_signal_and_asks_again_with_it', async () => {
  const s = await start();
  const act = 'done(data=q["signal"]) if "signal" in q else answer("wait", message="A clerk looks", delay_ms=3600000)';
  const id = await placed(s, [act]);
  const waiting = await stageIs(s, id, 'wrap', 'waiting');
  assert.equal(ofType(waiting, 'stage_waiting')[0].message, 'A clerk looks');
  const sent = await fetch(`${s.url}/orders/${id}/signals/wrap`, { method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: '{\n  "by": "Ann\\n"\n}\n' });
  assert.equal(sent.status, 200);
  assert.deepEqual(ofType(await finished(s, id), 'wrapped')[0].metadata, { by: 'Ann\n' });
  assert.equal(await s.stop(), 0);
});

test('undo_is_asked_with_what_run_said', async () => {
  const s = await start({}, { last: '  - {name: last, plugin: payment, undo_event: undone_last, config: {decline_rate: 1}}' });
  const id = await placed(s, ['done(data={"paper": "red"})'],
    ['crash(1)', 'done(message="Unwrapped " + q["results"]["wrap"]["paper"])']);
  const whole = await finished(s, id);
  assert.equal(whole.order.status, 'failed');
  assert.equal(ofType(whole, 'unwrapped')[0].message, 'Unwrapped red');
  assert.equal(await s.stop(), 0);
});

test('a_program_that_dies_is_started_again_and_says_how_it_died', async () => {
  const s = await start();
  assert.match(await trouble(s, 'crash(3)'), /^'\/usr\/bin\/python3 .*program.py' exited with status 3$/);
  assert.match(await trouble(s, 'crash(0)'), /exited with status 0$/);
  assert.match(await trouble(s, 'os.kill(os.getpid(), signal.SIGSEGV)'), /was killed by signal 11 \(SIGSEGV\)$/);
  assert.match(await trouble(s, 'print("one\\ntwo\\nthree\\nfour \\x1b[31m!", file=sys.stderr, flush=True); crash(1)'),
    /exited with status 1: two \| three \| four \[31m!$/);
  assert.match(await trouble(s, 'raise ValueError("no such paper")'), /status 1: .*ValueError: no such paper$/);
  assert.match(s.logs(), /info +stage=wrap plugin=exec: one\n/);
  const held = await onHold(s, await placed(s, ['crash(9)']));
  assert.match(ofType(held, 'stage_held')[0].message, /exited with status 9/);
  assert.equal(await s.stop(), 0);
});

test('an_answer_before_the_end_counts', async () => {
  const s = await start();
  for (let i = 0; i < 10; i++)
    assert.equal(ofType(await ended(s, ['done(); crash(0)']), 'wrapped').length, 1);
  assert.equal(await s.stop(), 0);
});

test('a_question_that_nobody_read_goes_to_the_next_program', async () => {
  const once = 'import json, sys\nq = json.loads(sys.stdin.readline())\n'
    + 'print(json.dumps({"id": q["id"], "verdict": "done"}), flush=True)\n';
  const s = await start({ command: [python, program(once)], timeout: '60s' }, { timeout: '90s' });
  const ids = await Promise.all(Array.from({ length: 12 }, async () => (await place(s)).id));
  for (const whole of await Promise.all(ids.map((id) => finished(s, id))))
    assert.deepEqual(ofType(whole, 'stage_retrying').map((e) => e.message), []);
  assert.equal(await s.stop(), 0);
});

test('a_program_that_hangs_is_killed_with_all_it_started', async () => {
  const act = 'open("pids", "w").write("%d %d" % (os.getpid(), __import__("subprocess").Popen(["sleep", "1000"]).pid)); '
    + 'signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)';
  const folder = temporaryFolder();
  const s = await start({ timeout: '2s', folder });
  assert.match(await trouble(s, act), /did not answer within 2000 ms; it was killed$/);
  const pids = readFileSync(join(folder, 'pids'), 'utf8').split(' ');
  await until('them to be gone', () => pids.every((pid) => {
    try {
      return /^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch { return true; }
  }));
  assert.equal(await s.stop(), 0);
});

test('whoever_breaks_the_agreement_is_replaced', async () => {
  const s = await start({ max_line: '4KiB' });
  assert.match(await trouble(s, 'say("hello ü\\x07")'), /answered with a line that is no JSON object: hello ü; it was killed$/);
  assert.match(await trouble(s, 'say("[1]")'), /no JSON object: \[1\]; it was killed$/);
  assert.match(await trouble(s, 'say("{}")'), /without the id of the question: \{\}/);
  assert.match(await trouble(s, 'say(json.dumps({"id": "x", "verdict": "done"}))'), /without the id of the question/);
  assert.match(await trouble(s, 'done(data={"text": "x" * 5000})'), /a line of more than 4096 bytes/);
  assert.match(await trouble(s, 'sys.stdout.write("x" * 10000000); time.sleep(100)'), /a line of more than 4096 bytes/);
  assert.match(await trouble(s, 'os.write(1, b"\\xff\\xfe\\n")'), /no JSON object: \?\?;/);
  assert.match(await trouble(s, 'os.close(1); time.sleep(100)'), /closed its stdout; it was killed$/);
  assert.equal(ofType(await ended(s, ['done(); say("and another thing")']), 'wrapped').length, 1);
  await until('the log to tell', () => /wrote to its stdout without being asked: and another thing; it was killed/.test(s.logs()));
  assert.equal((await ended(s)).order.status, 'completed');
  assert.equal(await s.stop(), 0);
});

test('a_flood_on_stderr_is_bounded', async () => {
  const s = await start();
  assert.equal((await ended(s, ['[print("flood", i, file=sys.stderr) for i in range(20000)]; '
    + 'print("z" * 100000, file=sys.stderr); sys.stderr.flush(); done()'])).order.status, 'completed');
  await until('the log to tell', () => /wrote \d+ more lines to its stderr/.test(s.logs()));
  assert.ok(s.logs().match(/flood/g).length < 2000);
  assert.equal(await s.stop(), 0);
});

test('a_program_that_cannot_run_says_so_and_does_not_run_hot', async () => {
  const script = program('#!/nowhere/interpreter\n');
  chmodSync(script, 0o755);
  const s = await start({ command: [script], timeout: '700ms' });
  const whole = await onHold(s, await placed(s));
  assert.match(ofType(whole, 'stage_retrying')[0].message, /could not be asked within 700 ms: it could not start: No such file/);
  assert.ok(s.logs().match(/could not start/g).length < 12);
  assert.equal(await s.stop(), 0);

  const t = await start({ command: ['sh', '-c', 'echo no licence >&2; exit 4'], timeout: '3s' });
  const tried = await when(t, await placed(t), 'tried once', (w) => ofType(w, 'stage_retrying').length > 0);
  assert.match(ofType(tried, 'stage_retrying')[0].message, /exited with status 4: no licence$/);
  assert.ok(t.logs().match(/plugin=exec: no licence/g).length < 12);
  assert.equal(await t.stop(), 0);
});

test('environment_folder_and_files_are_those_that_were_given', async () => {
  const folder = temporaryFolder();
  const s = await startStageline({ env: { SHOP_TOKEN: 'open sesame', SHOP_NAME: 'Corner' },
    pipeline: pipeline({ command: [python, program()], folder, environment: ['PAPER=red=ish', 'SHOP_NAME', 'UNSET_HERE'] }) });
  const whole = await ended(s, ['done(data={"env": dict(os.environ), "cwd": os.getcwd(), "fds": sorted(os.listdir("/proc/self/fd")), '
    + '"blocked": [l for l in open("/proc/self/status") if l.startswith("SigBlk") or l.startswith("SigIgn")]})']);
  const { env, cwd, fds, blocked } = ofType(whole, 'wrapped')[0].metadata;
  assert.deepEqual([env.PAPER, env.SHOP_NAME, env.UNSET_HERE, env.SHOP_TOKEN], ['red=ish', 'Corner', undefined, undefined]);
  assert.equal(env.PATH, process.env.PATH);
  assert.equal(cwd, folder);
  assert.deepEqual(fds, ['0', '1', '2', '3'], '3 is the listing itself');
  assert.match(blocked[0], /\t0000000000000000\n/);
  assert.equal(await s.stop(), 0);
});

test('programs_end_with_the_daemon_and_leave_no_zombie', async () => {
  const folder = temporaryFolder();
  const s = await start({ processes: 2, grace: '300ms', folder });
  await Promise.all([1, 2].map(() => ended(s, ['signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(0.1); done()'])));
  for (let i = 0; i < 5; i++)
    await ended(s, ['crash(1)', 'done()']);
  const stuck = await placed(s, ['signal.signal(signal.SIGTERM, signal.SIG_IGN); open("stuck", "w"); time.sleep(1000)']);
  await when(s, stuck, 'under way', () => existsSync(join(folder, 'stuck')));
  const pids = programsOf(s.pid);
  assert.ok(pids.length >= 1 && pids.length <= 2, pids.join());
  for (const pid of pids)
    assert.doesNotMatch(readFileSync(`/proc/${pid}/status`, 'utf8'), /^State:\tZ/m);
  const begin = performance.now();
  assert.equal(await s.stop(), 0);
  assert.ok(performance.now() - begin < 5000);
  for (const pid of pids)
    assert.throws(() => readlinkSync(`/proc/${pid}/exe`));
});

test('programs_do_not_outlive_a_daemon_that_is_killed', async () => {
  const s = await start();
  await placed(s, ['time.sleep(1000)']);
  const [pid] = await until('the program to run', () => { const found = programsOf(s.pid); return found.length && found; });
  await s.kill();
  await until('it to be gone', () => { try { readlinkSync(`/proc/${pid}/exe`); return false; } catch { return true; } });
});

test('what_is_wrong_with_the_config_is_said_at_the_start', async () => {
  const wrong = async (config, word) => {
    const listen = `127.0.0.1:${await freePort()}`;
    const { code, err } = await runStageline(serveArgs({ pipeline: pipeline(config), dataDir: temporaryFolder(), listen }));
    assert.notEqual(code, 0);
    assert.match(err, word);
  };
  await wrong({}, /command/);
  await wrong({ command: [] }, /command is empty/);
  await wrong({ command: ['no-such-program-anywhere'] }, /there is no program 'no-such-program-anywhere'/);
  await wrong({ command: ['/etc/passwd'] }, /there is no program '\/etc\/passwd'/);
  await wrong({ command: ['true'], folder: '/nowhere' }, /folder '\/nowhere': No such file/);
  await wrong({ command: ['true'], folder: '/etc/passwd' }, /folder '\/etc\/passwd' is none/);
  await wrong({ command: ['true'], environment: ['=x'] }, /environment: item 1/);
});

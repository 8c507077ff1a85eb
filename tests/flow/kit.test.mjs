// The kit for those who write stages: `stageline plugin new`, `show` and `test`, from an installed tree.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { before } from 'node:test';
import { finished, getJson, order, place, state } from '../lib/orders.mjs';
import { fastPipelineText, pipelineFile } from '../lib/pipeline.mjs';
import { startService } from '../lib/service.mjs';
import { build, runStageline, root, startStageline, temporaryFolder } from '../lib/stageline.mjs';

const USAGE = 2;
const BAD_CONFIG = 78;
const shipped = join(build, 'plugins');
const mocks = join(build, 'tests/plugins');
const payment = join(shipped, 'payment.so');
const scripted = join(mocks, 'scripted.so');
const folder = temporaryFolder();

function file(name, value) {
  const path = join(folder, name);
  writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value));
  return path;
}

const orderFile = file('order.json', order());
// An order that makes the scripted stage do that.
const script = (what) => file(`script-${what.replace(/\W/g, '_')}.json`, { script: { scripted: what, 'undo scripted': what } });

const kit = (...args) => runStageline(['plugin', ...args], { deadline: 60_000 });

async function ok(...args) {
  const end = await kit(...args);
  assert.equal(end.code, 0, `${args.join(' ')}: ${end.out}${end.err}`);
  return end;
}

const tried = async (...args) => JSON.parse((await ok('test', ...args, '--json')).out);

async function assertRefused(code, args, words) {
  const end = await kit(...args);
  assert.equal(end.code, code, `${args.join(' ')}: ${end.out}${end.err}`);
  assert.match(end.err, words);
  assert.equal(end.out, '');
}

// --- new ---

// The tree as a packager would stage it, and pkg-config told where it is.
function install() {
  const staged = join(temporaryFolder(), 'staged');
  execFileSync('meson', ['install', '-C', build, '--no-rebuild', '--quiet', '--destdir', staged], { stdio: 'pipe' });
  const pc = execFileSync('find', [staged, '-name', 'stageline.pc'], { encoding: 'utf8' }).trim();
  const text = readFileSync(pc, 'utf8');
  const prefix = join(staged, /^prefix=(.*)$/m.exec(text)[1]);
  writeFileSync(pc, text.replace(/^prefix=.*$/m, `prefix=${prefix}`));
  const env = { ...process.env, PKG_CONFIG_PATH: join(pc, '..'), PATH: `${join(prefix, 'bin')}:${process.env.PATH}` };
  const stages = execFileSync('pkg-config', ['--variable=stagesdir', 'stageline'], { env, encoding: 'utf8' }).trim();
  return { program: join(prefix, 'bin/stageline'), www: join(prefix, 'share/stageline/www'), stages, env };
}

let installed = null;
before(() => { installed = install(); });

const shell = (cwd, command) => execFileSync('sh', ['-c', command], { cwd, env: installed.env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

test('a_new_stage_is_built_by_two_commands_and_joins_a_running_daemon_by_one_edit_and_a_reload', async () => {
  const home = temporaryFolder();
  const pipeline = pipelineFile(fastPipelineText({ latency: '50ms' }));
  const s = await startStageline({ program: installed.program, plugins: installed.stages, www: installed.www, pipeline });
  const { pid } = s;
  const { generation } = await getJson(s, '/pipeline');

  assert.deepEqual(shell(home, 'stageline plugin new loyalty').trim().split('\n').sort(),
    ['README.md', 'loyalty.c', 'loyalty.test.yaml', 'loyalty.yaml', 'meson.build', 'order.json'].map((name) => `loyalty/${name}`));
  const stage = join(home, 'loyalty');
  const page = readFileSync(join(stage, 'README.md'), 'utf8');
  const [, setUp, check] = /^ {4}(meson setup build) && (meson test -C build)$/m.exec(page);
  shell(stage, `${setUp} -Dwerror=true`);
  assert.match(shell(stage, check), /Ok: +3\b/);
  assert.match(shell(stage, 'stageline test loyalty.yaml --plugins build'), /^cases: 2 passed, 0 failed$/m);

  const before_ = await place(s);
  shell(stage, /`(meson install -C build)`/.exec(page)[1]);
  appendFileSync(pipeline, /```yaml\n([^]*?)```/.exec(page)[1]);
  shell(stage, `stageline reload --url ${s.url}`);
  const after_ = await finished(s, (await place(s)).id);
  assert.equal(after_.order.status, 'completed');
  assert.deepEqual(after_.events.find((e) => e.event_type === 'points_booked').metadata, { points: 5 });
  assert.equal((await state(s, 'points/'))['points/given'], 5);
  const { order: earlier } = await finished(s, before_.id);
  assert.deepEqual([earlier.status, earlier.generation], ['completed', generation], 'what was under way ends as it began');
  assert.ok(s.isRunning && s.pid === pid, 'it is the same process');
  assert.equal(await s.stop(), 0);
});

test('a_new_stage_overwrites_nothing', async () => {
  const home = temporaryFolder();
  mkdirSync(join(home, 'taken'));
  await assertRefused(1, ['new', 'taken', '--dir', home], /taken' is there already, and nothing is overwritten/);
  assert.deepEqual(readdirSync(join(home, 'taken')), []);
  await assertRefused(1, ['new', 'x', '--dir', join(home, 'nowhere')], /cannot be made: No such file/);
});

for (const name of ['Loyalty', '9lives', 'a b', '../up', '', 'x'.repeat(65)])
  test(`a_stage_cannot_be_called_${name.slice(0, 10) || 'nothing'}`, () => (
    assertRefused(USAGE, ['new', name, '--dir', folder], /cannot be a stage's name/)));

test('the_template_itself_passes_its_cases', async () => {
  const stage = join(temporaryFolder(), 'stages');
  mkdirSync(stage, { mode: 0o755 });
  execFileSync('cc', ['-std=c17', '-Wall', '-Wextra', '-Werror', '-I', join(root, 'core/include'), '-shared', '-fPIC',
    '-fvisibility=hidden', '-Wl,-z,defs', '-o', join(stage, 'example.so'), join(root, 'plugins/template/example.c')]);
  const end = await runStageline(['test', '--plugins', stage, join(root, 'plugins/template/example.yaml')]);
  assert.equal(end.code, 0, end.out + end.err);
});

// --- show ---

test('show_tells_what_a_plugin_says_of_itself', async () => {
  const { out } = await ok('show', payment);
  assert.match(out, /^payment 1\.0: Captures the total/);
  assert.match(out, /^ {2}abi +1\.\d+$/m);
  assert.match(out, /^ {2}flags +concurrent, effects$/m);
  assert.match(out, /^latency +time range +0ms +- +how long an answer takes/m);
});

test('show_gives_programs_json', async () => {
  const [loud] = JSON.parse((await ok('show', '--json', join(mocks, 'loud.so'))).out);
  assert.equal(loud.version, '2.5');
  assert.deepEqual(loud.flags, ['concurrent']);
  assert.equal(loud.undo, true);
  assert.deepEqual(loud.options, [
    { name: 'text', type: 'text', required: true, default: null, choices: null, summary: 'what is said' },
    { name: 'speed', type: 'choice', required: false, default: 'slow', choices: 'slow|fast', summary: 'how fast' },
    { name: 'pause', type: 'time', required: false, default: '5s', min: 1000, max: 60000, choices: null,
      summary: 'how long in between' }]);
});

test('show_runs_no_code_of_the_plugin', async () => {
  const trace = join(folder, 'trace');
  const env = { STAGELINE_TEST_TRACE: trace };
  const shown = await runStageline(['plugin', 'show', join(mocks, 'loud.so')], { env });
  assert.equal(shown.code, 0, shown.err);
  assert.match(shown.out, /^pause +time +5s +1s to 1m +how long in between$/m);
  assert.ok(!existsSync(trace), 'its constructor ran');
  await runStageline(['plugin', 'test', join(mocks, 'loud.so'), '--order', orderFile, '--config', 'text: x'], { env });
  assert.ok(existsSync(trace), 'the constructor leaves a trace when it runs');
});

test('show_without_a_file_lists_the_folders_and_says_what_would_not_load', async () => {
  const all = JSON.parse((await ok('show', '--json', '--plugins', shipped)).out).map((p) => p.name);
  for (const name of ['inventory', 'payment', 'shipping', 'validation'])
    assert.ok(all.includes(name), `${name} is among ${all}`);
  const { code, out, err } = await kit('show', '--plugins', mocks);
  assert.equal(code, 1);
  assert.match(out, /^scripted 1: a mock$/m);
  assert.match(err, /other_major\.so': is for ABI 2\.0, this host is 1\.\d/);
  assert.match(err, /wrong_name\.so' calls itself 'somebody', so its file must be somebody\.so/);
});

test('show_of_what_is_no_plugin_says_so', async () => {
  await assertRefused(1, ['show', join(root, 'meson.build')], /is not an ELF file, so no shared object/);
  await assertRefused(1, ['show', join(folder, 'nothing.so')], /cannot be opened: No such file/);
});

// --- test ---

test('a_plugin_is_tried_with_one_order', async () => {
  const { out } = await ok('test', payment, '--order', orderFile);
  assert.match(out, /^verdict +done\nmessage +Payment captured\nresult +\{"transaction_id":"TXN-[0-9A-F]{16}","amount":29\.99\}\n/);
  assert.match(out, /^effects +\{"add":"payments\/captured","by":2999\}$/m);
  assert.match(out, /^time +[\d.]+ ms$/m);
});

test('its_config_is_checked_with_places', async () => {
  const said = await tried(payment, '--order', orderFile, '--config', 'decline_rate: 1');
  assert.equal(said.verdict, 'fail');
  assert.equal(said.message, 'Payment declined');
  await assertRefused(BAD_CONFIG, ['test', payment, '--order', orderFile, '--config', 'decline_rat: 1'],
    /^--config:1:1: error: unknown key 'decline_rat' \(did you mean 'decline_rate'\?\)$/m);
  const config = file('config.yaml', 'seed: 3\nfailure_rate: 7\n');
  await assertRefused(BAD_CONFIG, ['test', payment, '--order', orderFile, '--config-file', config], /config\.yaml:2:15: error: /);
});

test('config_and_catalogue_come_from_a_pipeline', async () => {
  const pipeline = pipelineFile(fastPipelineText({ stages: { payment: { config: { failure_rate: 1 } } } }));
  assert.equal((await tried(payment, '--order', orderFile, '--pipeline', pipeline, '--stage', 'payment')).verdict, 'retry');
  const validation = join(shipped, 'validation.so');
  assert.equal((await tried(validation, '--order', orderFile, '--pipeline', pipeline)).verdict, 'done');
  assert.equal((await tried(validation, '--order', file('boat.json', order({ 'PROD-999': 1 })), '--pipeline', pipeline)).verdict, 'fail');
});

test('undo_gets_the_results_of_the_run', async () => {
  const results = file('results.json', { payment: { amount: 29.99 } });
  const said = await tried(payment, '--order', orderFile, '--undo', '--results', results);
  assert.deepEqual(said.effects, [{ add: 'payments/refunded', by: 2999 }]);
  assert.equal((await tried(payment, '--order', orderFile, '--undo')).message, 'Nothing was captured');
  await assertRefused(1, ['test', join(shipped, 'validation.so'), '--order', orderFile, '--undo'], /has no undo\(\)/);
});

test('later_is_followed_in_real_time_or_fast_forward', async () => {
  const start = Date.now();
  const real = await tried(payment, '--order', orderFile, '--config', 'latency: 200ms');
  assert.ok(Date.now() - start >= 199);
  assert.equal(real.turns, 2);
  const fast = await tried(payment, '--order', orderFile, '--config', 'latency: 1h', '--timeout', '2h', '--fast-forward');
  assert.equal(fast.verdict, 'done');
  assert.ok(fast.waited_ms >= 3_599_000);
});

test('repeat_measures_and_counts', async () => {
  const said = await tried(payment, '--order', orderFile, '--config', 'failure_rate: 0.5', '--repeat', '200');
  assert.equal(said.runs, 200);
  assert.equal(said.verdicts.done + said.verdicts.retry, 200);
  assert.ok(said.verdicts.done > 50 && said.verdicts.retry > 50, JSON.stringify(said.verdicts));
  assert.ok(said.time_us.min <= said.time_us.median && said.time_us.median <= said.time_us.max);
  const { out } = await ok('test', payment, '--order', orderFile, '--repeat', '3');
  assert.match(out, /^time +[\d.]+ ms median, [\d.]+ to [\d.]+ ms, 3 runs\nverdicts +done 3$/m);
});

test('a_crash_is_reported_with_its_signal_and_the_command_lives', async () => {
  const { code, out } = await kit('test', scripted, '--order', script('c'));
  assert.equal(code, 1);
  assert.match(out, /^verdict +crash\nmessage +run\(\) died of SIGSEGV \(Segmentation fault\)$/m);
  const said = await tried(scripted, '--order', script('c'), '--undo', '--expect', 'crash');
  assert.equal(said.signal, 'SIGSEGV');
  assert.equal(said.message, 'undo() died of SIGSEGV (Segmentation fault)');
});

test('a_call_that_does_not_come_back_is_ended_at_its_timeout', async () => {
  const source = file('stuck.c', '#include <stdlib.h>\n#include <stageline/stage.h>\n'
    + 'static int32_t create(const struct sl_host *h, const void *c, void **s) { (void)c; *s = (void *)h; return 0; }\n'
    + 'static int32_t run(void *s, struct sl_task *t) { (void)s; (void)t; if (getenv("LEAVE")) exit(3); for (volatile int i = 1; i;) ; return 0; }\n'
    + 'SL_EXPORT const struct sl_stage stageline_stage = {.size = sizeof(struct sl_stage), .abi = SL_ABI, .name = "stuck",'
    + ' .version = "1", .summary = "s", .create = create, .run = run};\n');
  execFileSync('cc', ['-shared', '-fPIC', '-I', join(root, 'core/include'), '-o', join(folder, 'stuck.so'), source]);
  const args = ['plugin', 'test', join(folder, 'stuck.so'), '--order', orderFile, '--timeout', '100ms', '--json'];
  const stuck = await runStageline(args);
  assert.equal(stuck.code, 1);
  assert.equal(JSON.parse(stuck.out).message, 'run() did not come back within 100 ms');
  const left = await runStageline(args, { env: { LEAVE: '1', ASAN_OPTIONS: 'detect_leaks=0' } });
  assert.equal(left.code, 1);
  assert.equal(JSON.parse(left.out).message, 'run() ended its process with exit status 3');
});

test('a_plugin_that_waits_gets_its_signal', async () => {
  const said = await tried(scripted, '--order', script('w'), '--expect', 'wait');
  assert.equal(said.delay_ms, 60000);
  const answer = file('answer.json', { yes: true });
  assert.deepEqual((await tried(scripted, '--order', script('w'), '--signal', answer)).result, { yes: true });
});

test('expect_decides_the_exit_status', async () => {
  await ok('test', scripted, '--order', script('f'), '--expect', 'fail');
  const { code, err } = await kit('test', scripted, '--order', script('f'), '--expect', 'done');
  assert.equal(code, 1);
  assert.match(err, /verdict is 'fail', not 'done'/);
});

test('the_attempt_can_be_set', async () => {
  assert.equal((await tried(scripted, '--order', script('rrd'), '--attempt', '2')).verdict, 'retry');
  assert.equal((await tried(scripted, '--order', script('rrd'), '--attempt', '3')).verdict, 'done');
});

test('a_plugin_that_cannot_start_says_why', () => assertRefused(1,
  ['test', join(mocks, 'failing_create.so'), '--order', orderFile], /could not start: the licence has expired/));

for (const [name, args, words] of [
  ['without_a_file', ['test', '--order', orderFile], /one FILE\.so is wanted/],
  ['without_an_order', ['test', payment], /--order FILE is missing/],
  ['with_an_order_that_is_not_there', ['test', payment, '--order', join(folder, 'no.json')], /no\.json/],
  ['with_an_order_that_is_no_object', ['test', payment, '--order', file('list.json', '[]')], /a JSON object is wanted/],
  ['with_two_configs', ['test', payment, '--order', orderFile, '--config', 'a: 1', '--config-file', orderFile], /either/],
  ['with_a_bad_number', ['test', payment, '--order', orderFile, '--repeat', '0'], /--repeat '0' is not a number/],
  ['with_an_unknown_verdict', ['test', payment, '--order', orderFile, '--expect', 'later'], /no verdict/],
  ['with_an_unknown_flag', ['show', '--jsn'], /jsn/],
  ['with_an_unknown_action', ['shwo'], /no action 'shwo'/],
  ['with_no_action', [], /^usage: stageline plugin ACTION/],
])
  test(`plugin_${name}_is_wrong_usage`, () => assertRefused(USAGE, args, words));

test('help_is_data', async () => {
  assert.match((await ok('--help')).out, /^usage: stageline plugin ACTION/);
  for (const action of ['new', 'show', 'test'])
    assert.match((await ok(action, '--help')).out, new RegExp(`^usage: stageline plugin ${action} `));
});

test('a_stage_that_waits_to_be_woken_is_tried_too', async () => {
  const service = await startService();
  const path = file('woken.json', order({}, { service: { run: [{ status: 200, body: { message: 'Seen', data: { a: 1 } } }] } }));
  const said = await tried(join(shipped, 'http.so'), '--order', path, '--config', `url: ${service.url}`, '--repeat', '3');
  assert.deepEqual([said.verdicts, said.message, said.result, said.turns], [{ done: 3 }, 'Seen', { a: 1 }, 2]);
  assert.ok(said.waited_ms < 2000, JSON.stringify(said));
});

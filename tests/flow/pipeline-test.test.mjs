// `stageline test`: cases beside a pipeline, played on a clock of their own; what passes, what fails, and how it is said.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import Ajv from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { binary, build, root, runStageline, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const USAGE = 2;
const BAD_CONFIG = 78;
const shipped = join(build, 'plugins');
const mocks = join(build, 'tests/plugins');

const item = { product_id: 'A', name: 'A', quantity: 1, price: 1.5 };
const order = { customer_email: 'ann@mail.test', items: [item], total_amount: 1.5 };
const scripted = (script) => ({ ...order, script });

// A pipeline of scripted stages and its cases, one line of YAML per entry. `stages`: NAME → more of the entry.
function write({ stages = { one: {}, two: {} }, defaults = {}, state = {}, cases, shared = {} }) {
  const folder = temporaryFolder();
  const entries = Object.entries(stages).map(([name, more]) => ({ name, plugin: 'scripted', event: `${name}_done`,
    undo_event: `${name}_undone`, ...more }));
  const pipeline = join(folder, 'line.yaml');
  writeFileSync(pipeline, [`pipeline: line`, `defaults: ${JSON.stringify({ retry: { attempts: 3, jitter: 0 }, ...defaults })}`,
    `state: ${JSON.stringify(state)}`, 'stages:', ...entries.map((e) => `  - ${JSON.stringify(e)}`), ''].join('\n'));
  writeFileSync(join(folder, 'line.test.yaml'), [`order: ${JSON.stringify(order)}`,
    ...Object.entries(shared).map(([key, value]) => `${key}: ${JSON.stringify(value)}`), 'cases:',
    ...cases.map((c, i) => `  - ${JSON.stringify({ name: `case ${i + 1}`, ...c })}`), ''].join('\n'));
  return pipeline;
}

// Case files that were not faulty: what the schema must accept.
const accepted = [];

async function run(pipeline, ...flags) {
  const end = await runStageline(['test', '--plugins', mocks, ...flags, pipeline]);
  const cases = pipeline.replace(/\.yaml$/, '.test.yaml');
  if (end.code !== BAD_CONFIG && existsSync(cases))
    accepted.push(readFileSync(cases, 'utf8'));
  return end;
}

async function played(setup, ...flags) {
  const end = await run(write(setup), '--json', ...flags);
  assert.equal(end.err, '');
  return { ...JSON.parse(end.out), code: end.code };
}

// The one case passes; its answer.
async function passes(c, more = {}) {
  const { cases: [answer], code } = await played({ ...more, cases: [c] });
  assert.deepEqual(answer.faults, []);
  assert.equal(answer.passed, true);
  assert.equal(code, 0);
  return answer;
}

// The one case fails for exactly these reasons.
async function fails(c, reasons, more = {}) {
  const { cases: [answer], code } = await played({ ...more, cases: [c] });
  assert.equal(answer.faults.length, reasons.length, JSON.stringify(answer.faults, null, 1));
  reasons.forEach((reason, i) => assert.match(answer.faults[i].text, reason));
  assert.equal(answer.passed, false);
  assert.equal(code, 1);
  return answer;
}

test('the_cases_of_the_shipped_pipeline_pass_within_seconds', async () => {
  const start = Date.now();
  const end = await runStageline(['test', '--plugins', shipped, join(root, 'config/orders.yaml')]);
  assert.equal(end.code, 0, end.out + end.err);
  assert.match(end.out, /^ok {3}an order goes through \(\d+ ms\)$/m);
  assert.match(end.out, /^cases: \d+ passed, 0 failed\n$/m);
  assert.ok(Date.now() - start < 15_000);
});

test('the_case_of_the_authors_page_passes', async () => {
  const page = readFileSync(join(root, 'plugins/README.md'), 'utf8');
  const folder = temporaryFolder();
  const [pipeline, cases] = ['orders.yaml', 'orders.test.yaml'].map((name) => join(folder, name));
  writeFileSync(pipeline, readFileSync(join(root, 'config/orders.yaml'), 'utf8')
    .replace(/^catalog:$/m, 'catalog:\n  - {id: A, name: A, price: 5}'));
  writeFileSync(cases, /^## Cases\n[^]*?^```yaml\n([^]*?)^```$/m.exec(page)[1]);
  const end = await runStageline(['test', '--plugins', shipped, pipeline]);
  assert.equal(end.code, 0, end.out + end.err);
});

test('plugins_are_checked_as_check_would', async () => {
  const { code, out, err } = await runStageline(['test', '--plugins', shipped,
    write({ stages: { validation: { plugin: 'validation' }, payment: { plugin: 'payment', undo_event: 'paid_back' } },
      cases: [{ expect: { status: 'completed' } }] })]);
  assert.equal(code, BAD_CONFIG, out);
  assert.match(err, /line\.yaml:5:\d+: error: plugin 'validation' cannot undo: remove undo_event/);
});

test('hours_of_backoff_pass_in_milliseconds', async () => {
  const start = Date.now();
  const { virtual_ms: ms } = await passes({ stages: { one: ['retry', 'retry', 'done'] },
    expect: { status: 'completed', calls: { one: 3 }, takes: '12h..12h' } },
  { defaults: { retry: { attempts: 3, backoff: '4h', factor: 2, max: '100h', jitter: 0 } } });
  assert.equal(ms, 12 * 3600 * 1000);
  assert.ok(Date.now() - start < 5000);
});

test('faults_are_injected_before_the_real_plugin', async () => {
  const { events } = await passes({ stages: { one: ['crash', { verdict: 'timeout' }, 'real'] },
    expect: { status: 'completed', calls: { one: 3 }, state: { 'net/one': 1 } } });
  assert.deepEqual(events.filter((e) => e.event_type === 'stage_retrying').map((e) => e.message),
    ['crash', 'one gave no answer within 10000 ms']);
});

test('attempts_that_are_used_up_hold_the_order', () => passes({ stages: { one: { verdict: 'retry', message: 'not now' } },
  expect: { status: 'on_hold', error: 'not now', includes: [{ type: 'stage_held', stage: 'one' }], calls: { one: 3, two: 0 } } }));

test('what_was_done_is_undone_in_reverse_by_the_real_plugin', () => passes({
  stages: { three: { verdict: 'fail', message: 'no' } },
  expect: { status: 'failed', error: 'no', state: { 'net/one': 0, 'net/two': 0 },
    events: ['order_created', 'one_done', 'two_done', { type: 'stage_failed', stage: 'three', attempt: 1 },
      'two_undone', 'one_undone', 'order_failed'] } },
{ stages: { one: {}, two: {}, three: {} } }));

test('an_undo_that_is_played_can_fail_too', () => passes({
  stages: { one: { undo: ['retry', 'done'] }, two: 'fail' },
  expect: { status: 'failed', includes: ['stage_failed', { type: 'stage_retrying', stage: 'one' }, 'one_undone'] } }));

test('a_real_stage_that_answers_later_is_called_again_at_its_time', () => passes({
  order: scripted({ one: 'l' }), expect: { status: 'completed', takes: '20ms', calls: { one: 1 } } }));

test('a_real_stage_that_never_answers_runs_into_its_timeout', () => passes({
  order: scripted({ one: '-' }), expect: { status: 'on_hold', takes: '30s..31s', calls: { one: 3 } } }));

test('played_stages_have_results_effects_and_time', () => passes({
  stages: { one: { result: { ref: 'R-1' }, effects: [{ add: 'n', by: -2, floor: 0 }, { put: 'p', value: [1] }, { delete: 'd' }],
    takes: '3s', message: 'ready' } },
  state: { n: 5, d: 1 },
  expect: { status: 'completed', takes: '3s', state: { n: 3, p: [1], d: null }, results: { one: { ref: 'R-1' } },
    includes: [{ type: 'one_done', message: 'ready' }] } }));

test('an_effect_below_its_floor_fails_the_order', () => passes({
  stages: { one: { effects: [{ add: 'n', by: -2, floor: 0 }], shortage: 'None left' } }, state: { n: 1 },
  expect: { status: 'failed', error: 'None left', state: { n: 1 } } }));

test('a_change_of_the_pipeline_that_breaks_a_case_is_found', async () => {
  const c = { stages: { two: 'fail' }, expect: { status: 'failed', includes: ['one_undone'] } };
  await passes(c);
  await fails(c, [/^there is no such one_undone$/], { stages: { one: { when: { field: 'total_amount', above: 100 } }, two: {} } });
});

test('people_cancel_signal_repair_pause_and_restock_at_their_time', async () => {
  await passes({ people: [{ after: 'one_done', cancel: 'changed my mind' }],
    expect: { status: 'cancelled', includes: ['one_done', 'cancel_requested', 'one_undone', 'order_cancelled'] } });
  await passes({ stages: { one: [{ verdict: 'wait', delay: '1d' }, 'done'] },
    people: [{ after: 'stage_waiting', at: '3h', signal: 'one', body: { yes: true } }],
    expect: { status: 'completed', takes: '3h', includes: ['stage_waiting', 'stage_signalled', 'one_done'] } });
  await passes({ stages: { one: ['crash', 'crash', 'crash', 'crash', 'crash', 'crash', 'done'] },
    people: [{ after: 'stage_held', retry: 'once' }, { after: 'stage_held', at: '1h', retry: 'twice' }],
    expect: { status: 'completed', calls: { one: 7 }, includes: ['stage_held', 'stage_released', 'stage_held', 'stage_released'] } });
  await passes({ people: [{ pause: 'two' }, { at: '2h', resume: 'two' }], expect: { status: 'completed', takes: '2h' } });
  await passes({ stages: { one: { effects: [{ add: 'n', by: -2, floor: 0 }], takes: '5s' } }, state: { n: 0 },
    people: [{ at: '3s', adjust: 'n', by: 5 }], expect: { status: 'completed', state: { n: 3 } } });
  await passes({ stages: { one: ['crash', 'crash', 'crash', 'real'] },
    people: [{ after: 'stage_held', edit: { ...order, customer_email: 'eve@mail.test' } }], expect: { status: 'completed' } });
});

test('a_wait_that_nobody_answers_is_over_at_its_deadline', () => passes({
  stages: { one: { verdict: 'wait', delay: '1d' } }, expect: { status: 'on_hold', takes: '3d..4d' } }));

test('what_people_do_must_be_accepted_or_refused_as_said', async () => {
  await fails({ people: [{ after: 'order_completed', cancel: 'late' }], expect: { status: 'completed' } },
    [/^it was refused: the order is completed$/]);
  await passes({ people: [{ after: 'order_completed', cancel: 'late', refused: true }], expect: { status: 'completed' } });
  await fails({ people: [{ cancel: 'now', refused: true }], expect: { status: 'cancelled' } }, [/^it was not refused$/]);
  await fails({ people: [{ after: 'stage_held', retry: 'x' }], expect: { status: 'completed' } }, [/never done.*stage_held/]);
});

test('every_expectation_that_is_not_met_is_said', async () => {
  await fails({ stages: { two: { verdict: 'fail', message: 'no' } },
    expect: { status: 'completed', error: 'yes', takes: '1h', state: { 'net/one': 1, x: 2 }, calls: { one: 2 },
      results: { one: { a: 1 } }, events: ['order_created', 'two_done'], includes: ['one_done', 'two_done'] } },
  [/^status is 'failed', not 'completed' \(no\)$/, /^error is 'no', not 'yes'$/, /^it took 0ms$/,
    /^event 2 is one_done \(one, attempt 1\), not two_done$/, /^there is no such two_done after one_done$/,
    /^one was called 1 time, not 2$/, /^'a' of the result of one is absent$/, /^net\/one is 0, not 1$/, /^x is absent, not 2$/]);
  await fails({ expect: { status: 'completed', events: ['order_created', 'one_done'] } },
    [/^event 3, two_done \(two, attempt 1\), is not expected$/]);
  await fails({ expect: { status: 'completed', error: 'x' } }, [/^there is no error$/]);
});

test('a_failed_case_names_the_place_of_the_expectation', async () => {
  const pipeline = write({ cases: [{ expect: { status: 'failed' } }, { expect: { status: 'completed' } }] });
  const { code, out, err } = await run(pipeline);
  assert.equal(code, 1);
  assert.equal(err, '');
  const file = pipeline.replace('.yaml', '.test.yaml');
  assert.match(out, new RegExp(`^FAIL case 1 \\(\\d+ ms\\)\n {5}${file}:3:\\d+: status is 'completed', not 'failed'\nok {3}case 2 `, 'm'));
  assert.match(out, /^cases: 1 passed, 1 failed$/m);
});

test('a_plugin_that_crashes_fails_its_case_and_no_other', async () => {
  const { cases: [bad, good], code } = await played({ cases: [{ order: scripted({ two: 'c' }), expect: { status: 'completed' } },
    { expect: { status: 'completed' } }] });
  assert.match(bad.faults[0].text, /^run of stage 'two', attempt 1 died of SIGSEGV/);
  assert.equal(good.passed, true);
  assert.equal(code, 1);
});

test('stages_that_no_case_runs_need_no_plugin', () => passes({ expect: { status: 'completed' } },
  { stages: { one: {}, two: { plugin: 'not_written_yet' } }, shared: { stages: { two: 'done' } } }));

test('verbose_prints_the_events_with_their_time', async () => {
  const { out } = await run(write({ cases: [{ stages: { one: ['retry', 'done'] }, expect: { status: 'completed' } }] }), '--verbose');
  assert.match(out, /^ +0ms +order_created/m);
  assert.match(out, /^ +200ms +one_done +one$/m);
});

test('a_filter_selects_cases_by_name_and_must_find_some', async () => {
  const cases = [{ name: 'red', expect: { status: 'failed' } }, { name: 'green', expect: { status: 'completed' } }];
  assert.deepEqual((await played({ cases }, '--filter', 'ree')).cases.map((c) => c.name), ['green']);
  const { code, err } = await run(write({ cases }), '--filter', 'blue');
  assert.equal(code, 1);
  assert.match(err, /no case has 'blue' in its name/);
});

test('the_same_case_gives_the_same_events_again', async () => {
  const setup = { cases: [{ stages: { one: ['retry', 'retry', 'real'] }, expect: { status: 'completed' } }],
    defaults: { retry: { attempts: 3, jitter: 0.5 } } };
  const strip = ({ cases: [c] }) => c.events;
  assert.deepEqual(strip(await played(setup)), strip(await played(setup)));
});

test('faults_of_a_file_of_cases_are_all_said_with_their_places', async () => {
  const pipeline = write({ cases: [{ stages: { tow: 'done' }, expect: { status: 'complete' } }] });
  const { code, out, err } = await run(pipeline);
  assert.equal(code, BAD_CONFIG);
  assert.equal(out, '');
  assert.match(err, /line\.test\.yaml:3:\d+: error: the pipeline has no stage 'tow' \(did you mean 'two'\?\)/);
  assert.match(err, /line\.test\.yaml:3:\d+: error: the pipeline has no status 'complete' \(did you mean 'completed'\?\)/);
});

test('a_missing_file_of_cases_and_wrong_usage_are_said', async () => {
  const missing = await run(join(root, 'config/stageline.yaml'));
  assert.equal(missing.code, BAD_CONFIG);
  const none = await run(write({ cases: [{ expect: { status: 'completed' } }] }), '--timeout', 'x');
  assert.equal(none.code, USAGE);
  const help = await runStageline(['test', '--help']);
  assert.equal(help.code, 0);
  assert.match(help.out, /^usage: stageline test /);
});

test('nothing_is_left_behind_not_even_by_a_crash', () => {
  const pipeline = write({ cases: [{ order: scripted({ two: 'c' }), expect: { status: 'completed' } }] });
  const { pid, status } = spawnSync(binary, ['test', '--plugins', mocks, pipeline]);
  assert.equal(status, 1);
  for (const folder of ['/dev/shm', tmpdir()].filter(existsSync))
    assert.deepEqual(readdirSync(folder).filter((name) => name.startsWith(`stageline-case-${pid}-`)), []);
});

test('what_is_ended_by_a_signal_leaves_nothing_behind', async () => {
  const stages = temporaryFolder();
  const source = join(stages, 'stuck.c');
  writeFileSync(source, '#include <unistd.h>\n#include <stageline/stage.h>\n'
    + 'static int32_t create(const struct sl_host *h, const void *c, void **s) { (void)c; *s = (void *)h; return 0; }\n'
    + 'static int32_t run(void *s, struct sl_task *t) { (void)s; (void)t; for (;;) pause(); }\n'
    + 'SL_EXPORT const struct sl_stage stageline_stage = {.size = sizeof(struct sl_stage), .abi = SL_ABI, .name = "stuck",'
    + ' .version = "1", .summary = "s", .create = create, .run = run};\n');
  execFileSync('cc', ['-shared', '-fPIC', '-I', join(root, 'core/include'), '-o', join(stages, 'stuck.so'), source]);
  const pipeline = write({ stages: { one: { plugin: 'stuck', undo_event: undefined } }, cases: [{ expect: { status: 'completed' } }] });
  const child = spawn(binary, ['test', '--plugins', stages, pipeline]);
  const left = () => ['/dev/shm', tmpdir()].filter(existsSync)
    .flatMap((folder) => readdirSync(folder)).filter((name) => name.startsWith(`stageline-case-${child.pid}-`));
  const ended = new Promise((done) => { child.on('exit', (code, signal) => done(signal)); });
  await until('the case to run', () => left().length > 0);
  child.kill('SIGTERM');
  assert.equal(await ended, 'SIGTERM');
  assert.deepEqual(left(), []);

  const late = await runStageline(['test', '--plugins', stages, '--timeout', '300ms', pipeline]);
  assert.equal(late.code, 1);
  assert.match(late.out, /run of stage 'one', attempt 1 did not come back within 300ms/);
});

// The last one: it looks at the files of all tests above, too.
test('the_schema_for_editors_accepts_what_is_played_and_nothing_else', async () => {
  const { code, out, err } = await runStageline(['test', '--schema']);
  assert.equal(code, 0, err);
  assert.equal(out, readFileSync(join(root, 'config/cases.schema.json'), 'utf8'), 'config/ has another one');
  const check = new Ajv({ strictTypes: false, strictRequired: false }).compile(JSON.parse(out));
  const shipped_ = ['config/orders.test.yaml', 'plugins/template/example.test.yaml'].map((path) => readFileSync(join(root, path), 'utf8'));
  assert.ok(accepted.length > 10, `${accepted.length} files were played`);
  for (const text of [...shipped_, ...accepted])
    assert.ok(check(parse(text)), `${JSON.stringify(check.errors, null, 1)}\n${text}`);

  const one = (changes) => ({ cases: [{ name: 'a', expect: { status: 'completed' }, ...changes }] });
  assert.ok(check(one({})));
  for (const wrong of [{}, { cases: [] }, { ...one({}), ordr: {} }, { cases: [{ expect: { status: 'completed' } }] }, one({ expect: {} }),
    one({ stages: { a: 'dnoe' } }), one({ stages: { a: [] } }), one({ stages: { a: { verdict: 'done', delay: 'soon' } } }),
    one({ stages: { a: { run: 'done', redo: 'done' } } }), one({ stages: { a: { effects: [{ ad: 'k' }] } } }), one({ people: [{ cancl: 'x' }] }),
    one({ expect: { status: 'completed', events: [{ stage: 'a' }] } }), one({ expect: { status: 'completed', calls: { a: -1 } } })])
    assert.ok(!check(wrong), JSON.stringify(wrong));
});

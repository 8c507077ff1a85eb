// The commands that talk to a daemon: what they print where, what they change, and how they end.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { cliOf } from '../lib/cli.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { finished, getJson, look, order, place, state } from '../lib/orders.mjs';
import { freePort, runStageline, startStageline, temporaryFolder } from '../lib/stageline.mjs';
import { atTerminal } from '../lib/terminal.mjs';
import { until } from '../lib/until.mjs';

const USAGE = 2;
const nobody = '01890a5d-ac96-774b-bcce-b302099a8057';
const why = ['--reason', 'the bank is back'];
let s;

before(async () => {
  s = await startStageline({ pipeline: fastPipeline({
    stages: { payment: { retry: { attempts: 1 }, config: { failure_rate: 1 } } } }) });
});
after(async () => assert.equal(await s.stop(), 0));

const { stageline, ok } = cliOf(() => s);

async function held(changes = {}) {
  const { id } = await place(s, order(undefined, changes));
  await until('the order to be on hold', async () => (await look(s, id)).order.status === 'on_hold');
  return id;
}

const released = async (id) => (await look(s, id)).events.filter((e) => e.event_type === 'stage_released');

// Refused before anything was asked or changed: usage on stderr, nothing on stdout.
async function assertRefused(args, words) {
  const end = await stageline(...args);
  assert.equal(end.code, USAGE, `${args.join(' ')}: ${end.out}${end.err}`);
  assert.match(end.err, words);
  assert.equal(end.out, '');
}

test('list_shows_what_is_on_hold_and_why', async () => {
  const id = await held({ customer_email: 'lisa@example.com' });
  const { out, err } = await ok('dead-letters', 'list');
  assert.match(out, /^ID +STAGE +STEP +ATTEMPTS +CUSTOMER +SINCE +ERROR\n/);
  assert.match(out, new RegExp(`^${id} +payment +run +1 +lisa@example.com +[\\dT:-]+Z +the bank did not answer$`, 'm'));
  assert.match(err, /^\d+ on hold in all/);
});

test('list_goes_on_at_its_cursor', async () => {
  const ids = [await held(), await held()];
  const first = await ok('dead-letters', 'list', '--limit', '1');
  assert.match(first.out, new RegExp(ids[1]));
  const cursor = /--cursor (\d+)/.exec(first.err)[1];
  assert.match((await ok('dead-letters', 'list', '--limit', '1', '--cursor', cursor)).out, new RegExp(ids[0]));
});

test('list_is_narrowed_by_stage', async () => {
  const id = await held();
  assert.match((await ok('dead-letters', 'list', '--stage', 'payment')).out, new RegExp(id));
  assert.doesNotMatch((await ok('dead-letters', 'list', '--stage', 'shipping')).out, /-/);
});

test('causes_are_counted', async () => {
  await held();
  const { out, err } = await ok('dead-letters', 'causes');
  assert.match(out, /^ *\d+ +payment +\S+Z +\S+Z +the bank did not answer$/m);
  assert.equal(err, `${(await getJson(s, '/dead-letters?group=cause')).total} on hold in all\n`);
});

test('show_tells_stages_and_history', async () => {
  const { out } = await ok('dead-letters', 'show', await held());
  assert.match(out, /^payment +held +1 +the bank did not answer$/m);
  assert.match(out, /order_validated/);
});

test('json_is_the_answer_of_the_daemon', async () => {
  const id = await held();
  const path = { list: '/dead-letters', causes: '/dead-letters?group=cause' };
  for (const action of Object.keys(path))
    assert.deepEqual(JSON.parse((await ok('dead-letters', action, '--json')).out), await getJson(s, path[action]));
  assert.deepEqual(JSON.parse((await ok('orders', 'show', id, '--json')).out), await look(s, id));
  assert.deepEqual(JSON.parse((await ok('state', 'list', '--json')).out).state, await state(s, ''));
  assert.equal(JSON.parse((await ok('pipeline', 'show', '--json')).out).name, 'orders');
});

test('a_dry_run_needs_no_reason_and_changes_nothing', async () => {
  const id = await held();
  const { out, err } = await ok('dead-letters', 'discard', '--all', '--dry-run');
  assert.match(out, new RegExp(id));
  assert.match(err, /nothing was changed/);
  assert.equal((await look(s, id)).order.status, 'on_hold');
});

test('retry_by_id_is_journaled_with_its_reason', async () => {
  const id = await held();
  const { out, err } = await ok('dead-letters', 'retry', id, ...why);
  assert.equal(out, '');
  assert.match(err, /retry: 1 of 1 done, 0 refused/);
  assert.equal((await released(id))[0].reason, 'the bank is back');
});

test('retry_by_cause_leaves_no_other', async () => {
  const ids = [await held(), await held()];
  await ok('dead-letters', 'retry', '--stage', 'payment', '--error', 'nothing like it', ...why);
  for (const id of ids)
    assert.equal((await released(id)).length, 0);
  await ok('dead-letters', 'retry', '--stage', 'payment', '--error', 'the bank did not answer', ...why);
  for (const id of ids)
    assert.equal((await released(id)).length, 1);
});

test('a_rate_shows_progress_in_lines_and_waits_for_the_end', async () => {
  const ids = [await held(), await held(), await held()];
  const { out, err } = await ok('dead-letters', 'retry', ...ids, '--rate', '20', '--json', ...why);
  const job = JSON.parse(out);
  assert.equal(job.finished, true);
  assert.equal(job.done, 3);
  assert.match(err, /^retry: 3 of 3$/m);
  assert.doesNotMatch(err, /\r|\x1b/);
  assert.match((await ok('dead-letters', 'job', String(job.job))).err, /3 of 3 done/);
});

test('a_terminal_gets_a_bar_and_colours_unless_NO_COLOR', async () => {
  const ids = [await held(), await held(), await held()];
  assert.match(atTerminal(s, ['dead-letters', 'retry', ...ids, '--rate', '20', ...why]), /\rretry \[#{24}\] 3\/3/);
  assert.match(atTerminal(s, ['orders', 'list']), /\x1b\[31mon_hold\x1b\[0m/);
  const plain = atTerminal(s, ['dead-letters', 'list'], { env: { NO_COLOR: '1' } });
  assert.match(plain, new RegExp(ids[0]));
  assert.doesNotMatch(plain, /\x1b/);
  for (const line of plain.split('\r\n'))
    assert.ok([...line].length <= 80, line);
});

test('skip_lets_the_order_go_on', async () => {
  const id = await held();
  await ok('dead-letters', 'skip', id, ...why);
  assert.equal((await finished(s, id)).order.status, 'completed');
});

test('discard_fails_the_order', async () => {
  const id = await held();
  await ok('dead-letters', 'discard', id, ...why);
  // The bank does not give back either: the undo holds, until it is skipped.
  await until('the undo to be held', async () => / undo /.test((await ok('dead-letters', 'list', '--limit', '1')).out));
  await ok('dead-letters', 'skip', id, ...why);
  assert.equal((await finished(s, id)).order.status, 'failed');
});

test('what_is_not_on_hold_is_refused_and_named', async () => {
  const { code, err } = await stageline('dead-letters', 'retry', nobody, ...why);
  assert.equal(code, 1);
  assert.match(err, new RegExp(`0 of 1 done, 1 refused\n  ${nobody}: `));
});

test('edit_takes_back_what_show_printed', async () => {
  const id = await held();
  const shown = JSON.parse((await ok('dead-letters', 'show', id, '--json')).out);
  const file = join(temporaryFolder(), 'order.json');
  shown.order.customer_email = 'corrected@example.com';
  writeFileSync(file, JSON.stringify(shown));
  await ok('dead-letters', 'edit', id, '--file', file, ...why);
  assert.equal((await look(s, id)).order.customer_email, 'corrected@example.com');
  assert.equal((await released(id)).length, 1);
});

test('an_edit_of_the_wrong_shape_names_the_places', async () => {
  const file = join(temporaryFolder(), 'order.json');
  writeFileSync(file, JSON.stringify({ ...order(), total_amount: 'much', customer_email: 1 }));
  const { code, err, out } = await stageline('dead-letters', 'edit', await held(), '--file', file, ...why);
  assert.equal(code, 1);
  assert.match(err, /422 Unprocessable Content/);
  assert.match(err, /^ {2}\/total_amount: must be an amount/m);
  assert.match(err, /^ {2}\/customer_email: must be/m);
  assert.equal(out, '');
});

test('a_problem_is_json_too_when_json_is_asked_for', async () => {
  const { code, out, err } = await stageline('orders', 'show', nobody, '--json');
  assert.equal(code, 1);
  assert.equal(JSON.parse(out).status, 404);
  assert.match(err, /^stageline: error: there is no such order \(404 Not Found\)$/m);
});

for (const [name, args, words] of [
  ['without_a_selection', ['dead-letters', 'retry', ...why], /say which/],
  ['with_two_selections', ['dead-letters', 'retry', nobody, '--all', ...why], /either/],
  ['without_a_reason', ['dead-letters', 'retry', '--all'], /--reason/],
  ['with_an_empty_reason', ['dead-letters', 'retry', '--all', '--reason', ''], /--reason is empty/],
  ['with_an_empty_stage', ['dead-letters', 'discard', '--stage', '', ...why], /--stage is empty/],
  ['with_a_bad_id', ['dead-letters', 'retry', 'x/../y', ...why], /'x\/\.\.\/y' is no order id/],
  ['with_a_bad_rate', ['dead-letters', 'retry', '--all', '--rate', '5x', ...why], /not a whole number/],
  ['without_its_id', ['dead-letters', 'show'], /show needs ID/],
  ['with_too_much', ['orders', 'show', nobody, nobody], /does not know/],
  ['without_a_file', ['dead-letters', 'edit', nobody, ...why], /--file/],
  ['with_an_unknown_flag', ['orders', 'list', '--stauts', 'x'], /stauts/],
  ['with_an_unknown_action', ['orders', 'shwo'], /no action 'shwo'/],
  ['with_no_action', ['state'], /^usage: stageline state ACTION/],
  ['with_neither_delta_nor_value', ['state', 'adjust', 'k', ...why], /either --delta or --value/],
  ['with_a_value_that_is_not_json', ['state', 'adjust', 'k', '--value', '{', ...why], /not JSON/],
  ['with_a_url_that_is_none', ['orders', 'list', '--url', 'localhost'], /not a URL/],
])
  test(`${name}_is_wrong_usage`, () => assertRefused(args, words));

test('help_is_data_and_names_what_is_taken', async () => {
  for (const command of ['dead-letters', 'orders', 'state', 'pipeline'])
    assert.match((await ok(command, '--help')).out, new RegExp(`^usage: stageline ${command} ACTION`));
  const { out } = await ok('dead-letters', 'retry', '--help');
  assert.match(out, /^usage: stageline dead-letters retry \[ID \.\.\.\] --reason TEXT/);
  assert.match(out, /--rate N +orders per second/);
  assert.doesNotMatch(out, /--prefix/);
});

test('a_daemon_that_is_not_there_is_said_to_be', async () => {
  const url = `http://localhost:${await freePort()}`;
  const { code, out, err } = await stageline('orders', 'list', '--url', url);
  assert.equal(code, 1);
  assert.equal(out, '');
  assert.equal(err, `stageline: error: no answer from ${url}: connection refused `
    + '(is the daemon running? --url says where)\n');
});

for (const [name, text] of [
  ['not_http', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['cut_off', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"orders":['],
  ['nothing', ''],
  ['a_web_page', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<p>!'],
]) {
  test(`an_answer_that_is_${name}_is_an_error`, async () => {
    const server = createServer((socket) => socket.on('error', () => {}).once('data', () => socket.end(text)));
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    const { code, out, err } = await stageline('orders', 'list', '--url', `http://127.0.0.1:${server.address().port}`);
    server.close();
    assert.equal(code, 1, err);
    assert.equal(out, '');
    assert.match(err, /^stageline: error: .{20,}\n$/);
  });
}

test('localhost_and_a_slash_at_the_end_will_do', async () => {
  await ok('orders', 'list', '--url', `http://localhost:${s.port}/`);
});

test('orders_are_listed_searched_and_cut_to_the_terminal', async () => {
  const email = `${'long'.repeat(15)}@example.com`;
  const id = await held({ customer_email: email });
  const wide = await ok('orders', 'list', '--query', id);
  assert.match(wide.out, new RegExp(`^${id} +on_hold +29.99 +${email} `, 'm'));
  const narrow = await runStageline(['orders', 'list', '--status', 'on_hold'], { env: { STAGELINE_URL: s.url, COLUMNS: '100' } });
  assert.match(narrow.out, new RegExp(`^${id} +on_hold +29.99 +long.*…`, 'm'));
  for (const line of narrow.out.split('\n'))
    assert.ok([...line].length <= 100, line);
});

test('texts_of_others_cannot_drive_the_terminal', async () => {
  const id = await held();
  await ok('dead-letters', 'retry', id, '--reason', 'a\u001b[2J\u009b1m\u202eb');
  const { out } = await ok('orders', 'show', id);
  assert.match(out, / a\?\[2J\?1m\?b$/m);
});

test('cancel_asks_a_reason_and_cancels', async () => {
  await ok('pipeline', 'pause', 'payment', '--reason', 'so that the order waits');
  const { id } = await place(s);
  await assertRefused(['orders', 'cancel', id], /--reason/);
  await ok('orders', 'cancel', id, '--reason', 'changed her mind');
  assert.equal((await finished(s, id)).order.status, 'cancelled');
  await ok('pipeline', 'resume', 'payment', '--reason', 'it has waited');
  const again = await stageline('orders', 'cancel', id, '--reason', 'again');
  assert.equal(again.code, 1);
  assert.match(again.err, /409 Conflict/);
});

test('cancel_tells_beforehand_what_it_would_undo', async () => {
  const id = await held();
  const { out, err } = await ok('orders', 'cancel', id, '--dry-run');
  assert.deepEqual([out, err], ['STAGE       WHAT\nvalidation  stays as it is: it has no undo\n',
    `Order ${id} would be cancelled; nothing was changed\n`]);
  assert.equal((await look(s, id)).order.status, 'on_hold');

  await ok('dead-letters', 'skip', id, '--reason', 'paid in cash');
  await finished(s, id);
  const late = await stageline('orders', 'cancel', id, '--dry-run');
  assert.deepEqual([late.code, late.out], [1, '']);
  assert.equal(late.err, `stageline: error: order ${id} cannot be cancelled: it has ended\n`);
});

test('cancel_tells_beforehand_what_is_undone_and_what_is_waited_for', async () => {
  const slow = await startStageline({ pipeline: fastPipeline({ stages: { shipping: { config: { latency: '20s' } } } }) });
  const { id } = await place(slow);
  await until('the order to be at its last stage', async () =>
    (await look(slow, id)).order.stages.at(-1).status === 'queued');
  const { ok: tells } = cliOf(() => slow);
  const { out } = await tells('orders', 'cancel', id, '--dry-run', '--json');
  assert.deepEqual(JSON.parse(out).stages, [{ stage: 'shipping', what: 'wait' }, { stage: 'inventory', what: 'undo' },
    { stage: 'payment', what: 'undo' }, { stage: 'validation', what: 'keep' }]);
  await tells('orders', 'cancel', id, '--reason', 'changed her mind');
  await assert.rejects(tells('orders', 'cancel', id, '--dry-run'), /cannot be cancelled: it is being undone already/);
  await slow.kill();
});

test('state_is_adjusted_by_delta_and_by_value', async () => {
  const { err } = await ok('state', 'adjust', 'stock/PROD-003', '--delta', '-5', '--reason', 'broken');
  assert.equal(err, 'stock/PROD-003 is adjusted; it is now 20\n');
  await ok('state', 'adjust', 'notes/a b', '--value', '{"n":1}', '--reason', 'a note');
  assert.equal((await state(s, 'stock/'))['stock/PROD-003'], 20);
  const { out } = await ok('state', 'list', '--prefix', 'notes/');
  assert.equal(out, 'KEY        VALUE\nnotes/a b  {"n":1}\n');
  const below = await stageline('state', 'adjust', 'stock/PROD-003', '--delta', '-500', '--reason', 'x');
  assert.equal(below.code, 1);
  assert.equal((await state(s, 'stock/'))['stock/PROD-003'], 20);
});

test('a_stage_is_paused_and_resumed', async () => {
  assert.match((await ok('pipeline', 'pause', 'shipping', '--reason', 'strike')).out, /^shipping +paused /m);
  assert.match((await ok('pipeline', 'show')).out, /^shipping +paused /m);
  assert.match((await ok('pipeline', 'resume', 'shipping', '--reason', 'over')).out, /^shipping +runs /m);
  const { code, err } = await stageline('pipeline', 'pause', 'a/b c', '--reason', 'x');
  assert.equal(code, 1);
  assert.match(err, /404/);
});

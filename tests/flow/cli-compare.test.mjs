// The command line shows what is different: between two moments of an order, and before an order on hold is corrected; and
// it tells all that the client does of events and lists.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { cliOf } from '../lib/cli.mjs';
import { finished, getJson, look } from '../lib/orders.mjs';
import { ofType, onHold, placeScripted, startScripted } from '../lib/scripted.mjs';
import { temporaryFolder } from '../lib/stageline.mjs';
import { atTerminal } from '../lib/terminal.mjs';

const nobody = '01890a5d-ac96-774b-bcce-b302099a8057';
const why = ['--reason', 'a typing error'];
let s;

before(async () => {
  s = await startScripted({ payment: { plugin: 'payment', config: { latency: '0ms' } }, last: { retry: { attempts: 1 } } });
});
after(async () => assert.equal(await s.stop(), 0));

const { stageline, ok } = cliOf(() => s);

const json = async (...args) => JSON.parse((await ok(...args, '--json')).out);

async function held(changes = {}) {
  const id = await placeScripted(s, { last: 'r' }, changes);
  await onHold(s, id);
  return id;
}

// The order in a file, as `show --json` prints it, changed.
async function correction(id, changes) {
  const file = join(temporaryFolder(), 'order.json');
  const shown = await json('dead-letters', 'show', id);
  writeFileSync(file, JSON.stringify({ ...shown, order: { ...shown.order, ...changes } }));
  return file;
}

const of = ({ changes }, stage) => Object.fromEntries(changes.filter((c) => c.stage === stage)
  .map(({ pointer, before: a, after: b }) => [pointer, [a, b]]));
const momentOf = ({ seq, timestamp, event_type: type }) => ({ seq, timestamp, event_type: type });

test('two_moments_of_an_order_are_compared', async () => {
  const id = await held();
  const { order, events } = await look(s, id);
  const [first, last] = [events[0], events.at(-1)];
  const diff = await json('orders', 'diff', id, '--from', `${first.seq}`, '--to', `${last.seq}`);
  assert.deepEqual(Object.keys(diff), ['id', 'from', 'to', 'changes', 'events']);
  assert.deepEqual([diff.id, diff.from, diff.to], [id, momentOf(first), momentOf(last)]);
  assert.deepEqual(of(diff), { '/status': ['payment_under_way', 'on_hold'], '/error': [undefined, order.error] });
  assert.deepEqual(of(diff, 'payment'), { '/status': ['queued', 'done'] });
  assert.deepEqual(of(diff, 'last'), { '/status': ['idle', 'held'], '/attempt': [0, 1], '/error': [undefined, 'not now'] });
  assert.deepEqual(diff.events, events.slice(1));
});

test('without_moments_it_is_what_the_last_event_changed', async () => {
  const id = await held();
  const { events } = await look(s, id);
  const [from, to] = events.slice(-2);
  const diff = await json('orders', 'diff', id);
  assert.deepEqual([diff.from, diff.to, diff.events], [momentOf(from), momentOf(to), [to]]);
  const then = await json('orders', 'diff', id, '--to', `${events[0].seq}`);
  assert.deepEqual([then.from, then.to, then.events], [null, momentOf(events[0]), [events[0]]]);
});

test('a_time_is_a_moment_and_before_it_was_placed_there_is_nothing', async () => {
  const id = await held({ note: 'x' });
  const { order, events } = await look(s, id);
  const diff = await json('orders', 'diff', id, '--from', '2001-01-01T00:00:00Z', '--to', events.at(-1).timestamp);
  assert.deepEqual([diff.from, diff.to, diff.events], [null, momentOf(events.at(-1)), events]);
  assert.equal(of(diff)['/note'][1], 'x');
  assert.equal(of(diff)['/items/0/price'][1], order.items[0].price);
  assert.ok(diff.changes.every((change) => !('before' in change)));
  const { out, err } = await ok('orders', 'diff', id, '--from', events.at(-1).timestamp);
  assert.match(err, /^Nothing is different$/m);
  assert.doesNotMatch(out, /WHAT/);
});

test('a_terminal_shows_the_moments_and_a_line_per_difference', async () => {
  const id = await held();
  const { events } = await look(s, id);
  for (const columns of [80, 120]) {
    const text = atTerminal(s, ['orders', 'diff', id, '--from', `${events[0].seq}`], { columns, env: { NO_COLOR: '1' } });
    const lines = text.trimEnd().split('\r\n');
    assert.match(lines[0], new RegExp(`^ORDER  ${id}$`));
    assert.match(lines[1], new RegExp(`^from   after event ${events[0].seq}, order_created, at ${events[0].timestamp}$`));
    assert.match(lines[2], new RegExp(`^to     after event ${events.at(-1).seq}, stage_held, at `));
    assert.match(lines[4], /^STAGE +WHAT +BEFORE +AFTER$/);
    assert.match(text, /^ +status +payment_under_way +on_hold\r$/m);
    assert.match(text, /^last +error +not now\r$/m);
    assert.match(text, /^payment +transaction_id +TXN-[0-9A-F]+\r$/m, 'what a stage told');
    for (const line of lines)
      assert.ok([...line].length <= columns, line);
  }
});

for (const [name, args, code, words] of [
  ['a_later_moment_that_is_the_earlier_one', (e) => ['--from', `${e.at(-1).seq}`, '--to', `${e[0].seq}`], 2, /--from is after --to/],
  ['a_later_moment_before_it_was_placed', (e) => ['--to', `${e[0].seq - 1}`], 1, /placed later/],
  ['a_moment_that_is_none', () => ['--from', 'yesterday'], 1, /'at' must be the seq of an event/],
])
  test(`${name}_is_refused`, async () => {
    const id = await held();
    const end = await stageline('orders', 'diff', id, ...args((await look(s, id)).events));
    assert.equal(end.code, code, end.err);
    assert.match(end.err, words);
    assert.equal(end.out, '');
  });

test('an_order_that_is_not_there_cannot_be_compared', async () => {
  const { code, out, err } = await stageline('orders', 'diff', nobody, '--from', '1', '--json');
  assert.equal(code, 1);
  assert.equal(JSON.parse(out).status, 404);
  assert.match(err, /no such order/);
});

test('a_dry_run_of_a_correction_shows_what_is_different_and_changes_nothing', async () => {
  const id = await held({ note: { 'a/b': ['x', 'y'] } });
  const before_ = await look(s, id);
  const file = await correction(id, { customer_email: 'anna@example.com', note: { 'a/b': ['x'] } });
  const changes = [{ pointer: '/customer_email', before: 'ann@example.com', after: 'anna@example.com' },
    { pointer: '/note/a~1b/1', before: 'y' }];
  const { dry_run: isDry, changes: told } = await json('dead-letters', 'edit', id, '--file', file, '--dry-run');
  assert.equal(isDry, true);
  assert.deepEqual(told.sort((a, b) => (a.pointer < b.pointer ? -1 : 1)), changes);
  const text = atTerminal(s, ['dead-letters', 'edit', id, '--file', file, '--dry-run'], { env: { NO_COLOR: '1' } });
  assert.match(text, /^WHAT +BEFORE +AFTER\r\n/);
  assert.match(text, /^customer_email +ann@example.com +anna@example.com\r$/m);
  assert.match(text, /nothing was changed\r\n$/);
  assert.match((await ok('dead-letters', 'edit', id, '--file', file, '--dry-run')).out, /^WHAT +BEFORE +AFTER\n/);
  assert.deepEqual(await look(s, id), before_);
});

test('a_correction_shows_what_is_different_then_is_done', async () => {
  const id = await held();
  const file = await correction(id, { script: { last: 'd' } });
  const text = atTerminal(s, ['dead-letters', 'edit', id, '--file', file, ...why], { env: { NO_COLOR: '1' } });
  assert.match(text, /^script\/last +r +d\r$[^]*is corrected and tried again/m);
  const { order, events } = await finished(s, id);
  assert.equal(order.status, 'completed');
  assert.equal(ofType({ events }, 'stage_released')[0].reason, 'a typing error');
});

test('a_correction_as_json_has_what_is_different_beside_the_answer', async () => {
  const id = await held();
  const answer = await json('dead-letters', 'edit', id, '--file', await correction(id, { script: { last: 'd' } }), ...why);
  assert.deepEqual(Object.keys(answer), ['dry_run', 'changes', 'order', 'events']);
  assert.deepEqual([answer.dry_run, answer.changes], [false, [{ pointer: '/script/last', before: 'r', after: 'd' }]]);
  assert.equal(answer.order.id, id);
  await finished(s, id);
});

test('a_correction_that_changes_nothing_is_refused', async () => {
  const id = await held();
  const before_ = await look(s, id);
  for (const more of [['--dry-run'], why]) {
    const { code, out, err } = await stageline('dead-letters', 'edit', id, '--file', await correction(id, {}), ...more);
    assert.deepEqual([code, out], [1, '']);
    assert.match(err, /would be the same: retry it instead/);
  }
  assert.deepEqual(await look(s, id), before_);
});

test('what_is_not_on_hold_has_no_correction', async () => {
  const id = await placeScripted(s);
  await finished(s, id);
  const file = await correction(id, { customer_email: 'anna@example.com' });
  const { code, err } = await stageline('dead-letters', 'edit', id, '--file', file, '--dry-run');
  assert.equal(code, 1);
  assert.match(err, /is not on hold/);
});

test('counts_by_status_stand_below_a_list_and_leave_json_as_it_is', async () => {
  await held();
  const { counts } = await getJson(s, '/orders?limit=1');
  const { err } = await ok('orders', 'list', '--status', 'failed');
  assert.ok(counts.all > 0 && counts.on_hold > 0);
  assert.equal(err, `${counts.all} in all: ${counts.open} open (${counts.on_hold} on hold), ${counts.completed} completed, `
    + `${counts.failed} failed, ${counts.cancelled} cancelled\n`);
  assert.deepEqual(await json('orders', 'list'), await getJson(s, '/orders'));
});

test('long_shows_all_that_the_journal_says_of_each_event', async () => {
  const id = await held();
  const { events } = await look(s, id);
  const { out } = await ok('orders', 'show', id, '--long');
  const blocks = out.split(/^(?=EVENT )/m).slice(1);
  assert.equal(blocks.length, events.length);
  blocks.forEach((block, i) => {
    const said = Object.fromEntries(block.trim().split('\n').map((line) => /^(\S+(?: \S+)?) +(.*)$/.exec(line).slice(1)));
    const { order_id: _, seq, metadata, ...facts } = events[i];
    const results = Object.entries(metadata).map(([name, value]) => [`metadata ${name}`, `${value}`]);
    assert.equal('after_ms' in said, i > 0, 'how long after the event before');
    const gap = i ? Date.parse(facts.timestamp) - Date.parse(events[i - 1].timestamp) : 0;
    assert.ok(Math.abs(Number(said.after_ms ?? 0) - gap) <= 1, `${said.after_ms}, ${gap}`);
    delete said.after_ms;
    assert.deepEqual(said, { EVENT: `${seq}`, ...Object.fromEntries([...Object.entries(facts), ...results].map(([k, v]) => [k, `${v}`])) });
  });
  assert.match(blocks.join(''), /^metadata transaction_id +TXN-/m);
  assert.equal((await ok('dead-letters', 'show', id, '--long')).out, out);
});

// `stageline orders timeline` tells the times that the client draws: it is compared with the client's own function.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { finished, look } from '../lib/orders.mjs';
import { onHold, placeScripted, send, stageIs, startScripted, types } from '../lib/scripted.mjs';
import { runStageline } from '../lib/stageline.mjs';
import { atTerminal } from '../lib/terminal.mjs';
import { segmentsOf } from '../../www/parts/attempts.js';

const kinds = { queue: 'in_line', run: 'attempt', undo: 'undoing', backoff: 'backoff', wait: 'waiting', hold: 'on_hold' };
let s;

before(async () => {
  const retry = { attempts: 2, backoff: '60ms', jitter: 0 };
  s = await startScripted({ a: {}, left: { after: ['a'] }, right: { after: ['a'], when: { field: 'total_amount', above: 100 } },
    end: { after: ['left', 'right'] } }, { defaults: { retry } });
});
after(async () => assert.equal(await s.stop(), 0));

async function timeline(id, ...flags) {
  const { code, out, err } = await runStageline(['orders', 'timeline', id, '--json', ...flags], { env: { STAGELINE_URL: s.url } });
  assert.equal(code, 0, err);
  return JSON.parse(out);
}

async function assertAsTheClientDrawsIt(id) {
  const { order, events } = await look(s, id);
  const { id: told, timeline: list } = await timeline(id, '--at', `${events.at(-1).seq}`);
  const want = segmentsOf(order.stages, events, Date.parse(events.at(-1).timestamp))
    .map(({ stage, kind, attempt, from, to, isOpen = false }) => ({ stage, what: kinds[kind], attempt, open: isOpen, from, ms: to - from }));
  assert.equal(told, id);
  assert.deepEqual(list.map(({ stage, what, attempt, open, from, ms }) => ({ stage, what, attempt, open, from: Date.parse(from), ms })), want);
  return list;
}

const has = (list, stage, what) => assert.ok(list.some((segment) => segment.stage === stage && segment.what === what), JSON.stringify(list));

test('attempts_backoff_and_branches_are_told', async () => {
  const id = await placeScripted(s, { a: 'rd', left: 'W' });
  await onHold(s, id);
  const list = await assertAsTheClientDrawsIt(id);
  has(list, 'a', 'backoff');
  has(list, 'left', 'waiting');
  has(list, 'left', 'backoff');
  assert.ok(!list.some(({ stage }) => stage === 'end'), 'nothing happened there yet');
  assert.deepEqual(list.filter((segment) => segment.stage === 'a' && segment.what === 'attempt').map(({ attempt, outcome }) => [attempt, outcome]),
    [[1, 'retrying'], [2, 'success']]);
});

test('a_hold_and_what_comes_behind_it_is_told', async () => {
  const id = await placeScripted(s, { a: 'rrd' });
  await onHold(s, id);
  await send(s, '/dead-letters/retry', { ids: [id], reason: 'once more' });
  await finished(s, id);
  has(await assertAsTheClientDrawsIt(id), 'a', 'on_hold');
});

test('an_answer_from_outside_ends_its_wait', async () => {
  const id = await placeScripted(s, { a: 'w' });
  await stageIs(s, id, 'a', 'waiting');
  await send(s, `/orders/${id}/signals/a`, {});
  await finished(s, id);
  has(await assertAsTheClientDrawsIt(id), 'a', 'waiting');
});

test('after_a_no_what_runs_is_undoing', async () => {
  const id = await placeScripted(s, { end: 'f', 'undo a': 'rd' });
  assert.ok(types(await finished(s, id)).includes('a_undone'));
  const list = await assertAsTheClientDrawsIt(id);
  has(list, 'a', 'undoing');
  has(list, 'left', 'undoing');
});

test('a_sibling_that_was_out_when_the_order_turned_round_ran_forwards', async () => {
  const id = await placeScripted(s, { left: 'l', right: 'f' }, { total_amount: 500 });
  const { events } = await finished(s, id);
  assert.deepEqual(events.filter(({ undo }) => undo).map(({ event_type: type }) => type), ['left_undone', 'a_undone']);
  const list = await assertAsTheClientDrawsIt(id);
  assert.deepEqual(list.filter(({ stage, what }) => stage === 'left' && what !== 'in_line').map(({ what, outcome }) => [what, outcome]),
    [['attempt', 'success'], ['undoing', 'undone']]);
});

test('what_goes_on_lasts_until_now_or_until_the_moment_that_is_asked_for', async () => {
  const id = await placeScripted(s, { a: 'r' });
  await onHold(s, id);
  await assertAsTheClientDrawsIt(id);
  const { events } = await look(s, id);
  const [retrying, held] = [events.find((e) => e.status === 'retrying'), events.at(-1)];
  const { timeline: then } = await timeline(id, '--at', `${retrying.seq}`);
  assert.deepEqual([then.at(-1).what, then.at(-1).outcome], ['attempt', 'retrying'], 'its backoff has just begun');
  const asked = Date.now();
  const { timeline: now } = await timeline(id);
  assert.deepEqual([now.at(-1).what, now.at(-1).open], ['on_hold', true]);
  assert.ok(now.at(-1).ms >= asked - Date.parse(held.timestamp) - 1);
});

test('a_terminal_shows_a_line_per_span', async () => {
  const id = await placeScripted(s, { a: 'r' });
  await onHold(s, id);
  const lines = atTerminal(s, ['orders', 'timeline', id], { env: { NO_COLOR: '1' } }).trimEnd().split('\r\n');
  assert.match(lines[0], /^STAGE +WHAT +ATTEMPT +OUTCOME +FROM +MS$/);
  assert.ok(lines.some((line) => /^a +attempt +2 +held +[\dT:.-]+Z +\d+$/.test(line)), lines.join('\n'));
  assert.match(lines.at(-1), /^a +on_hold +goes on +[\dT:.-]+Z +\d+$/);
  for (const line of lines)
    assert.ok([...line].length <= 80, line);
});

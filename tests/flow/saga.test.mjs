// When an order fails: what was done is undone, in reverse, once; what cannot be undone is on hold and named.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { finished, state } from '../lib/orders.mjs';
import { ofType, onHold, placeScripted, send, startScripted, stageIs, types, when } from '../lib/scripted.mjs';

let line, fork;

before(async () => {
  line = await startScripted({ one: {}, two: {}, stamp: { irreversible: true }, three: {} });
  fork = await startScripted({ root: {}, left: { after: ['root'] }, right: { after: ['root'] }, join: { after: ['left', 'right'] } });
});
after(async () => {
  assert.equal(await line.stop(), 0);
  assert.equal(await fork.stop(), 0);
});

test('what_was_done_is_undone_in_reverse_when_a_stage_says_no', async () => {
  const before_ = await state(line, 'net/');
  const whole = await finished(line, await placeScripted(line, { three: 'f' }));
  assert.deepEqual(types(whole), ['order_created', 'one_done', 'two_done', 'stamp_done', 'stage_failed', 'two_undone',
    'one_undone', 'order_failed']);
  assert.equal(whole.order.error, 'no');
  const after_ = await state(line, 'net/');
  assert.equal(after_['net/one'] ?? 0, before_['net/one'] ?? 0);
  assert.equal(after_['net/stamp'], (before_['net/stamp'] ?? 0) + 1, 'what is irreversible stays done');
});

test('an_order_is_compensating_while_it_is_undone', async () => {
  const id = await placeScripted(line, { three: 'f', 'undo one': 'Rd' });
  const during = await stageIs(line, id, 'one', 'undoing');
  assert.equal(during.order.status, 'compensating');
  assert.equal((await finished(line, id)).order.status, 'failed');
});

test('an_undo_in_trouble_is_attempted_again', async () => {
  const whole = await finished(line, await placeScripted(line, { three: 'f', 'undo two': 'rrd' }));
  assert.deepEqual(ofType(whole, 'stage_retrying').map((e) => [e.stage, e.attempt]), [['two', 1], ['two', 2]]);
  assert.deepEqual(types(whole).slice(-3), ['two_undone', 'one_undone', 'order_failed']);
});

for (const [how, script] of [['keeps_failing', 'r'], ['says_no', 'f']]) {
  test(`an_undo_that_${how}_puts_the_order_on_hold_naming_the_step`, async () => {
    const id = await placeScripted(line, { three: 'f', 'undo two': script });
    const held = await onHold(line, id);
    assert.equal(ofType(held, 'stage_held')[0].stage, 'two');
    assert.ok(!types(held).includes('one_undone'), 'what comes before it in reverse waits');
    const { dead_letters: letters } = await (await fetch(`${line.url}/dead-letters`)).json();
    const letter = letters.find((l) => l.order.id === id);
    assert.deepEqual([letter.held[0].name, letter.held[0].undo], ['two', true]);

    const discard = await send(line, '/dead-letters/discard', { ids: [id], reason: 'give it up' });
    assert.equal(discard.body.refused, 1, 'it is being undone already');
    assert.equal((await send(line, '/dead-letters/skip', { ids: [id], reason: 'paid back by hand' })).body.done, 1);
    const whole = await finished(line, id);
    assert.equal(whole.order.status, 'failed');
    assert.deepEqual(types(whole).slice(-3), ['stage_released', 'one_undone', 'order_failed']);
  });
}

test('an_undo_on_hold_can_be_retried', async () => {
  const id = await placeScripted(line, { three: 'f', 'undo two': 'rrrd' });
  await onHold(line, id);
  assert.equal((await send(line, '/dead-letters/retry', { ids: [id], reason: 'the bank is back' })).body.done, 1);
  const whole = await finished(line, id);
  assert.deepEqual(types(whole).slice(-4), ['stage_released', 'two_undone', 'one_undone', 'order_failed']);
});

test('a_sibling_that_runs_is_waited_for_and_then_undone', async () => {
  const id = await placeScripted(fork, { left: 'f', right: 'l' });
  const whole = await finished(fork, id);
  const story = types(whole);
  assert.ok(story.indexOf('right_done') > story.indexOf('stage_failed'), `it was waited for: ${story}`);
  assert.deepEqual(story.slice(-4), ['right_done', 'right_undone', 'root_undone', 'order_failed']);
});

test('a_sibling_between_two_attempts_is_not_attempted_again_but_undone', async () => {
  const whole = await finished(fork, await placeScripted(fork, { left: 'rf', right: 'Rd' }));
  const story = types(whole);
  assert.ok(!story.includes('right_done'), story.join());
  assert.deepEqual(story.slice(-4), ['stage_failed', 'right_undone', 'root_undone', 'order_failed'], story.join());
});

test('siblings_done_before_the_failure_are_undone_in_reverse_order_of_completion', async () => {
  const whole = await finished(fork, await placeScripted(fork, { right: 'l', join: 'f' }));
  assert.deepEqual(types(whole).slice(-6), ['right_done', 'stage_failed', 'right_undone', 'left_undone', 'root_undone', 'order_failed']);
});

test('a_sibling_without_an_answer_is_undone_since_it_may_have_taken_effect', async () => {
  const id = await placeScripted(fork, { left: 'r', right: 'w' });
  await onHold(fork, id);
  await stageIs(fork, id, 'right', 'waiting');
  await send(fork, '/dead-letters/discard', { ids: [id], reason: 'enough' });
  const whole = await finished(fork, id);
  assert.equal(types(whole).filter((t) => t === 'right_undone').length, 1);
  assert.equal(types(whole).filter((t) => t === 'left_undone').length, 1);
  assert.deepEqual(types(whole).slice(-2), ['root_undone', 'order_failed']);
});

test('undone_and_done_balance_after_every_failure', async () => {
  await when(fork, await placeScripted(fork, { join: 'f' }), 'failed', ({ order: o }) => o.status === 'failed');
  const net = await state(fork, 'net/');
  for (const [key, n] of Object.entries(net))
    assert.equal(n, key === 'net/join' ? n : 0, `${key} is ${n}`);
});

test('check_refuses_an_effectful_stage_with_neither_undo_nor_irreversible', async () => {
  await assert.rejects(startScripted({ one: { undo_event: undefined } }), /changes the world/);
  await assert.rejects(startScripted({ one: { irreversible: true, undo_event: 'one_undone' } }), /cannot be irreversible/);
});

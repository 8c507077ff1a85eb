// What the death of the daemon costs: one attempt of what ran, nothing of what did not.
import assert from 'node:assert/strict';
import test from 'node:test';
import { checkChain } from '../lib/chain.mjs';
import { checkFile } from '../lib/oracle.mjs';
import { finished, look, state } from '../lib/orders.mjs';
import { ofType, onHold, placeScripted, send, stageOf, startScripted, stageIs, types } from '../lib/scripted.mjs';
import { until } from '../lib/until.mjs';

const isOut = (s, name, n = 1) => until(`${n} attempts of ${name} to be out`,
  async () => (await stageOf(s, name)).live.later + (await stageOf(s, name)).live.running === n);

test('a_kill_during_an_attempt_costs_that_attempt_and_no_other', async () => {
  const s = await startScripted({ one: {}, two: {} });
  const id = await placeScripted(s, { two: '-d' });
  await isOut(s, 'two');
  await s.kill();
  await s.restart();
  const whole = await finished(s, id);
  assert.equal(whole.order.status, 'completed');
  assert.deepEqual(types(whole), ['order_created', 'one_done', 'attempt_lost', 'two_done', 'order_completed']);
  assert.equal(ofType(whole, 'attempt_lost')[0].attempt, 1);
  assert.equal(ofType(whole, 'two_done')[0].attempt, 2);
  assert.equal(await s.stop(), 0);
  checkFile(s);
  checkChain(s);
});

test('lost_attempts_are_used_up_like_others', async () => {
  const s = await startScripted({ one: {} });
  const id = await placeScripted(s, { one: '-' });
  for (let i = 0; i < 3; i++) {
    await isOut(s, 'one');
    await s.kill();
    await s.restart();
  }
  const whole = await onHold(s, id);
  assert.deepEqual(types(whole), ['order_created', 'attempt_lost', 'attempt_lost', 'attempt_lost', 'stage_held']);
  assert.equal(await s.stop(), 0);
});

test('what_was_queued_or_waited_costs_nothing', async () => {
  const s = await startScripted({ one: {}, two: { retry: { attempts: 3, backoff: '300ms', jitter: 0 } }, three: {} });
  await send(s, '/pipeline/stages/three/pause', { reason: 'so that orders queue' });
  const queued = await placeScripted(s);
  const waits = await placeScripted(s, { two: 'w' });
  const retries = await placeScripted(s, { one: 'd', two: 'Rd' });
  await stageIs(s, queued, 'three', 'queued');
  await stageIs(s, waits, 'two', 'waiting');
  await stageIs(s, retries, 'two', 'retrying');
  await s.kill();
  await s.restart();
  await send(s, '/pipeline/stages/three/resume', { reason: 'seen' });
  await send(s, `/orders/${waits}/signals/two`, {});
  for (const id of [queued, waits, retries]) {
    const whole = await finished(s, id);
    assert.equal(whole.order.status, 'completed');
    assert.equal(ofType(whole, 'attempt_lost').length, 0, types(whole).join());
  }
  assert.equal(await s.stop(), 0);
});

test('an_undo_that_died_is_undone_once', async () => {
  const s = await startScripted({ one: {}, two: {} });
  const id = await placeScripted(s, { two: 'f', 'undo one': '-d' });
  await isOut(s, 'one');
  await s.kill();
  await s.restart();
  const whole = await finished(s, id);
  assert.deepEqual(types(whole), ['order_created', 'one_done', 'stage_failed', 'attempt_lost', 'one_undone', 'order_failed']);
  assert.equal((await state(s, 'net/'))['net/one'], 0);
  assert.equal(await s.stop(), 0);
});

test('an_order_cancelled_while_its_attempt_ran_is_undone_after_a_kill', async () => {
  const s = await startScripted({ one: {}, two: {} });
  const id = await placeScripted(s, { two: '-' });
  await isOut(s, 'two');
  assert.equal((await send(s, `/orders/${id}/cancel`, { reason: 'changed my mind' })).status, 200);
  await s.kill();
  await s.restart();
  const whole = await finished(s, id);
  assert.equal(whole.order.status, 'cancelled');
  assert.deepEqual(types(whole).slice(-3), ['two_undone', 'one_undone', 'order_cancelled']);
  assert.equal((await state(s, 'net/'))['net/one'], 0);
  assert.equal(await s.stop(), 0);
});

// It goes on with the same attempt, if nothing comes between. What it has done by then is not known.
test('an_order_cancelled_after_a_stop_that_cut_its_attempt_off_is_undone', async () => {
  const s = await startScripted({ one: {}, two: {} });
  const id = await placeScripted(s, { two: '-' });
  await isOut(s, 'two');
  assert.equal((await send(s, '/pipeline/stages/two/pause', { reason: 'so that it does not go out again' })).status, 200);
  assert.equal(await s.stop(), 0);
  await s.restart();
  assert.equal((await look(s, id)).order.stages[1].attempt, 1);
  assert.equal((await send(s, `/orders/${id}/cancel`, { reason: 'changed my mind' })).status, 200);
  assert.equal((await send(s, '/pipeline/stages/two/resume', { reason: 'to undo it' })).status, 200);
  const whole = await finished(s, id);
  assert.deepEqual(types(whole), ['order_created', 'one_done', 'cancel_requested', 'attempt_lost', 'two_undone',
    'one_undone', 'order_cancelled']);
  assert.equal((await state(s, 'net/'))['net/one'], 0);
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

// Restarts a daemon that a stage takes down until it stays up; how often.
async function restartUntilCalm(s, isCalm) {
  for (let deaths = 0; deaths < 20; deaths++) {
    const died = await until('the end of the trouble', async () => {
      if (!s.isRunning)
        return 'died';
      return await isCalm().catch(() => false) && 'calm';
    });
    if (died === 'calm')
      return deaths;
    // It may die again before it is seen to be ready.
    while (!await s.restart().then(() => true, () => false))
      if (++deaths > 20)
        break;
  }
  throw new Error(`it dies for ever:\n${s.logs()}`);
}

test('a_poison_order_ends_on_hold_alone_while_the_others_complete', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: { workers: 4 } });
  await send(s, '/pipeline/stages/two/pause', { reason: 'so that they come together' });
  const others = [];
  for (let i = 0; i < 5; i++)
    others.push(await placeScripted(s, { two: 'l' }));
  const poison = await placeScripted(s, { two: 'c' });
  for (let i = 0; i < 5; i++)
    others.push(await placeScripted(s, { two: 'l' }));
  await stageIs(s, others.at(-1), 'two', 'queued');
  await fetch(`${s.url}/pipeline/stages/two/resume`, { method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ reason: 'go' }) }).catch(() => null);

  const deaths = await restartUntilCalm(s, async () => (await look(s, poison)).order.status === 'on_hold');
  const whole = await look(s, poison);
  assert.deepEqual(types(whole), ['order_created', 'one_done', 'attempt_lost', 'attempt_lost', 'attempt_lost', 'stage_held']);
  for (const id of others) {
    const other = await finished(s, id);
    assert.equal(other.order.status, 'completed', types(other).join());
    assert.ok(ofType(other, 'attempt_lost').length <= 1, `dragged along: ${types(other)}`);
  }
  console.log(`the daemon died ${deaths} times of three attempts`);
  assert.equal(deaths, 3);
  assert.equal(await s.stop(), 0);
});

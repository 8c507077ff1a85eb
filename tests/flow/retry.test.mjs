// Passing troubles: attempts, waits between them, timeouts, and where the patience ends.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { finished } from '../lib/orders.mjs';
import { ofType, onHold, placeScripted, startScripted, stageIs, timeOf, types } from '../lib/scripted.mjs';

// Due times are kept in microseconds, timers run in milliseconds of another clock.
const TICK_MS = 2;

let s;

before(async () => {
  s = await startScripted({
    steady: {},
    slow: { retry: { attempts: 4, backoff: '100ms', factor: 2, max: '150ms', jitter: 0 } },
    patient: { retry: { attempts: 2, backoff: '2s', max: '10s', jitter: 0 } },
    quick: { retry: { attempts: 3, backoff: '10ms', max: '20ms' } },
    short: { timeout: '300ms' },
    yielding: { on_exhausted: 'fail', irreversible: true },
  });
});
after(async () => assert.equal(await s.stop(), 0));

const waits = (events) => events.map((e) => Math.round((Date.parse(e.due_at) - timeOf(e))));

test('a_passing_trouble_is_attempted_again_and_the_attempts_are_counted', async () => {
  const whole = await finished(s, await placeScripted(s, { steady: 'rrd' }));
  assert.equal(whole.order.status, 'completed');
  const retries = ofType(whole, 'stage_retrying');
  assert.deepEqual(retries.map((e) => [e.stage, e.attempt, e.message]), [['steady', 1, 'not now'], ['steady', 2, 'not now']]);
  assert.equal(ofType(whole, 'steady_done')[0].attempt, 3);
});

test('waits_grow_by_the_factor_up_to_the_cap', async () => {
  const whole = await finished(s, await placeScripted(s, { slow: 'rrrd' }));
  assert.deepEqual(waits(ofType(whole, 'stage_retrying')), [100, 150, 150]);
});

test('no_attempt_starts_before_it_is_due', async () => {
  const whole = await finished(s, await placeScripted(s, { slow: 'rrrd' }));
  const due = ofType(whole, 'stage_retrying').map((e) => Date.parse(e.due_at));
  const next = whole.events.filter((e) => e.stage === 'slow').slice(1).map(timeOf);
  due.forEach((time, i) => assert.ok(next[i] >= time - TICK_MS, `attempt ${i + 2}: ${next[i]} before ${time}`));
});

test('a_stage_may_say_itself_when_to_try_again', async () => {
  const whole = await finished(s, await placeScripted(s, { patient: 'Rd' }));
  assert.deepEqual(waits(ofType(whole, 'stage_retrying')), [500]);
  assert.ok(timeOf(ofType(whole, 'patient_done')[0]) - timeOf(ofType(whole, 'stage_retrying')[0]) < 2000);
});

test('a_stage_may_ask_for_more_time_than_its_policy_would_give', async () => {
  const whole = await finished(s, await placeScripted(s, { quick: 'Rd' }));
  const [retried] = ofType(whole, 'stage_retrying');
  assert.ok(timeOf(ofType(whole, 'quick_done')[0]) >= Date.parse(retried.due_at) - TICK_MS, JSON.stringify(whole.events));
});

test('used_up_attempts_put_the_order_on_hold_with_its_reason', async () => {
  const whole = await onHold(s, await placeScripted(s, { steady: 'r' }));
  assert.equal(ofType(whole, 'stage_retrying').length, 2);
  assert.equal(types(whole).at(-1), 'stage_held');
  assert.deepEqual([whole.events.at(-1).stage, whole.events.at(-1).attempt], ['steady', 3]);
  assert.equal(whole.order.error, 'not now');
});

test('a_stage_may_fail_the_order_when_its_attempts_are_used_up', async () => {
  const whole = await finished(s, await placeScripted(s, { yielding: 'r' }));
  assert.equal(whole.order.status, 'failed');
  assert.equal(whole.order.error, 'not now');
  assert.deepEqual(types(whole).slice(-7), ['stage_failed', 'short_undone', 'quick_undone', 'patient_undone', 'slow_undone',
    'steady_undone', 'order_failed']);
  assert.ok(!types(whole).includes('stage_held'));
});

test('an_attempt_beyond_its_timeout_is_attempted_again', async () => {
  const whole = await finished(s, await placeScripted(s, { short: '-d' }));
  const [retried] = ofType(whole, 'stage_retrying');
  assert.match(retried.message, /no answer within 300 ms/);
  assert.equal(ofType(whole, 'short_done')[0].attempt, 2);
});

test('due_times_survive_a_restart', async () => {
  const id = await placeScripted(s, { patient: 'rd' });
  const had = (await stageIs(s, id, 'patient', 'retrying')).order.stages.find((stage) => stage.name === 'patient');
  await s.restart();
  const again = (await stageIs(s, id, 'patient', 'retrying')).order.stages.find((stage) => stage.name === 'patient');
  assert.deepEqual(again, had);
  const whole = await finished(s, id);
  assert.equal(ofType(whole, 'stage_retrying').length, 1);
  assert.ok(timeOf(ofType(whole, 'patient_done')[0]) >= Date.parse(had.due_at) - TICK_MS);
});

test('attempts_that_were_used_stay_used_after_a_kill', async () => {
  const id = await placeScripted(s, { patient: 'r' });
  await stageIs(s, id, 'patient', 'retrying');
  await s.kill();
  await s.restart();
  const whole = await onHold(s, id);
  assert.equal(ofType(whole, 'stage_retrying').length, 1);
  assert.equal(ofType(whole, 'stage_held')[0].attempt, 2);
});

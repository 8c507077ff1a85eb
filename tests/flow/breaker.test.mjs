// The gate in front of a stage: breaker, rate, pause and resume.
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import test from 'node:test';
import { query } from '../lib/oracle.mjs';
import { finished, isTerminal, look } from '../lib/orders.mjs';
import { ofType, onHold, placeScripted, send, stageOf, startScripted, stageIs, timeOf, types } from '../lib/scripted.mjs';
import { until } from '../lib/until.mjs';

const breakerIs = (s, name, state) => until(`the breaker of ${name} to be ${state}`,
  async () => (await stageOf(s, name)).live.breaker === state, { step: 5 });
const retry = { attempts: 20, backoff: '20ms', factor: 1, max: '20ms', jitter: 0 };

test('the_breaker_opens_after_its_failures_holds_orders_back_and_closes_after_a_probe', async () => {
  const s = await startScripted({ bank: { retry, breaker: { failures: 4, window: '30s', open_for: '700ms', probes: 1 } } });
  assert.equal((await stageOf(s, 'bank')).live.breaker, 'closed');
  const sick = await placeScripted(s, { bank: 'rrrrd' });
  await breakerIs(s, 'bank', 'open');
  const well = await placeScripted(s);
  await until('the orders to be held back', async () => (await stageOf(s, 'bank')).live.waiting === 2);

  const during = await look(s, well);
  assert.equal(during.order.status, 'bank_under_way');
  assert.deepEqual(types(during), ['order_created']);
  assert.equal((await look(s, sick)).events.length, 5, 'nothing is attempted while it is open');

  const done = await Promise.all([finished(s, sick), finished(s, well)]);
  assert.deepEqual(done.map(({ order: o }) => o.status), ['completed', 'completed']);
  const opened = timeOf(ofType(done[0], 'stage_retrying').at(-1));
  for (const whole of done)
    assert.ok(timeOf(ofType(whole, 'bank_done')[0]) - opened >= 690, 'held back while it was open');
  assert.equal((await stageOf(s, 'bank')).live.breaker, 'closed');
  assert.equal(await s.stop(), 0);
});

test('a_failing_probe_opens_the_breaker_again', async () => {
  const s = await startScripted({ bank: { retry, breaker: { failures: 2, window: '30s', open_for: '300ms', probes: 1 } } });
  const whole = await finished(s, await placeScripted(s, { bank: 'rrrrd' }));
  const times = ofType(whole, 'stage_retrying').map(timeOf);
  assert.ok(times[2] - times[1] >= 290, `the first probe waits: ${times}`);
  assert.ok(times[3] - times[2] >= 290, `the second probe waits: ${times}`);
  assert.equal(await s.stop(), 0);
});

test('half_open_lets_out_its_probes_and_closes_when_all_of_them_end_well', async () => {
  const s = await startScripted({ bank: { timeout: '1s', retry,
    breaker: { failures: 1, window: '30s', open_for: '700ms', probes: 2 } } });
  const sick = await placeScripted(s, { bank: 'r-d' });
  await until('its second attempt to be held back', async () => (await stageOf(s, 'bank')).live.waiting === 1);
  const well = [];
  for (let i = 0; i < 3; i++)
    well.push(await placeScripted(s));
  await finished(s, well[0]);
  await until('the count of what is out', async () => (await stageOf(s, 'bank')).live.out === 1);
  assert.equal((await stageOf(s, 'bank')).live.breaker, 'half_open', 'one of two probes is not enough');
  assert.deepEqual(types(await look(s, well[1])), ['order_created'], 'no more than two are let out');

  for (const id of [sick, ...well])
    assert.equal((await finished(s, id)).order.status, 'completed');
  assert.equal((await stageOf(s, 'bank')).live.breaker, 'closed');
  assert.equal(await s.stop(), 0);
});

test('a_business_no_does_not_count_against_the_stage', async () => {
  const s = await startScripted({ bank: { breaker: { failures: 2, window: '30s', open_for: '60s' } } });
  for (let i = 0; i < 5; i++)
    assert.equal((await finished(s, await placeScripted(s, { bank: 'f' }))).order.status, 'failed');
  assert.equal((await stageOf(s, 'bank')).live.breaker, 'closed');
  assert.equal(await s.stop(), 0);
});

test('troubles_out_of_the_window_do_not_open_it', async () => {
  const s = await startScripted({ bank: { retry: { ...retry, backoff: '200ms', max: '200ms' },
    breaker: { failures: 2, window: '100ms', open_for: '60s' } } });
  assert.equal((await finished(s, await placeScripted(s, { bank: 'rrrd' }))).order.status, 'completed');
  assert.equal((await stageOf(s, 'bank')).live.breaker, 'closed');
  assert.equal(await s.stop(), 0);
});

test('no_more_attempts_start_in_a_second_than_the_rate_allows', async () => {
  const s = await startScripted({ bank: { rate: '20/s' } });
  const ids = await Promise.all(Array.from({ length: 40 }, () => placeScripted(s)));
  const times = (await Promise.all(ids.map((id) => finished(s, id)))).map((whole) => timeOf(ofType(whole, 'bank_done')[0]))
    .sort((a, b) => a - b);
  for (let i = 0; i < times.length; i++) {
    const n = times.filter((time) => time >= times[i] && time < times[i] + 1000).length;
    assert.ok(n <= 20 + 4, `${n} in the second from the ${i}th`); // 100 ms of burst, and the time of the commits
  }
  assert.ok(times.at(-1) - times[0] < 4000, 'it is not slower than asked');
  assert.equal(await s.stop(), 0);
});

const pause = (s, name, body = { reason: 'the bank moves' }) => send(s, `/pipeline/stages/${name}/pause`, body);
const resume = (s, name, body = { reason: 'it moved' }) => send(s, `/pipeline/stages/${name}/resume`, body);

test('a_paused_stage_keeps_its_orders_waiting_until_it_is_resumed', async () => {
  const s = await startScripted({ basket: {}, bank: {} });
  const answer = await pause(s, 'bank');
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.equal(answer.body.stages[1].live.paused, true);
  const id = await placeScripted(s);
  await stageIs(s, id, 'bank', 'queued');

  await s.restart();
  assert.equal((await stageOf(s, 'bank')).live.paused, true, 'it is paused after a restart');
  await stageIs(s, id, 'bank', 'queued');
  assert.deepEqual(types(await look(s, id)), ['order_created', 'basket_done']);

  assert.equal((await resume(s, 'bank')).body.stages[1].live.paused, false);
  assert.equal((await finished(s, id)).order.status, 'completed');
  await s.restart();
  assert.equal((await stageOf(s, 'bank')).live.paused, false, 'it is resumed after a restart');
  assert.equal(await s.stop(), 0);
  const events = query(s, "SELECT type, stage, payload FROM events WHERE type IN ('stage_paused', 'stage_resumed') ORDER BY seq");
  assert.deepEqual(events.map((e) => [e.type, e.stage, JSON.parse(e.payload).reason]),
    [['stage_paused', 'bank', 'the bank moves'], ['stage_resumed', 'bank', 'it moved']]);
});

test('a_paused_stage_is_paused_for_orders_of_an_earlier_pipeline_too', async () => {
  const s = await startScripted({ basket: {}, bank: {} });
  await pause(s, 'bank');
  const id = await placeScripted(s);
  await stageIs(s, id, 'bank', 'queued');
  await s.stop();
  appendFileSync(s.pipeline, '# edited\n');
  await s.restart();
  // A new order overtakes whatever could go out at the start.
  const later = await placeScripted(s);
  const [was, is] = [await stageIs(s, id, 'bank', 'queued'), await stageIs(s, later, 'bank', 'queued')];
  assert.notEqual(was.order.generation, is.order.generation);
  assert.deepEqual(types(await look(s, id)), ['order_created', 'basket_done']);
  await resume(s, 'bank');
  await Promise.all([finished(s, id), finished(s, later)]);
  assert.equal(await s.stop(), 0);
});

test('pause_and_resume_say_what_is_wrong', async () => {
  const s = await startScripted({ bank: {} });
  assert.equal((await pause(s, 'nowhere')).status, 404);
  assert.equal((await resume(s, 'bank')).status, 409);
  assert.equal((await pause(s, 'bank', {})).status, 422);
  assert.equal((await pause(s, 'bank', { reason: '' })).status, 422);
  assert.equal((await pause(s, 'bank', { reason: 'x'.repeat(501) })).status, 422);
  assert.equal((await pause(s, 'bank')).status, 200);
  assert.equal((await pause(s, 'bank')).status, 409);
  assert.equal((await resume(s, 'bank', {})).status, 422);
  assert.equal((await stageOf(s, 'bank')).live.paused, true);
  assert.equal(await s.stop(), 0);
});

test('an_order_on_hold_is_not_undone_while_its_stage_is_paused', async () => {
  const s = await startScripted({ basket: {}, bank: {} });
  const id = await placeScripted(s, { bank: 'r' });
  await onHold(s, id);
  await pause(s, 'basket');
  await send(s, '/dead-letters/discard', { ids: [id], reason: 'enough' });
  await until('the undo to wait', async () => (await stageOf(s, 'basket')).live.waiting === 1);
  assert.ok(!isTerminal(await look(s, id)));
  await resume(s, 'basket');
  assert.equal((await finished(s, id)).order.status, 'failed');
  assert.equal(await s.stop(), 0);
});

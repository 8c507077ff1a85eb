// What a worker elsewhere has while its order turns round: the undo never comes before its end, whatever becomes of the
// coordinator, or of Redis, meanwhile.
import assert from 'node:assert/strict';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { checkFile } from '../lib/oracle.mjs';
import { finished } from '../lib/orders.mjs';
import { redisBus, startRedis } from '../lib/redis.mjs';
import { ofType, placeScripted, plugins, send, stageIs, stageOf, startScripted, types } from '../lib/scripted.mjs';
import { startWorker } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';
import { runs, serves, streamOf } from '../lib/workers.mjs';

let redis;

before(async () => { redis = await startRedis(); });
after(async () => { await redis.kill(); });

const scriptedOf = (stages, { at = redis, ...options } = {}) => startScripted(stages, { bus: redisBus(at, { worker: false, lease: '1s' }), ...options });
const length = async (s, at = redis) => Number(await at.cli('XLEN', await streamOf(s, 'one', at)));
const added = async (s) => Number(/entries-added\n(\d+)/.exec(await redis.cli('XINFO', 'STREAM', await streamOf(s, 'one', redis)))[1]);
const cancel = async (s, id) => assert.equal((await send(s, `/orders/${id}/cancel`, { reason: 'changed my mind' })).status, 200);
const allow = async (s, what) => assert.equal((await send(s, `/pipeline/stages/one/${what}`, { reason: 'for the test' })).status, 200);

// An order whose run by `letter` is under way with a worker elsewhere.
async function startRun(one, letter, at) {
  const s = await scriptedOf({ one }, { at });
  const w = startWorker(s.bus, { plugins });
  await serves(s, w, 1);
  const id = await placeScripted(s, { one: letter });
  await runs(s, w, 1);
  return { s, w, id };
}

async function end(s, ...workers) {
  for (const w of workers)
    assert.equal(await w.stop(), 0);
  assert.equal(await s.stop(), 0);
  checkFile(s);
}

// The next start takes the machine for one that was started anew: of marks it has what was synced.
function bootAgain(s) {
  const file = openSync(join(s.dataDir, 'attempts'), 'r+');
  writeSync(file, 'another', 16);
  closeSync(file);
}

const done = ['order_created', 'one_done', 'order_completed'];
const undoneAfterItsEnd = ['order_created', 'cancel_requested', 'one_done', 'one_undone', 'order_cancelled'];
const undoneWithoutAnAnswer = ['order_created', 'cancel_requested', 'attempt_lost', 'one_undone', 'order_cancelled'];

const ends = {
  kill: (s) => s.kill(),
  stop: (s) => s.stop(),
  reboot: async (s) => { await s.kill(); bootAgain(s); },
};

test('a_run_elsewhere_is_awaited_by_its_cancelled_order_over_any_end_of_the_coordinator', { timeout: 60_000 }, async () => {
  await Promise.all(Object.values(ends).map(async (way) => {
    const { s, w, id } = await startRun({}, 'L');
    await cancel(s, id);
    await way(s);
    await s.restart();
    assert.deepEqual(types(await finished(s, id)), undoneAfterItsEnd, String(way));
    await end(s, w);
  }));
});

test('a_run_elsewhere_is_awaited_when_its_order_is_cancelled_after_a_kill_of_the_coordinator', { timeout: 60_000 }, async () => {
  const { s, w, id } = await startRun({}, 'L');
  await allow(s, 'pause');
  await s.kill();
  await s.restart();
  await cancel(s, id);
  await stageIs(s, id, 'one', 'undoing'); // a pause keeps back what would begin, not the answer
  await allow(s, 'resume');
  assert.deepEqual(types(await finished(s, id)), undoneAfterItsEnd);
  await end(s, w);
});

test('an_answer_that_came_while_no_coordinator_was_there_is_taken_and_nothing_runs_twice', { timeout: 60_000 }, async () => {
  const { s, w, id: cancelled } = await startRun({}, 'L');
  await cancel(s, cancelled);
  const kept = await placeScripted(s, { one: 'L' });
  await runs(s, w, 2);
  await s.kill();
  await until('both to be answered', async () => await length(s) === 0);
  await s.restart();
  assert.deepEqual(types(await finished(s, cancelled)), undoneAfterItsEnd);
  assert.deepEqual(types(await finished(s, kept)), done);
  assert.equal(await added(s), 3); // two runs, and one undo
  await end(s, w);
});

// More than the coordinator handles at once.
test('of_hundreds_of_answers_that_came_meanwhile_each_is_taken_before_anything_goes_out', { timeout: 60_000 }, async () => {
  const n = 900;
  const s = await scriptedOf({ one: {} });
  const ids = [];
  while (ids.length < n)
    ids.push(...await Promise.all(Array.from({ length: 50 }, () => placeScripted(s))));
  await until('the tasks in Redis', async () => await length(s) === n);
  await s.kill();
  const w = startWorker(s.bus, { plugins });
  await until('all to be answered', async () => await length(s) === 0);
  await s.restart();
  for (const id of ids)
    await finished(s, id);
  assert.equal(await added(s), n);
  await end(s, w);
});

// Redis on the coordinator's machine, which reboots: the worker on another one still runs until its time is over.
test('a_run_that_redis_has_forgotten_is_awaited_as_long_as_a_worker_may_have_it', { timeout: 60_000 }, async () => {
  const own = await startRedis();
  const { s, w, id } = await startRun({ timeout: '4s' }, '-', own);
  await cancel(s, id);
  await s.kill();
  await own.restart();
  bootAgain(s);
  await s.restart();
  const whole = await finished(s, id);
  assert.deepEqual(types(whole), undoneWithoutAnAnswer);
  assert.match(ofType(whole, 'attempt_lost')[0].message, /^no answer within 4000 ms/); // the worker's own word
  await end(s, w);
  await own.kill();
});

test('what_the_coordinator_knew_of_a_stream_and_lost_is_looked_up_before_a_run_is_given_up', { timeout: 60_000 }, async () => {
  const { s, w, id } = await startRun({ timeout: '8s' }, '-');
  await allow(s, 'pause');
  await s.kill();
  await s.restart();
  await serves(s, w, 1);
  await redis.cli('DEL', `${s.bus.redis.prefix}:{orders}:run`);
  await until('the loss', () => /Redis has lost the tasks/.test(s.logs()));
  await cancel(s, id);
  await allow(s, 'resume');
  const whole = await finished(s, id);
  assert.match(ofType(whole, 'attempt_lost')[0].message, /^no answer within 8000 ms/);
  await end(s, w);
});

test('a_run_that_is_gone_is_not_sent_again_and_its_undo_finds_no_open_breaker', { timeout: 60_000 }, async () => {
  await Promise.all([true, false].map(async (isGoneBefore) => {
    const s = await scriptedOf({ one: { timeout: '2s', breaker: { failures: 3, window: '10s', open_for: '30s' } } });
    const ids = await Promise.all(Array.from({ length: 4 }, () => placeScripted(s)));
    const forget = async () => redis.cli('DEL', await streamOf(s, 'one', redis));
    await until('the tasks in Redis', async () => await length(s) === ids.length);
    for (const id of ids)
      await cancel(s, id);
    await s.kill();
    if (isGoneBefore)
      await forget();
    await s.restart();
    if (!isGoneBefore) {
      await until('them to be awaited', async () => (await stageOf(s, 'one')).live.out === ids.length);
      await forget();
    }
    for (const id of ids)
      await stageIs(s, id, 'one', 'undoing');
    assert.equal((await stageOf(s, 'one')).live.breaker, 'closed');
    const w = startWorker(s.bus, { plugins });
    for (const id of ids)
      assert.deepEqual(types(await finished(s, id)), undoneWithoutAnAnswer);
    await end(s, w);
  }));
});

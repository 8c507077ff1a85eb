// An order whose part of the journal is damaged stands still alone: it is named, and everything else goes on.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import test from 'node:test';
import { journalFile } from '../lib/oracle.mjs';
import { finished, getJson, look } from '../lib/orders.mjs';
import { hostFile } from '../lib/pipeline.mjs';
import { ofType, onHold, placeScripted, send, stageIs, startScripted } from '../lib/scripted.mjs';
import { until } from '../lib/until.mjs';

const damage = (s, sql) => execFileSync('sqlite3', [journalFile(s), sql]);
const loseSalt = (s, { events }) => damage(s, `UPDATE events SET salt = NULL WHERE seq = ${events[0].seq}`);
const garble = (s, { events }) => damage(s, `UPDATE events SET payload = x'00' WHERE seq = ${events.at(-1).seq}`);

const pause = (s, stage, verb = 'pause') => send(s, `/pipeline/stages/${stage}/${verb}`, { reason: 'a test' });

async function placeMany(s, n, script = {}) {
  const ids = [];
  for (let i = 0; i < n; i++)
    ids.push(await placeScripted(s, script));
  return ids;
}

async function checkSetAside(s, id) {
  await until('the order to be set aside', async () => (await getJson(s, '/stats')).set_aside === 1);
  assert.equal((await getJson(s, '/health')).set_aside, 1);
  assert.equal(s.logs().split('\n').filter((line) => line.includes(id)).length, 1, s.logs());
  const { status, body } = await send(s, `/orders/${id}/cancel`, { reason: 'cannot be' });
  assert.equal(status, 500);
  assert.match(body.detail, /set aside/);
}

async function checkOthers(s, ids) {
  for (const id of ids)
    assert.equal((await finished(s, id)).order.status, 'completed');
}

test('an_order_that_takes_no_more_events_is_set_aside_and_the_others_go_on', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {} });
  await pause(s, 'two');
  const ids = await placeMany(s, 20);
  await Promise.all(ids.map((id) => stageIs(s, id, 'two', 'queued')));
  const [bad] = ids.splice(7, 1);
  const whole = await look(s, bad);
  await s.stop();
  loseSalt(s, whole);
  await s.restart();
  await pause(s, 'two', 'resume');
  await checkOthers(s, ids);
  await checkSetAside(s, bad);
  assert.equal((await look(s, bad)).events.length, whole.events.length, 'it can still be looked at');
  await checkOthers(s, await placeMany(s, 3));
  assert.equal(await s.stop(), 0);
});

test('a_deadline_of_an_order_that_takes_no_more_events_sets_it_aside', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: { retry: { attempts: 100, backoff: '10ms', factor: 1 } } });
  const bad = await placeScripted(s, { one: 'W' });
  const whole = await stageIs(s, bad, 'one', 'waiting');
  await s.stop();
  loseSalt(s, whole);
  await s.restart();
  await checkSetAside(s, bad);
  await checkOthers(s, await placeMany(s, 3));
  assert.equal(await s.stop(), 0);
});

test('a_command_that_cannot_be_journaled_is_answered_with_the_reason', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {} });
  const bad = await placeScripted(s, { one: 'w' });
  const whole = await stageIs(s, bad, 'one', 'waiting');
  await s.stop();
  loseSalt(s, whole);
  await s.restart();
  const answers = await Promise.all([send(s, `/orders/${bad}/cancel`, { reason: 'x' }),
    send(s, '/state/adjust', { key: 'a', delta: 1, reason: 'x' }), placeScripted(s)]);
  assert.deepEqual(answers.slice(0, 2).map((a) => a.status), [500, 200]);
  assert.match(answers[0].body.detail, /no salt/);
  await checkOthers(s, [answers[2]]);
  assert.equal((await fetch(`${s.url}/readyz`)).status, 200);
  assert.equal(await s.stop(), 0);
});

test('an_order_that_cannot_be_read_does_not_keep_the_daemon_from_starting', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {} });
  const ids = await placeMany(s, 5, { two: 'w' });
  await Promise.all(ids.map((id) => stageIs(s, id, 'two', 'waiting')));
  const [bad] = ids.splice(2, 1);
  const whole = await look(s, bad);
  await s.stop();
  garble(s, whole);
  await s.restart();
  await checkSetAside(s, bad);
  for (const id of ids)
    assert.equal((await send(s, `/orders/${id}/signals/two`, {})).status, 200);
  await checkOthers(s, ids);
  assert.equal(await s.stop(), 0);
});

async function placeWaiting(s, n) {
  const ids = await placeMany(s, n, { one: 'w' });
  await Promise.all(ids.map((id) => stageIs(s, id, 'one', 'waiting')));
  return ids;
}

async function placeHeld(s, n) {
  const ids = await placeMany(s, n, { two: 'r' });
  await Promise.all(ids.map((id) => onHold(s, id)));
  return ids;
}

// All that a list has, two at a time.
async function listed(s, path, key, idOf) {
  const ids = [];
  for (let cursor = null; ;) {
    const page = await getJson(s, `${path}${path.includes('?') ? '&' : '?'}limit=2${cursor ? `&cursor=${cursor}` : ''}`);
    assert.ok(page[key].length <= 2);
    ids.push(...page[key].map(idOf));
    if (!page.next)
      return ids.reverse();
    cursor = page.next;
  }
}

const orders = (s, query = '') => listed(s, `/orders${query}`, 'orders', ({ id }) => id);

test('lists_go_on_without_an_order_that_cannot_be_read', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: { retry: { attempts: 1 } } });
  const waiting = await placeWaiting(s, 5), held = await placeHeld(s, 5);
  const damaged = [await look(s, waiting.splice(2, 1)[0]), await look(s, held.splice(1, 1)[0])];
  await s.stop();
  damaged.forEach((whole) => garble(s, whole));
  await s.restart();
  assert.deepEqual(await orders(s, '?status=one_under_way'), waiting);
  assert.deepEqual((await orders(s, '?status=open')).filter((id) => waiting.includes(id)), waiting);
  assert.deepEqual((await orders(s)).filter((id) => held.includes(id)), held);
  assert.deepEqual(await listed(s, '/dead-letters', 'dead_letters', ({ order: o }) => o.id), held);
  assert.equal((await getJson(s, '/pipeline/stages/two/errors')).errors.length, held.length);
  assert.equal((await getJson(s, '/dead-letters?group=cause')).causes[0].count, held.length + 1);
  assert.equal(await s.stop(), 0);
});

test('lists_go_on_without_an_order_whose_body_cannot_be_read', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: { retry: { attempts: 1 } } });
  const waiting = await placeWaiting(s, 3), held = await placeHeld(s, 3);
  const damaged = [await look(s, waiting.splice(1, 1)[0]), await look(s, held.splice(1, 1)[0])];
  await s.stop();
  damaged.forEach(({ events }) => garble(s, { events: events.slice(0, 1) }));
  await s.restart();
  assert.deepEqual(await orders(s), [...waiting, ...held]);
  assert.deepEqual(await orders(s, '?q=PROD-002'), [...waiting, ...held]);
  assert.deepEqual(await listed(s, '/dead-letters', 'dead_letters', ({ order: o }) => o.id), held);
  assert.equal(await s.stop(), 0);
});

test('an_attempt_that_died_with_the_daemon_and_cannot_be_journaled_sets_its_order_aside', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {} }, { bus: 'memory' }); // on Redis attempts outlive the daemon
  const ids = await placeMany(s, 5, { one: '-d' });
  await until('all attempts to be out', async () => (await getJson(s, '/pipeline')).stages[0].live.out === 5);
  const [bad] = ids.splice(2, 1);
  const whole = await look(s, bad);
  await s.kill();
  loseSalt(s, whole);
  await s.restart();
  await checkSetAside(s, bad);
  for (const id of ids)
    assert.equal(ofType(await finished(s, id), 'attempt_lost').length, 1);
  assert.equal(await s.stop(), 0);
});

test('an_order_that_cannot_be_read_again_holds_up_nobody_in_its_line', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {} }, { config: hostFile('limits: {orders_in_memory: 1}\n') });
  await pause(s, 'two');
  const ids = await placeMany(s, 10);
  await Promise.all(ids.map((id) => stageIs(s, id, 'two', 'queued')));
  const [bad] = ids.splice(3, 1);
  garble(s, await look(s, bad));
  await pause(s, 'two', 'resume');
  await checkOthers(s, ids);
  await checkSetAside(s, bad);
  assert.equal(await s.stop(), 0);
});

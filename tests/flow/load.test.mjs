// Many orders at once: nothing is refused because a stage is slow, and what is refused says when to come back.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import test from 'node:test';
import WebSocket from 'ws';
import { checkFile, checkOrders } from '../lib/oracle.mjs';
import { fastPipeline, hostFile, plenty } from '../lib/pipeline.mjs';
import { order, place, post } from '../lib/orders.mjs';
import { placeScripted, startScripted } from '../lib/scripted.mjs';
import { startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

async function placeMany(s, n, at_once, make = () => order({ 'PROD-002': 1, 'PROD-003': 1 })) {
  const accepted = new Map();
  let left = n;
  await Promise.all(Array.from({ length: at_once }, async () => {
    while (left-- > 0) {
      const body = make(left);
      accepted.set((await place(s, body)).id, body);
    }
  }));
  return accepted;
}

test('200_orders_at_once_all_finish', { timeout: 120_000 }, async () => {
  const s = await startStageline({ pipeline: fastPipeline({ latency: '5ms..50ms', stock: plenty }) });
  const accepted = await placeMany(s, 200, 200, (i) => order({ [i % 10 ? 'PROD-002' : 'PROD-004']: 1 }));
  const { orders, completed } = await checkOrders(s, accepted, plenty);

  assert.deepEqual([orders, completed], [200, 180]);
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

test('200_orders_at_once_all_finish_through_the_shipped_file', { timeout: 120_000 }, async () => {
  const s = await startStageline();
  const accepted = await placeMany(s, 200, 200);
  await until('200 orders to finish', async () => {
    const stats = await (await fetch(`${s.url}/stats`)).json();
    return stats.completed === accepted.size;
  }, { deadline: 60_000, step: 100 });
  assert.equal(await s.stop(), 0);
});

test('a_slow_stage_makes_orders_wait_and_refuses_none', { timeout: 240_000 }, async () => {
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty,
    stages: { payment: { in_flight: 2, workers: 2, config: { latency: '1ms' } } } }) });
  const accepted = await placeMany(s, 2000, 32);
  const { completed } = await checkOrders(s, accepted, plenty, { deadline: 200_000 });
  assert.equal(completed, 2000);
  assert.equal(await s.stop(), 0);
});

const listWaiting = (s) => fetch(`${s.url}/orders?status=two_under_way`);

test('more_readers_than_may_wait_are_told_to_come_back', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {} }, { config: hostFile('limits: {reads: 2}\n') });
  for (let i = 0; i < 200; i += 50)
    await Promise.all(Array.from({ length: 50 }, () => placeScripted(s, { one: 'w' })));
  const answers = await Promise.all(Array.from({ length: 100 }, () => listWaiting(s)));
  const refused = answers.filter((a) => a.status === 503), served = answers.filter((a) => a.status === 200);
  assert.equal(refused.length + served.length, 100);
  assert.ok(refused.length && served.length, `${refused.length} were refused`);
  for (const a of refused) {
    assert.ok(Number(a.headers.get('retry-after')) > 0);
    assert.match((await a.json()).detail, /wait for the journal/);
  }
  await Promise.all(served.map((a) => a.text()));
  assert.equal((await listWaiting(s)).status, 200, 'and then there is room again');
  assert.equal(await s.stop(), 0);
});

// Each list looks at all orders under way; those that ask leave without waiting for it.
test('readers_that_have_gone_keep_nobody', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {} }, { config: hostFile('limits: {reads: 100000}\n') });
  for (let i = 0; i < 1000; i += 50)
    await Promise.all(Array.from({ length: 50 }, () => placeScripted(s, { one: 'w' })));
  let began = performance.now();
  assert.equal((await listWaiting(s)).status, 200);
  const one = performance.now() - began;
  const askAndLeave = () => new Promise((done) => {
    const socket = connect(s.port, '127.0.0.1', () => {
      socket.write('GET /orders?status=two_under_way HTTP/1.1\r\nHost: localhost\r\n\r\n', () => setTimeout(() => {
        socket.resetAndDestroy();
        done();
      }, 5));
    });
    socket.on('error', done);
  });
  for (let i = 0; i < 1000; i += 50)
    await Promise.all(Array.from({ length: 50 }, askAndLeave));
  began = performance.now();
  assert.equal((await fetch(`${s.url}/system`)).status, 200);
  const waited = performance.now() - began;
  assert.ok(waited < 50 * one, `${waited.toFixed(0)} ms; one list took ${one.toFixed(0)} ms`);
  assert.ok(!s.logs().includes('cannot be listed'), s.logs());
  assert.equal(await s.stop(), 0);
});

test('watchers_that_do_not_read_do_not_slow_orders', { timeout: 120_000 }, async () => {
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }) });
  const sockets = await Promise.all(Array.from({ length: 20 }, () => new Promise((done) => {
    const socket = new WebSocket(`${s.url.replace('http', 'ws')}/ws/events`);
    socket.on('open', () => { socket._socket.pause(); done(socket); }).on('error', () => {});
  })));
  const accepted = await placeMany(s, 300, 32);
  await checkOrders(s, accepted, plenty);
  for (const socket of sockets)
    socket.terminate();
  assert.equal(await s.stop(), 0);
});

test('more_unanswered_orders_than_the_limit_are_told_when_to_come_back', { timeout: 60_000 }, async () => {
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }),
    config: hostFile('limits: {unanswered: 1}\n') });
  const answers = [];
  await until('a 503', async () => {
    answers.push(...await Promise.all(Array.from({ length: 100 }, async () => {
      const answer = await post(s, order());
      return { status: answer.status, retry: answer.headers.get('retry-after'), body: await answer.json(),
        type: answer.headers.get('content-type') };
    })));
    return answers.some((a) => a.status === 503);
  });
  for (const a of answers.filter((one) => one.status !== 200)) {
    assert.equal(a.status, 503);
    assert.match(a.retry, /^\d+$/);
    assert.match(a.type, /^application\/problem\+json/);
  }
  const accepted = new Map(answers.filter((a) => a.status === 200).map((a) => [a.body.id, a.body]));
  assert.equal((await checkOrders(s, accepted, plenty)).orders, accepted.size);
  assert.equal(await s.stop(), 0);
});

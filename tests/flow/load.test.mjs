// Many orders at once: nothing is refused because a stage is slow, and what is refused says when to come back.
import assert from 'node:assert/strict';
import test from 'node:test';
import WebSocket from 'ws';
import { checkFile, checkOrders } from '../lib/oracle.mjs';
import { fastPipeline, hostFile, plenty } from '../lib/pipeline.mjs';
import { order, place, post } from '../lib/orders.mjs';
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

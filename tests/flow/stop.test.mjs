// The end of the daemon while people still talk to it.
import assert from 'node:assert/strict';
import test from 'node:test';
import WebSocket from 'ws';
import { halfRequest } from '../lib/half.mjs';
import { checkFile } from '../lib/oracle.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { allFinished, order, place, post } from '../lib/orders.mjs';
import { startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

for (const path of ['/pipeline', '/stats', '/orders', '/state', '/health', '/products', '/events', '/orders?q=x', '/livez']) {
  test(`a_request_for_${path}_that_ends_after_the_stop_does_no_harm`, { timeout: 30_000 }, async () => {
    const s = await startStageline({ pipeline: fastPipeline() });
    await place(s);
    const half = halfRequest(s, path);
    await half.started;
    const stopped = s.stop();
    await until('the stop to be under way', () => /stopping/.test(s.logs()), { step: 1 });
    half.finish();
    assert.equal(await stopped, 0, s.logs());
    assert.match(await half.answer, /^HTTP\/1.1 (200|503)/);
  });
}

const reason = '{"reason":"too late"}';
const commands = {
  '/orders': () => JSON.stringify(order()),
  '/orders/ID/cancel': () => reason,
  '/orders/ID/signals/payment': () => '{}',
  '/dead-letters/retry': (id) => `{"reason":"too late","ids":["${id}"]}`,
  '/dead-letters/discard': () => '{"reason":"too late","filter":{}}',
  '/dead-letters/ID/edit': () => JSON.stringify({ reason: 'too late', order: order() }),
  '/pipeline/stages/payment/pause': () => reason,
  '/pipeline/stages/payment/resume': () => reason,
  '/state/adjust': () => '{"reason":"too late","key":"stock/PROD-001","delta":1}',
};

for (const [path, body] of Object.entries(commands)) {
  test(`a_command_to_${path}_that_ends_after_the_stop_is_refused`, { timeout: 30_000 }, async () => {
    const s = await startStageline({ pipeline: fastPipeline() });
    const { id } = await place(s);
    const half = halfRequest(s, path.replace('ID', id), body(id));
    await half.started;
    const stopped = s.stop();
    await until('the stop to be under way', () => /stopping/.test(s.logs()), { step: 1 });
    half.finish();
    assert.equal(await stopped, 0, s.logs());
    const answer = await half.answer;
    assert.match(answer, /^HTTP\/1.1 503/);
    assert.match(answer, /^Retry-After: \d+\r$/im);
    assert.match(answer, /Stageline is stopping/);
  });
}

test('a_stop_under_load_answers_every_order_that_it_took', { timeout: 120_000 }, async () => {
  const s = await startStageline({ pipeline: fastPipeline({ latency: '10ms..100ms', stock: plenty }) });
  const url = s.url.replace('http', 'ws');
  const sockets = Array.from({ length: 20 }, () => new WebSocket(`${url}/ws/events?after=0`).on('error', () => {}));
  const streams = Array.from({ length: 20 }, () => fetch(`${s.url}/events?after=0`).then((a) => a.text()).catch(() => {}));
  const accepted = new Set();
  const ends = Array.from({ length: 1500 }, () => post(s, order({ 'PROD-002': 1 }))
    .then(async (a) => { if (a.status === 200) accepted.add((await a.json()).id); return a.status; }, () => 'gone'));
  await until('some answers', () => accepted.size > 50, { step: 1 });
  assert.equal(await s.stop(), 0, s.logs());
  const statuses = new Set(await Promise.all(ends));
  await Promise.all(streams);
  assert.ok([...statuses].every((x) => [200, 503, 'gone'].includes(x)), [...statuses].join());
  sockets.forEach((w) => w.terminate());
  await s.restart();
  await allFinished(s);
  for (const id of accepted)
    assert.equal((await fetch(`${s.url}/orders/${id}`)).status, 200);
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

test('further_signals_do_no_harm', { timeout: 60_000 }, async () => {
  const s = await startStageline({ pipeline: fastPipeline({ latency: '300ms', stock: plenty }) });
  await Promise.all(Array.from({ length: 50 }, () => place(s)));
  const { pid } = s;
  let isOver = false;
  const stopped = s.stop().finally(() => { isOver = true; });
  while (!isOver) { // until the last moment of its life
    try {
      process.kill(pid, 'SIGTERM');
    } catch {
      break;
    }
    await new Promise((done) => setImmediate(done));
  }
  assert.equal(await stopped, 0, s.logs());
  checkFile(s);
});

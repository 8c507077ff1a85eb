// The n-th allocation of the running daemon fails (6): it answers, perhaps with an error, and lives.
import assert from 'node:assert/strict';
import test from 'node:test';
import WebSocket from 'ws';
import { faultControl, result, size } from '../lib/faults.mjs';
import { checkFile, checkOrders } from '../lib/oracle.mjs';
import { order, post } from '../lib/orders.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { seeded } from '../lib/random.mjs';
import { until } from '../lib/until.mjs';
import { serveArgs, runStageline, startStageline, temporaryFolder } from '../lib/stageline.mjs';

const failures = size(140, 5000);
const starts = size(60, 2000);
const pipeline = fastPipeline({ latency: '0ms', stock: plenty,
  defaults: { retry: { attempts: 1000, backoff: '1ms', max: '5ms' } } });

// What one visitor does; errors are answers too.
async function visit(s, accepted) {
  const body = order({ 'PROD-002': 1, 'PROD-003': 2 });
  const answer = await post(s, body).then(async (a) => ({ status: a.status, body: await a.json() }), () => null);
  if (answer?.status === 200)
    accepted.set(answer.body.id, body);
  const paths = ['/orders?limit=5', '/stats', '/pipeline', '/state?prefix=stock/', `/orders/${answer?.body?.id}`];
  await Promise.all(paths.map((path) => fetch(s.url + path).then((a) => a.arrayBuffer(), () => null)));
  await new Promise((done) => {
    const socket = new WebSocket(`${s.url.replace('http', 'ws')}/ws/events?after=0`);
    socket.on('message', () => socket.close()).on('close', done).on('error', done);
    setTimeout(() => socket.terminate(), 200).unref();
  });
  return answer?.status === 200;
}

test(`6_${failures}_failing_allocations_at_work_kill_nothing`, { timeout: 60_000 + failures * 1000 }, async () => {
  const random = seeded('memory');
  const faults = faultControl();
  const s = await startStageline({ pipeline, env: faults.env });
  const accepted = new Map();
  let hits = 0;
  let refused = 0;
  for (let n = 1; n <= failures; n++) {
    faults.failMemory(n % 2 ? n : 1 + random.below(600));
    const isPlaced = await visit(s, accepted);
    refused += !isPlaced;
    hits += faults.get('memoryHits');
    faults.failMemory(0);
    if (!isPlaced)
      await until('orders to be accepted again', async () => !s.isRunning || (await fetch(`${s.url}/readyz`)).ok, { deadline: 3000 });
    assert.ok(s.isRunning, `allocation ${n}: ${s.death}\n${s.logs().slice(-2000)}`);
  }
  faults.failMemory(0);
  await until('it to be well again', () => visit(s, accepted), { deadline: 3000 });
  await checkOrders(s, accepted, plenty);
  assert.equal(await s.stop(), 0);
  result(6, 'allocations fail at work', { faults: failures, 'of them met': hits, 'orders refused': refused,
    'orders accepted': accepted.size, events: checkFile(s), seed: random.seed });
});

test(`6_${starts}_failing_allocations_at_the_start_end_it_with_a_reason_or_not_at_all`, { timeout: 60_000 + starts * 5000 }, async () => {
  const random = seeded('memory at the start');
  const faults = faultControl();
  const port = 0;
  let refused = 0;
  for (let n = 1; n <= starts; n++) {
    faults.failMemory(n % 2 ? n : 1 + random.below(3000));
    const args = serveArgs({ pipeline, dataDir: temporaryFolder(), listen: `127.0.0.1:${port}` });
    const run = await runStageline(args, { env: faults.env, deadline: 400 }); // killed when it runs
    assert.ok(run.signal === 'SIGKILL' || [1, 78].includes(run.code), `allocation ${n}: ${run.code ?? run.signal}\n${run.err}`);
    if (run.signal !== 'SIGKILL') {
      assert.match(run.err, /memory|error/i, `allocation ${n}`);
      refused++;
    }
  }
  result(6, 'allocations fail at the start', { faults: starts, 'starts refused with a reason': refused, seed: random.seed });
});

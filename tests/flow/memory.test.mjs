// Want of memory while the daemon works: some are told to come back, nobody loses anything, nothing falls over.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import WebSocket from 'ws';
import { checkFile } from '../lib/oracle.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { order, post } from '../lib/orders.mjs';
import { binary, build, startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

// A sanitizer brings its own allocator.
const skip = ['__asan_init', '__tsan_init'].some((name) => readFileSync(binary).includes(name));
const seed = Number(process.env.SEED ?? Date.now());
const paths = ['/orders', '/orders?q=ann', '/pipeline', '/state', '/stats', '/', '/products'];

for (const rate of [1000, 200])
  test(`one_allocation_in_${rate}_fails_and_nothing_is_lost`, { timeout: 120_000, skip }, async () => {
    console.log(`SEED=${seed}`);
    const s = await startStageline({ pipeline: fastPipeline({ latency: '2ms', stock: plenty,
      defaults: { retry: { attempts: 1000, backoff: '5ms', max: '20ms' } } }),
    env: { LD_PRELOAD: join(build, 'tests/plugins/scarce.so'), SCARCE_RATE: String(rate), SCARCE_SEED: String(seed) } });
    const accepted = new Map();
    const end = performance.now() + 3000;
    const busy = () => performance.now() < end && s.isRunning;
    const ask = (path) => fetch(s.url + path, { signal: AbortSignal.timeout(1000) }).then((a) => a.text()).catch(() => {});

    process.kill(s.pid, 'SIGUSR1');
    await Promise.all(Array.from({ length: 8 }, async (_, k) => {
      for (let i = k; busy(); i++) {
        const body = order({ 'PROD-002': 1 });
        const socket = new WebSocket(`${s.url.replace('http', 'ws')}/ws/events?after=0`).on('error', () => {});
        const answer = await post(s, body).catch(() => null);
        const text = await answer?.text().catch(() => null);
        if (answer?.status === 200 && text)
          accepted.set(JSON.parse(text).id, body);
        await ask(paths[i % paths.length]);
        await ask(`/orders/${[...accepted.keys()].at(-1)}`);
        socket.terminate();
      }
    }));
    assert.ok(s.isRunning, `it died:\n${s.logs().slice(-2000)}`);
    process.kill(s.pid, 'SIGUSR1');
    await checkAccepted(s, accepted);
    assert.equal(await s.stop(), 0);
    checkFile(s);
  });

// An answer that got lost leaves an order that nobody knows of: only those that were answered are looked at.
async function checkAccepted(s, accepted) {
  for (const id of accepted.keys())
    await until(`order ${id} to complete`, async () => (await (await fetch(`${s.url}/orders/${id}`)).json()).order?.status === 'completed',
      { detail: async () => JSON.stringify([await (await fetch(`${s.url}/orders/${id}`)).json(), await (await fetch(`${s.url}/stats`)).json(), await (await fetch(`${s.url}/pipeline`)).json(), s.logs().slice(-1500)], null, 1) });
}

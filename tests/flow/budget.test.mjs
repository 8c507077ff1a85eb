// What it costs to have it running. Measured on the build that people run, not on a sanitized one.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { fastPipeline } from '../lib/pipeline.mjs';
import { finished, order, place } from '../lib/orders.mjs';
import { startStageline } from '../lib/stageline.mjs';

const RSS_MAX_KIB = 12 * 1024;
const START_MAX_MS = 200;
const ORDER_MAX_MS = 10_000;

function rss(pid) {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

test('idle_memory_is_at_most_12_mib', async () => {
  const s = await startStageline();
  const used = rss(s.pid);
  console.log(`idle: ${used} KiB`);
  assert.equal(await s.stop(), 0);
  assert.ok(used <= RSS_MAX_KIB, `${used} KiB`);
});

test('the_first_answer_comes_within_200_ms_of_the_start', async () => {
  const times = [];
  const s = await startStageline({ pipeline: fastPipeline() });
  for (let i = 0; i < 5; i++) {
    await s.stop();
    const start = performance.now();
    await s.restart();
    times.push(Math.round(performance.now() - start));
  }
  console.log(`start to first answer: ${times.join(', ')} ms`);
  assert.equal(await s.stop(), 0);
  assert.ok(times.sort((a, b) => a - b)[2] <= START_MAX_MS, `median of ${times}`);
});

test('an_order_of_two_items_completes_within_10_s_through_the_shipped_file', async () => {
  const s = await startStageline();
  const start = performance.now();
  const done = await finished(s, (await place(s, order({ 'PROD-001': 1, 'PROD-002': 2 }))).id, ORDER_MAX_MS);
  console.log(`order: ${Math.round(performance.now() - start)} ms`);
  assert.equal(done.order.status, 'completed');
  assert.equal(await s.stop(), 0);
});

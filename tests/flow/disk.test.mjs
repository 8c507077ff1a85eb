// A full disk: said to people in words, to the log once in a while; over by itself when there is room again.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { rmSync, writeFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { checkFile, checkOrders } from '../lib/oracle.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { finished, look, order, place, post } from '../lib/orders.mjs';
import { send } from '../lib/scripted.mjs';
import { runStageline, startStageline, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const MiB = 1024 * 1024;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// A disk of its own; unmounted when the test ends. Needs root.
function smallDisk(t, size) {
  const folder = temporaryFolder();
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]).status !== 0)
    return t.skip('no right to mount');
  t.after(() => execFileSync('umount', ['-l', folder]));
  return folder;
}

function fill(folder) {
  const ballast = join(folder, 'ballast');
  const { bavail, bsize } = statfsSync(folder);
  for (let n = bavail * bsize; n >= 0; n -= bsize) {
    try {
      writeFileSync(ballast, Buffer.alloc(n));
      return ballast;
    } catch { /* a little less */ }
  }
  return ballast;
}

for (const [name, latency] of [['while_orders_flow', '50ms'], ['with_nothing_under_way', '0ms']])
  test(`a_full_disk_refuses_orders_and_is_over_by_itself (${name})`, { timeout: 120_000 }, async (t) => {
    const folder = smallDisk(t, 8 * MiB);
    if (!folder)
      return;
    const s = await startStageline({ dataDir: join(folder, 'data'), pipeline: fastPipeline({ latency, stock: plenty }) });
    const accepted = new Map();
    const refusals = [];
    const tryOne = async () => {
      const body = order({ 'PROD-002': 1 });
      const answer = await post(s, body);
      if (answer.status === 200)
        accepted.set((await answer.json()).id, body);
      else
        refusals.push({ status: answer.status, type: answer.headers.get('content-type'),
          after: answer.headers.get('retry-after'),
          detail: (await answer.json()).detail });
      return answer.status;
    };
    for (let i = 0; i < 50; i++)
      await tryOne();
    assert.equal(accepted.size, 50);
    if (latency === '0ms')
      await until('nothing under way', async () => (await (await fetch(`${s.url}/stats`)).json()).in_flight === 0);
    const ballast = fill(folder);
    await until('the first refusal', async () => await tryOne() === 503, { deadline: 30_000, step: 0 });
    await until('the log to say so', () => /nothing is accepted: .*full/.test(s.logs()), { detail: s.logs });
    let health;
    await until('the exit status to tell monitors', async () => { // the disk is tried again now and then: right after a no
      await tryOne();
      health = await runStageline(['system', 'health', '--url', s.url]);
      return health.code === 1;
    });
    assert.match(health.out, /^status +unhealthy$[^]*^detail .*full/m);
    const linesBefore = s.logs().split('\n').length;
    const end = performance.now() + 6000;
    while (performance.now() < end) {
      await tryOne();
      await pause(20);
    }
    const lines = s.logs().split('\n').slice(linesBefore - 1).filter(Boolean);
    assert.ok(lines.length <= 2, `${lines.length} lines in 6 s:\n${lines.join('\n')}`);
    assert.equal((await fetch(`${s.url}/orders`)).status, 200);
    for (const r of refusals) {
      assert.equal(r.status, 503);
      assert.match(r.type, /problem\+json/);
      assert.match(r.detail, /full|space/i);
      assert.ok(r.after);
    }
    rmSync(ballast);
    await until('orders to be accepted again', async () => await tryOne() === 200, { deadline: 10_000 });
    await checkOrders(s, accepted, plenty);
    assert.equal(await s.stop(), 0, s.logs());
    checkFile(s);
  });

test('a_stop_on_a_full_disk_is_a_stop', { timeout: 120_000 }, async (t) => {
  const folder = smallDisk(t, 8 * MiB);
  if (!folder)
    return;
  const s = await startStageline({ dataDir: join(folder, 'data'), pipeline: fastPipeline({ latency: '100ms', stock: plenty }) });
  const accepted = new Map();
  let last = 200;
  const tryOne = async () => {
    const body = order({ 'PROD-002': 1 });
    const answer = await post(s, body);
    if (answer.status === 200)
      accepted.set((await answer.json()).id, body);
    last = answer.status;
  };
  await Promise.all(Array.from({ length: 100 }, tryOne));
  const ballast = fill(folder);
  while (last === 200)
    await tryOne();
  const ends = Array.from({ length: 50 }, () => tryOne().catch(() => {}));
  assert.equal(await s.stop(), 0, s.logs());
  await Promise.all(ends);
  rmSync(ballast);
  await s.restart();
  await checkOrders(s, accepted, plenty);
  assert.equal(await s.stop(), 0);
});

test('an_order_is_erased_as_a_whole_or_not_at_all_on_a_full_disk', { timeout: 120_000 }, async (t) => {
  const folder = smallDisk(t, 8 * MiB);
  if (!folder)
    return;
  const s = await startStageline({ dataDir: join(folder, 'data'), pipeline: fastPipeline({ stock: plenty }) });
  const ids = [];
  for (let i = 0; i < 20; i++)
    ids.push((await place(s, order({ 'PROD-002': 1 }, { note: 'x'.repeat(8000) }))).id);
  for (const id of ids)
    await finished(s, id);
  const ballast = fill(folder);
  const erase = (id) => send(s, `/orders/${id}/erase`, { reason: 'GDPR' });
  const isErased = async (id) => {
    const { order: o, events } = await look(s, id);
    assert.deepEqual([o.customer_email, o.note?.length], o.erased ? [undefined, undefined] : ['ann@example.com', 8000]);
    assert.equal(events.at(-1).event_type, o.erased ? 'order_erased' : 'order_completed');
    return o.erased === true;
  };
  for (const id of ids) { // what needs no more room than there is may succeed
    const { status, body } = await erase(id);
    assert.ok(status === 200 || (status === 503 && /full|space/i.test(body.detail)), `${status} ${JSON.stringify(body)}`);
    assert.equal(await isErased(id), status === 200);
  }
  rmSync(ballast);
  for (const id of ids) {
    await until('it to be erased', async () => (await erase(id)).status === 200, { deadline: 20_000 });
    assert.ok(await isErased(id));
  }
  assert.equal(await s.stop(), 0, s.logs());
  checkFile(s);
});

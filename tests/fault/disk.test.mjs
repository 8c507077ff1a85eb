// A disk that fails (4) or is full (5) under the running daemon.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { faultControl, result, runProgram, size } from '../lib/faults.mjs';
import { checkFile, checkOrders } from '../lib/oracle.mjs';
import { getJson, look, order, place, post } from '../lib/orders.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { seeded } from '../lib/random.mjs';
import { startStageline, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const pipeline = fastPipeline({ latency: '1ms..5ms', stock: plenty });

async function placeUntilRefused(s, accepted, max = 400) {
  for (let i = 0; i < max; i++) {
    const body = order({ 'PROD-002': 1 });
    const answer = await post(s, body);
    if (answer.status !== 200)
      return { status: answer.status, retryAfter: answer.headers.get('retry-after'),
        type: answer.headers.get('content-type'), problem: await answer.json() };
    accepted.set((await answer.json()).id, body);
  }
  return null;
}

function checkRefusal(refusal) {
  assert.equal(refusal.status, 503);
  assert.match(refusal.type, /^application\/problem\+json/);
  assert.match(refusal.retryAfter, /^\d+$/);
  assert.ok(refusal.problem.detail?.length > 10, JSON.stringify(refusal.problem));
}

test('4_a_failed_fsync_is_answered_503_and_ends_in_a_readable_journal_without_it', { timeout: 60_000 }, async () => {
  const faults = faultControl();
  const s = await startStageline({ pipeline, env: faults.env });
  const accepted = new Map();
  const known = await place(s);
  accepted.set(known.id, known);
  faults.failDisk('sync', 1);
  const refusal = await placeUntilRefused(s, accepted);
  checkRefusal(refusal);
  assert.equal(faults.get('diskHits'), 1);
  // Final: the disk is well again, and still nothing is accepted, while everything is readable.
  assert.equal((await post(s, order())).status, 503);
  assert.equal((await look(s, known.id)).order.id, known.id);
  assert.notEqual((await fetch(`${s.url}/readyz`)).status, 200);
  faults.healDisk();
  await s.stop();
  await s.restart();
  await checkOrders(s, accepted, plenty);
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

// Most are the engine's on a played disk: they are quick. Not each operation happens in each run, so that some
// are not met.
const failures = size(25, 400);
const played = 6 * failures;
test(`4_${failures + played}_failing_disk_operations_corrupt_nothing_and_lose_nothing_accepted`, { timeout: 60_000 + failures * 20_000 }, async () => {
  const random = seeded('disk');
  const faults = faultControl();
  const s = await startStageline({ pipeline, env: faults.env });
  const accepted = new Map();
  let hits = 0;
  let refusals = 0;

  for (let i = 0; i < failures; i++) {
    faults.failDisk(['read', 'write', 'sync', 'truncate'][i % 4], 1 + random.below(40), { sticky: random.below(2) === 1 });
    const refusal = await placeUntilRefused(s, accepted, 30);
    if (refusal) {
      checkRefusal(refusal);
      refusals++;
    }
    assert.ok(s.isRunning, s.logs().slice(-2000));
    hits += faults.get('diskHits') > 0;
    faults.healDisk();
    if (random.below(2))
      await s.kill();
    await s.restart();
  }
  await checkOrders(s, accepted, plenty);
  assert.equal(await s.stop(), 0);
  const events = checkFile(s);
  const [, orders, met] = /(\d+) orders.* (\d+) faults/.exec(await runProgram('simulate', random.seed >>> 0, played, '--disk'));
  result(4, 'disk operations fail', { faults: failures + played, 'of them met': hits + Number(met), refusals,
    'orders accepted': accepted.size + Number(orders), events, seed: random.seed });
});

// --- the full disk -----------------------------------------------------------------------------------

// A small file system of its own, or the reason why there is none.
function mountSmall(bytes) {
  const folder = join(temporaryFolder(), 'small');
  mkdirSync(folder);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=700`, 'tmpfs', folder], { stdio: 'pipe' });
  } catch (error) {
    return { reason: `needs root to mount a tmpfs: ${String(error.stderr).trim()}` };
  }
  return { folder, unmount: () => execFileSync('umount', ['-l', folder]) };
}

// The daemon may take the last blocks first: the disk is full either way.
function fill(folder, name, leave) {
  const { bavail, bsize } = statfsSync(folder);
  try {
    writeFileSync(join(folder, name), Buffer.alloc(Math.max(0, bavail * bsize - leave)));
  } catch (error) {
    if (error.code !== 'ENOSPC')
      throw error;
  }
}

const rounds = size(1, 20);
test(`5_a_full_disk_refuses_orders_and_resumes_by_itself_${rounds}_times`, { timeout: 60_000 + rounds * 30_000 }, async (t) => {
  const small = mountSmall('24m');
  if (!small.folder)
    return t.skip(small.reason);
  t.after(small.unmount);
  const accepted = new Map();
  const s = await startStageline({ pipeline, dataDir: join(small.folder, 'data') });
  let lines = 0;

  for (let i = 0; i < rounds; i++) {
    await placeUntilRefused(s, accepted, 50); // some are under way when the disk is full
    fill(small.folder, 'ballast', 256 * 1024);
    const refusal = await until('a refusal', () => placeUntilRefused(s, accepted, 50));
    checkRefusal(refusal);
    fill(small.folder, 'ballast-2', 0);
    const before = s.logs().length;
    for (let k = 0; k < 50; k++)
      assert.equal((await post(s, order())).status, 503);
    await getJson(s, '/stats');
    lines = Math.max(lines, s.logs().slice(before).split('\n').filter((line) => / error /.test(line)).length);
    rmSync(join(small.folder, 'ballast'));
    rmSync(join(small.folder, 'ballast-2'));
    await until('orders to be accepted again', async () => {
      const body = order({ 'PROD-003': 1 });
      const answer = await post(s, body);
      const { id } = await answer.json();
      if (answer.status === 200)
        accepted.set(id, body);
      return answer.status === 200;
    }, { deadline: 5_000 });
  }
  assert.ok(lines <= 1, `${lines} log lines while it was full`);
  const { orders } = await checkOrders(s, accepted, plenty);
  assert.equal(orders, accepted.size);
  assert.equal(await s.stop(), 0);
  result(5, 'full disk', { rounds, 'orders accepted': accepted.size, events: checkFile(s) });
});

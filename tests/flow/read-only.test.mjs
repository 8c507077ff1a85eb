// A journal that is only looked at: `stageline serve --read-only`.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { run, sql, trade } from '../lib/history.mjs';
import { journalFile } from '../lib/oracle.mjs';
import { allOrders, getJson, look, order, post, state } from '../lib/orders.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { send } from '../lib/scripted.mjs';
import { runStageline, startStageline, temporaryFolder } from '../lib/stageline.mjs';

let live, past, ids, file;

before(async () => {
  live = await startStageline({ pipeline: fastPipeline() });
  ids = await trade(live, 2);
  const until = sql(journalFile(live), 'SELECT max(seq) FROM events').trim();
  await trade(live, 2);
  file = join(temporaryFolder(), 'past.sqlite');
  const end = await run('replay', '--journal', journalFile(live), '--until', until, file);
  assert.equal(end.code, 0, end.err);
  past = await startStageline({ flags: ['--read-only', '--journal', file] });
});
after(async () => {
  await past.stop();
  await live.stop();
});

test('it_shows_orders_state_and_pipeline_as_they_were', async () => {
  assert.deepEqual((await allOrders(past)).map((o) => o.id).sort(), [ids[0], ids[1]].sort());
  assert.equal((await look(past, ids[1])).order.status, 'completed');
  assert.equal((await state(past, 'stock/'))['stock/PROD-001'], 98);
  assert.deepEqual((await getJson(past, '/pipeline')).stages.map((s) => s.name), ['validation', 'payment', 'inventory', 'shipping']);
  assert.equal((await getJson(past, '/stats')).completed, 2);
  assert.equal((await getJson(past, '/products')).products.length, 4);
  const health = await getJson(past, '/health');
  assert.deepEqual([health.status, health.read_only], ['healthy', true]);
  assert.equal((await fetch(`${past.url}/`)).status, 200);
});

test('whatever_would_change_something_is_refused_with_the_reason', async () => {
  const had = readFileSync(file);
  const refused = await post(past, order());
  assert.equal(refused.status, 403);
  assert.equal(refused.headers.get('content-type'), 'application/problem+json');
  assert.match((await refused.json()).detail, /read-only view of a journal: nothing can be changed/);
  for (const [path, body] of [[`/orders/${ids[0]}/cancel`, { reason: 'x' }], ['/pipeline/reload', {}],
    ['/state/adjust', { key: 'a', delta: 1, reason: 'x' }], ['/dead-letters/retry', { ids: [], reason: 'x' }]])
    assert.equal((await send(past, path, body)).status, 403, path);
  process.kill(past.pid, 'SIGHUP');
  assert.deepEqual(readFileSync(file), had);
});

test('it_stops_in_order_and_leaves_the_file_as_it_was', async () => {
  const had = readFileSync(file);
  await past.restart();
  assert.equal(await past.stop(), 0);
  assert.deepEqual(readFileSync(file), had);
  await past.restart();
});

test('wrong_usage_and_missing_files_are_said', async () => {
  const missing = await runStageline(['serve', '--read-only', '--journal', '/nowhere/x', '--listen', '127.0.0.1:0']);
  assert.deepEqual([missing.code, /No such file/.test(missing.err)], [1, true], missing.err);
  assert.equal((await runStageline(['serve', '--journal', file])).code, 2);
});

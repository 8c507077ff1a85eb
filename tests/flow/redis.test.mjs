// The Redis bus: whatever becomes of Redis, orders are accepted and go on, and the operator is told what is wrong.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { checkFile, checkOrders } from '../lib/oracle.mjs';
import { finished, getJson, order, place, post } from '../lib/orders.mjs';
import { fastPipeline, hostFile, plenty } from '../lib/pipeline.mjs';
import { freePort } from '../lib/port.mjs';
import { startProxy } from '../lib/proxy.mjs';
import { redisBus, startRedis } from '../lib/redis.mjs';
import { onHold, placeScripted, startScripted, types } from '../lib/scripted.mjs';
import { runStageline, startStageline, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

let redis;

before(async () => { redis = await startRedis(); });
after(async () => { await redis.kill(); });

const health = (s) => getJson(s, '/health');
const isHealthy = (s) => until('the bus to be healthy', async () => (await health(s)).status === 'healthy',
  { deadline: 30_000, detail: async () => JSON.stringify(await health(s)) });
const says = (s, pattern) => until(`/health to say ${pattern}`, async () => pattern.test((await health(s)).event_bus_trouble),
  { deadline: 30_000, detail: async () => JSON.stringify(await health(s)) });
const isDone = async (s, id) => assert.equal((await finished(s, id)).order.status, 'completed');

async function placeMany(s, n, accepted = new Map()) {
  for (let i = 0; i < n; i += 10)
    await Promise.all(Array.from({ length: 10 }, async (_, k) => {
      const body = order({ [k % 5 ? 'PROD-001' : 'PROD-004']: 1 });
      accepted.set((await place(s, body)).id, body);
    }));
  return accepted;
}

// What is left in Redis of one pipeline whose orders have all ended: nothing but names and empty streams.
async function leftOver(prefix) {
  const keys = (await redis.cli('--scan', '--pattern', `${prefix}:*`)).split('\n');
  const streams = keys.filter((key) => /:stage:|:verdicts$/.test(key));
  const lengths = await Promise.all(streams.map((key) => redis.cli('XLEN', key)));
  return lengths.reduce((sum, n) => sum + Number(n), 0);
}

test('orders_go_through_redis_and_leave_nothing_there', { timeout: 60_000 }, async () => {
  const bus = redisBus(redis);
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }), bus });
  await isHealthy(s);
  assert.equal((await health(s)).event_bus, 'connected');
  const accepted = await placeMany(s, 200);
  const { orders, completed } = await checkOrders(s, accepted, plenty);
  assert.deepEqual([orders, completed], [200, 160]);
  await until('acknowledged entries to be deleted', async () => await leftOver(bus.redis.prefix) === 0);
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

test('without_redis_orders_are_accepted_and_wait', { timeout: 60_000 }, async () => {
  const port = await freePort();
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }), bus: redisBus({ url: `redis://127.0.0.1:${port}` }) });
  await says(s, /Connection refused; orders are accepted, their tasks wait/);
  assert.equal((await health(s)).status, 'degraded');
  assert.equal((await health(s)).event_bus, 'disconnected');
  const accepted = await placeMany(s, 50);
  assert.equal((await getJson(s, '/stats')).in_flight, 50);
  const late = await startRedis({ port });
  await checkOrders(s, accepted, plenty);
  await isHealthy(s);
  assert.match(s.logs(), new RegExp(`bus=redis 127.0.0.1:${port} is connected again`));
  assert.equal(await s.stop(), 0);
  await late.kill();
});

test('without_redis_orders_are_accepted_up_to_the_limit_and_no_further', { timeout: 60_000 }, async () => {
  const port = await freePort();
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }), config: hostFile('limits: {open_orders: 20}\n'),
    bus: redisBus({ url: `redis://127.0.0.1:${port}` }) });
  const answers = await Promise.all(Array.from({ length: 40 }, () => post(s, order())));
  const accepted = new Map();
  for (const answer of answers) {
    const body = await answer.json();
    if (answer.status === 200) {
      accepted.set(body.id, body);
      continue;
    }
    assert.equal(answer.status, 503);
    assert.match(answer.headers.get('retry-after'), /^\d+$/);
    assert.match(body.detail, /20 orders are open, as many as may be; the order was not accepted/);
  }
  while (accepted.size < 20) { // what waited for its commit counted, too
    const body = order();
    accepted.set((await place(s, body)).id, body);
  }
  assert.equal(accepted.size, 20);
  assert.equal((await post(s, order())).status, 503);
  assert.equal((await health(s)).status, 'degraded');
  const late = await startRedis({ port });
  await until('all to end', async () => (await getJson(s, '/stats')).completed === 20, { deadline: 30_000 });
  const body = order();
  accepted.set((await place(s, body)).id, body);
  await checkOrders(s, accepted, plenty);
  assert.equal(await s.stop(), 0);
  await late.kill();
});

// At most `out` tasks of a stage are in Redis; the rest waits in the journal.
test('what_is_out_in_redis_is_bounded', { timeout: 60_000 }, async () => {
  const bus = redisBus(redis, { out: 16, worker: false });
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }), bus });
  await isHealthy(s);
  const accepted = await placeMany(s, 200);
  const stage = async () => (await getJson(s, '/pipeline')).stages[0].live;
  await until('all to wait', async () => (await stage()).waiting === accepted.size - 16);
  assert.equal((await stage()).out, 16);
  const [key] = (await redis.cli('--scan', '--pattern', `${bus.redis.prefix}:*:stage:validation:*`)).split('\n');
  await until('16 tasks in its stream', async () => await redis.cli('XLEN', key) === '16');
  assert.equal(await s.stop(), 0);
});

for (const [name, hurt] of [
  ['FLUSHALL', (own) => own.cli('FLUSHALL')],
  ['an_empty_restart', (own) => own.restart()],
  ['a_deleted_stream', async (own) => own.cli('DEL', ...(await own.cli('--scan', '--pattern', '*:stage:*')).split('\n'))],
]) {
  test(`after_${name}_what_is_outstanding_is_published_again`, { timeout: 60_000 }, async () => {
    const own = await startRedis();
    const s = await startStageline({ pipeline: fastPipeline({ stock: plenty, latency: '20ms..60ms' }), bus: redisBus(own) });
    const accepted = await placeMany(s, 100);
    await hurt(own);
    await placeMany(s, 50, accepted);
    await checkOrders(s, accepted, plenty);
    await isHealthy(s);
    assert.equal(await s.stop(), 0);
    checkFile(s);
    await own.kill();
  });
}

test('a_key_of_somebody_else_is_named_and_stops_no_other_stage', { timeout: 60_000 }, async () => {
  const bus = redisBus(redis);
  const { prefix } = bus.redis;
  const first = await startScripted({ one: {}, two: { irreversible: true } }, { bus });
  await isHealthy(first);
  const [key] = (await redis.cli('--scan', '--pattern', `${prefix}:*:stage:two:*`)).split('\n');
  await redis.cli('DEL', key);
  await redis.cli('SET', key, 'mine');
  const id = await placeScripted(first);
  await until('the first stage', async () => types(await getJson(first, `/orders/${id}`)).includes('one_done'));
  await says(first, /stage:two.*WRONGTYPE.*delete it, or set another prefix/);
  await redis.cli('DEL', key);
  await isDone(first, id);
  assert.equal(await first.stop(), 0);
});

test('what_was_in_a_stream_that_somebody_replaced_is_published_again', { timeout: 60_000 }, async () => {
  const bus = redisBus(redis, { worker: false });
  const s = await startScripted({ one: { irreversible: true } }, { bus });
  await isHealthy(s);
  const [key] = (await redis.cli('--scan', '--pattern', `${bus.redis.prefix}:*:stage:one:*`)).split('\n');
  const isOut = (n) => until(`${n} tasks in its stream`, async () => await redis.cli('XLEN', key) === String(n), { deadline: 30_000 });
  await placeScripted(s);
  await isOut(1);
  await redis.cli('EVAL', "redis.call('DEL', KEYS[1]); redis.call('SET', KEYS[1], 'mine')", 1, key);
  await placeScripted(s);
  await says(s, /WRONGTYPE/);
  await redis.cli('DEL', key);
  await isOut(2);
  assert.equal(await s.stop(), 0);
});

test('a_wrong_password_is_said_and_its_file_may_be_corrected', { timeout: 60_000 }, async () => {
  const own = await startRedis({ password: 'right' });
  const file = join(temporaryFolder(), 'password');
  writeFileSync(file, 'wrong\n');
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }), bus: redisBus(own, { password_file: file }) });
  await says(s, /WRONGPASS.*check password_file/);
  assert.doesNotMatch(s.logs(), /wrong\b(?!.*pass)|right/);
  const { id } = await place(s);
  writeFileSync(file, 'right\n');
  await isDone(s, id);
  await isHealthy(s);
  assert.equal(await s.stop(), 0);
  await own.kill();
});

// As after a fail-over that the connections outlive: the name stands for another one now.
test('who_became_a_replica_is_left_for_whom_the_address_names_now', { timeout: 60_000 }, async () => {
  const [first, second] = [await startRedis(), await startRedis()];
  const proxy = await startProxy(first.port);
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }), bus: redisBus(proxy, { url: `redis://127.0.0.1:${proxy.port}` }) });
  await isHealthy(s);
  await isDone(s, (await place(s)).id);
  proxy.turnTo(second.port);
  await first.cli('REPLICAOF', '127.0.0.1', second.port);
  const accepted = await placeMany(s, 20);
  await checkOrders(s, accepted, plenty);
  await isHealthy(s);
  assert.equal(await s.stop(), 0);
  await proxy.close();
  await first.kill();
  await second.kill();
});

test('verdicts_are_read_where_redis_counts_them_from_an_earlier_time', { timeout: 60_000 }, async () => {
  const own = await startRedis();
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }), bus: redisBus(own) });
  await isHealthy(s);
  const [run] = (await own.cli('--scan', '--pattern', '*:run')).split('\n');
  const verdicts = run.replace(/run$/, 'verdicts');
  await own.cli('XADD', verdicts, `${Date.now() + 3_600_000}-0`, 'v', 'x'); // by a Redis whose clock was ahead
  await until('it to be read', async () => await own.cli('XLEN', verdicts) === '0');
  await own.cli('EVAL', "redis.call('DEL', KEYS[1])", 1, verdicts); // the replica that took over never had it
  await own.cli('CLIENT', 'KILL', 'TYPE', 'normal').catch(() => {});
  await isDone(s, (await place(s)).id);
  assert.equal(await s.stop(), 0);
  await own.kill();
});

test('a_full_redis_is_said_and_goes_on_when_it_has_room', { timeout: 60_000 }, async () => {
  const own = await startRedis({ args: ['--maxmemory', '1gb', '--maxmemory-policy', 'noeviction'] });
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }), bus: redisBus(own) });
  await isHealthy(s);
  await own.cli('CONFIG', 'SET', 'maxmemory', '1');
  const accepted = await placeMany(s, 20);
  await says(s, /raise its maxmemory/);
  await own.cli('CONFIG', 'SET', 'maxmemory', '1gb');
  await checkOrders(s, accepted, plenty);
  assert.equal(await s.stop(), 0);
  await own.kill();
});

test('two_coordinators_of_one_prefix_are_told', { timeout: 60_000 }, async () => {
  const bus = redisBus(redis);
  const [a, b] = [await startStageline({ pipeline: fastPipeline(), bus }), await startStageline({ pipeline: fastPipeline(), bus })];
  await until('one of them to say it', async () => /another coordinator publishes under this prefix/.test(a.logs() + b.logs()),
    { deadline: 30_000 });
  assert.equal(await a.stop(), 0);
  assert.equal(await b.stop(), 0);
});

test('garbage_in_the_streams_harms_nobody', { timeout: 60_000 }, async () => {
  const bus = redisBus(redis);
  const s = await startScripted({ one: { irreversible: true } }, { bus });
  await isHealthy(s);
  const keys = (await redis.cli('--scan', '--pattern', `${bus.redis.prefix}:*`)).split('\n');
  const stream = keys.find((key) => /:stage:one:/.test(key));
  const verdicts = stream.replace(/stage:.*/, 'verdicts');
  // Bytes as Lua writes them; 1\0\0\0 is the version of tasks and verdicts.
  for (const value of ['', 'x', 'a'.repeat(1000), '\\1\\0\\0\\0', '\\1\\0\\0\\0\\255\\255\\255\\255', '\\0\\0\\0\\1\\0'])
    for (const [key, field] of [[stream, 't'], [verdicts, 'v']]) {
      await redis.cli('EVAL', `return redis.call('XADD', KEYS[1], '*', '${field}', '${value}')`, 1, key);
      await redis.cli('EVAL', `return redis.call('XADD', KEYS[1], '*', 'other', '${value}', 'more', 'x')`, 1, key);
    }
  for (let i = 0; i < 5; i++)
    await isDone(s, await placeScripted(s));
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

test('attempts_are_used_up_as_on_the_memory_bus', { timeout: 60_000 }, async () => {
  const s = await startScripted({ one: {}, two: {} }, { bus: redisBus(redis) });
  const whole = await onHold(s, await placeScripted(s, { two: 'r' }));
  assert.deepEqual(types(whole), ['order_created', 'one_done', 'stage_retrying', 'stage_retrying', 'stage_held']);
  assert.equal(await s.stop(), 0);
});

test('what_a_bus_cannot_be_is_said_at_the_start', async () => {
  for (const [url, pattern] of [['http://x', /--bus.*redis:\/\/HOST:PORT/], ['redis://h:99999', /--bus.*port/],
    ['redis://u:secret%zz@h', /--bus.*password/]]) {
    const { code, err } = await runStageline(['serve', '--bus', url]);
    assert.equal(code, 78, err);
    assert.match(err, pattern);
    assert.doesNotMatch(err, /secret/);
  }
});

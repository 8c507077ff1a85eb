// Whatever becomes of Redis and of workers, under load (9): nothing is lost, and nothing is twice in effect.
import assert from 'node:assert/strict';
import test from 'node:test';
import { faultControl, result, size } from '../lib/faults.mjs';
import { startLoad } from '../lib/load.mjs';
import { checkFile, checkOrders } from '../lib/oracle.mjs';
import { finished, getJson, place } from '../lib/orders.mjs';
import { openPartition, whyNoPartition } from '../lib/partition.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { startProxy } from '../lib/proxy.mjs';
import { seeded } from '../lib/random.mjs';
import { redisBus, startRedis } from '../lib/redis.mjs';
import { startStageline, startWorker } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const times = size(1, 100);
const STOP_MS = 10_000;
// Attempts that die count; here none shall be used up.
const patient = { retry: { attempts: 1000, backoff: '10ms', max: '100ms' }, timeout: '5s' };
const lease = '2s';

const event_bus = async (s) => (await getJson(s, '/health')).event_bus;
const connected = (s) => until('the bus to be connected', async () => await event_bus(s) === 'connected', { deadline: 60_000 });
const disconnected = (s) => until('the bus to be gone', async () => await event_bus(s) === 'disconnected', { deadline: 30_000, step: 5 });
const stageKeys = async (redis) => (await redis.cli('--scan', '--pattern', '*:stage:*')).split('\n');

// What is done to them, under load; it returns when it is undone.
const injections = {
  kill: async ({ s, redis }) => {
    await redis.kill();
    await disconnected(s);
    await redis.start();
  },
  'restart empty': ({ redis }) => redis.restart(),
  FLUSHALL: ({ redis }) => redis.cli('FLUSHALL'),
  'SIGSTOP 10 s': async ({ s, redis }) => {
    const end = performance.now() + STOP_MS;
    redis.pause();
    await disconnected(s);
    await until('10 s to pass', () => performance.now() > end);
    redis.resume();
  },
  'answers cut': async ({ s, proxy, random }) => {
    for (let i = 0; i < 5; i++) {
      proxy.cut(random.below(400));
      await disconnected(s);
      proxy.heal();
      await connected(s);
    }
  },
  'wrong type': async ({ s, redis, random }) => {
    const keys = (await stageKeys(redis)).sort();
    const key = keys[random.below(keys.length)];
    await redis.cli('EVAL', "redis.call('DEL', KEYS[1]); redis.call('SET', KEYS[1], 'mine')", 1, key);
    await until('it to be said', async () => /WRONGTYPE/.test((await getJson(s, '/health')).event_bus_trouble), { deadline: 30_000 });
    await redis.cli('DEL', key);
  },
  'workers killed': async ({ workers, again, random }) => {
    const i = random.below(workers.length);
    await workers[i].kill();
    workers[i] = again();
  },
  partition: async ({ net, s }) => {
    await net.cut();
    await until('the workers to be missed', async () => (await getJson(s, '/pipeline')).bus.workers.length === 0, { deadline: 30_000 });
    await net.heal();
  },
};

async function hurtUnderLoad(name, net) {
  const random = seeded(`Redis: ${name}`);
  const redis = await startRedis(net ? { bind: ['127.0.0.1', net.address], args: ['--protected-mode', 'no'] } : {});
  const proxy = await startProxy(redis.port);
  const near = redisBus({ url: `redis://127.0.0.1:${proxy.port}` }, { worker: false, lease, timeout: '1s' });
  const far = net ? { redis: { ...near.redis, url: `redis://${net.address}:${redis.port}` } } : near;
  const s = await startStageline({ pipeline: fastPipeline({ latency: '1ms..30ms', stock: plenty, defaults: patient }), bus: near });
  const again = () => startWorker(far, { wrapper: net?.wrapper });
  const workers = [again(), again()];
  await until('both workers', async () => (await getJson(s, '/pipeline')).bus.workers.filter((w) => w.stages.length === 4).length === 2,
    { deadline: 60_000, detail: () => workers.map((w) => w.logs()).join('\n') });
  const load = startLoad(s, random, { clients: 8 });
  for (let i = 0; i < times; i++) {
    const enough = load.accepted.size + 50 + random.below(100);
    await until('some load', () => load.accepted.size >= enough, { step: 1, deadline: 60_000 });
    await injections[name]({ s, redis, proxy, workers, again, net, random });
    await connected(s);
  }
  await load.stop();
  for (const w of workers)
    assert.ok(w.isRunning, w.logs());
  const { orders, completed, held } = await checkOrders(s, load.accepted, plenty, { deadline: 120_000 });
  for (const w of workers)
    assert.equal(await w.stop(), 0, w.logs());
  assert.equal(await s.stop(), 0);
  assert.equal(held, 0);
  assert.ok(completed > 0);
  result(9, name, { times, 'orders accepted': load.accepted.size, 'in the journal': orders, completed, events: checkFile(s),
    seed: random.seed });
  await proxy.close();
  await redis.kill();
}

for (const name of Object.keys(injections).filter((key) => key !== 'partition'))
  test(`9_redis_${name.replaceAll(' ', '_')}_${times}_times_loses_and_doubles_nothing`, { timeout: 180_000 + times * 60_000 },
    () => hurtUnderLoad(name, null));

test(`9_redis_partition_${times}_times_loses_and_doubles_nothing`, { timeout: 180_000 + times * 60_000 }, async (t) => {
  const why = await whyNoPartition();
  if (why)
    return t.skip(why);
  const net = await openPartition();
  try {
    await hurtUnderLoad('partition', net);
  } finally {
    await net.close();
  }
});

const DIAL_ALLOCATIONS = 30; // no dial makes more
const dials = size(DIAL_ALLOCATIONS, 1000);

// Each allocation of a dial in turn: hiredis by itself would end the process at some of them.
test(`9_${dials}_failing_allocations_while_the_bus_connects_kill_nothing`, { timeout: 60_000 + dials * 2000 }, async () => {
  const redis = await startRedis();
  const faults = faultControl();
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }), bus: redisBus(redis), env: faults.env });
  await connected(s);
  let hits = 0;
  for (let n = 1; n <= dials; n++) {
    faults.failMemory(1 + n % DIAL_ALLOCATIONS);
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'normal');
    await until('the allocation to fail, and the bus to be connected again', async () => !s.isRunning
      || (faults.get('memoryHits') > 0 && (await getJson(s, '/health').catch(() => ({}))).event_bus === 'connected'), { deadline: 30_000 });
    assert.ok(s.isRunning, `allocation ${1 + n % DIAL_ALLOCATIONS}: ${s.death}\n${s.logs().slice(-2000)}`);
    hits += faults.get('memoryHits');
  }
  faults.failMemory(0);
  const { id } = await place(s);
  assert.equal((await finished(s, id)).order.status, 'completed');
  assert.equal(await s.stop(), 0);
  result(9, 'allocations fail while the bus connects', { dials, 'of them met': hits });
  await redis.kill();
});

const OUT = 100;
const GROWTH_MAX = 256 * 1024; // bytes
const queued = size(3000, 1_000_000);

// Nobody takes tasks: what is accepted waits in the journal, and Redis has the same few of it.
test(`9_redis_takes_no_more_memory_with_${queued}_orders_queued`, { timeout: 120_000 + queued * 4 }, async () => {
  const redis = await startRedis();
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }), bus: redisBus(redis, { out: OUT, worker: false }) });
  await connected(s);
  const placeUpTo = async (n) => {
    for (let accepted = (await getJson(s, '/stats')).accepted; accepted < n; accepted += 50)
      await Promise.all(Array.from({ length: 50 }, () => place(s)));
  };
  const used = async () => Number(/^used_memory:(\d+)/m.exec(await redis.cli('INFO', 'memory'))[1]);
  await placeUpTo(10 * OUT);
  const [stream] = (await stageKeys(redis)).filter((key) => /:stage:validation:/.test(key));
  await until('as many tasks as may be', async () => await redis.cli('XLEN', stream) === String(OUT));
  const before = await used();
  await placeUpTo(queued);
  const grown = await used() - before;
  assert.equal(await redis.cli('XLEN', stream), String(OUT));
  assert.equal((await getJson(s, '/stats')).in_flight, queued);
  assert.ok(grown <= GROWTH_MAX, `Redis has ${grown} bytes more`);
  assert.equal(await s.stop(), 0);
  result(9, 'memory of Redis', { 'orders queued': queued, 'tasks out': OUT, 'bytes used': before, 'bytes more than at the first thousand': grown });
  await redis.kill();
});

// `stageline worker`: stages run elsewhere; who dies, is cut off or cannot run something costs an attempt at most.
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { metric, scrape } from '../lib/metrics.mjs';
import { checkFile, checkOrders, journalFile } from '../lib/oracle.mjs';
import { finished, getJson, look, order, place } from '../lib/orders.mjs';
import { openPartition, whyNoPartition } from '../lib/partition.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { redisBus, startRedis } from '../lib/redis.mjs';
import { ofType, onHold, placeScripted, plugins, scriptedPipeline, send, stageIs, startScripted, types, when } from '../lib/scripted.mjs';
import { build, root, runStageline, startStageline, startWorker, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';
import { bus, runs, serves, streamOf as anyStreamOf, workerOf } from '../lib/workers.mjs';

let redis;

before(async () => { redis = await startRedis(); });
after(async () => { await redis.kill(); });

const busOf = (more = {}) => redisBus(redis, { worker: false, lease: '1s', ...more });
const streamOf = (s, stage, at = redis) => anyStreamOf(s, stage, at);
const servedBy = async (s, stage) => (await getJson(s, '/pipeline')).stages.find(({ name }) => name === stage).live.served_by;
const scriptedOf = (stages, more) => startScripted(stages, { bus: busOf(more) });
const show = (s) => runStageline(['pipeline', 'show', '--url', s.url], { env: { COLUMNS: '200' } });

async function placeMany(s, n) {
  const accepted = new Map();
  for (let i = 0; i < n; i += 20)
    await Promise.all(Array.from({ length: 20 }, async (_, k) => {
      const body = order({ [k % 5 ? 'PROD-001' : 'PROD-004']: 1 });
      accepted.set((await place(s, body)).id, body);
    }));
  return accepted;
}

// config/redis.md as it stands there; only addresses are this machine's.
test('the_page_of_two_machines_works_as_it_stands', { timeout: 90_000 }, async () => {
  const page = readFileSync(join(root, 'config/redis.md'), 'utf8');
  const [settings, hostText, command] = [...page.matchAll(/(?:^ {4}.*\n|^\n(?= {4}))+/gm)]
    .map(([block]) => block.trim().split('\n').map((line) => line.replace(/^ {4}/, '')));
  const own = await startRedis({ args: settings.filter((line) => !line.startsWith('bind ')).flatMap((line) => `--${line}`.split(' ')) });
  const folder = temporaryFolder();
  const config = join(folder, 'stageline.yaml');
  const key = (name) => new RegExp(`${name}: (\\S+)`).exec(hostText.join('\n'))[1];
  writeFileSync(config, hostText.join('\n').replace(key('url'), own.url));
  writeFileSync(join(folder, key('password_file')), 'SECRET\n', { mode: 0o600 });

  const s = await startStageline({ config, pipeline: fastPipeline({ stock: plenty }) });
  const stages = /--stages (\S+)/.exec(command.join(' '))[1].split(',');
  const far = startWorker({ config }, { stages });
  const other = startWorker({ config }, { stages: ['validation', 'inventory'] });
  await serves(s, far, stages.length);
  await serves(s, other, 2);
  await checkOrders(s, await placeMany(s, 40), plenty);
  assert.deepEqual((await workerOf(s, far)).stages.map(({ name }) => name).sort(), stages.sort());
  assert.match((await show(s)).out, new RegExp(`${far.pid}`));
  assert.equal((await getJson(s, '/health')).status, 'healthy');
  assert.equal(await far.stop(), 0);
  assert.equal(await other.stop(), 0);
  assert.equal(await s.stop(), 0);
  await own.kill();
});

test('two_workers_share_the_stages_and_are_seen', { timeout: 60_000 }, async () => {
  const its = busOf();
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty, latency: '5ms' }), bus: its });
  const a = startWorker(its, { stages: ['validation', 'payment'] });
  const b = startWorker(its, { stages: ['payment', 'inventory', 'shipping'] });
  await serves(s, a, 2);
  await serves(s, b, 3);
  const { generation } = await getJson(s, '/pipeline');
  const seen = await workerOf(s, a);
  assert.deepEqual(seen.stages.map(({ name }) => name).sort(), ['payment', 'validation']);
  assert.ok(seen.stages.every((stage) => stage.generation === generation));
  assert.ok(seen.host && seen.cannot.length === 0);
  assert.match((await runStageline(['version'])).out, new RegExp(seen.version.replaceAll('.', '\\.')));
  await until('both to be counted', async () => await servedBy(s, 'payment') === 2);
  assert.equal(await servedBy(s, 'validation'), 1);
  assert.equal(metric((await scrape(s)).text, 'stageline_stage_workers', { stage: 'payment' }), 2);
  const { out } = await show(s);
  assert.match(out, new RegExp(`${a.pid}.*validation|${a.pid}.*payment`));
  const { orders, completed } = await checkOrders(s, await placeMany(s, 200), plenty);
  assert.deepEqual([orders, completed], [200, 160]);
  assert.equal(await a.stop(), 0);
  assert.equal(await b.stop(), 0);
  await until('both to be gone', async () => (await bus(s)).workers.length === 0);
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

const done = ['order_created', 'one_done', 'order_completed'];

// Puts back a copy of the journal of a coordinator that has ended: what was placed since then is gone, and its numbers are
// given again to others.
function restore(s, copy) {
  copyFileSync(copy, journalFile(s));
  for (const name of ['journal.sqlite-wal', 'journal.sqlite-shm', 'attempts'])
    rmSync(join(s.dataDir, name), { force: true });
}

async function backup(s) {
  const copy = join(temporaryFolder(), 'copy.sqlite');
  assert.equal((await runStageline(['backup', copy, '--journal', journalFile(s)])).code, 0);
  return copy;
}

test('a_task_left_in_redis_by_a_journal_that_was_restored_is_not_taken_for_that_of_the_order_with_its_number', { timeout: 60_000 }, async () => {
  const s = await scriptedOf({ one: {} });
  const stand = (n) => until(`${n} tasks in the stream`, async () => await redis.cli('XLEN', await streamOf(s, 'one')) === String(n));
  const copy = await backup(s);
  const gone = await placeScripted(s, { one: 'f' });
  await stand(1);
  await s.kill();
  restore(s, copy);
  await s.restart();
  const id = await placeScripted(s);
  await stand(2);
  const w = startWorker(s.bus, { plugins });
  assert.deepEqual(types(await finished(s, id)), done);
  assert.equal((await fetch(`${s.url}/orders/${gone}`)).status, 404);
  assert.equal(await w.stop(), 0);
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

test('a_worker_does_not_take_the_task_of_a_restored_journal_for_what_it_runs_since_before', { timeout: 60_000 }, async () => {
  const s = await scriptedOf({ one: {} });
  const w = startWorker(s.bus, { plugins });
  await serves(s, w, 1);
  const copy = await backup(s);
  await placeScripted(s, { one: '-' });
  await runs(s, w, 1);
  await s.kill();
  restore(s, copy);
  await s.restart();
  assert.deepEqual(types(await finished(s, await placeScripted(s))), done);
  assert.equal(await w.stop(), 0);
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

test('a_stage_without_a_worker_is_shouted_about', { timeout: 60_000 }, async () => {
  const its = busOf();
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }), bus: its });
  const a = startWorker(its, { stages: ['validation', 'payment', 'inventory'] });
  await serves(s, a, 3);
  const { id } = await place(s);
  await until('the log to say it', async () => /stage=shipping .*has no worker: 1 of its tasks/.test(s.logs()), { deadline: 30_000 });
  assert.equal(await servedBy(s, 'shipping'), 0);
  assert.equal(metric((await scrape(s)).text, 'stageline_stage_workers', { stage: 'shipping' }), 0);
  const { out, err } = await show(s);
  assert.match(out, /shipping +no worker/);
  assert.match(err, /No worker takes tasks of stage shipping/);
  const b = startWorker(its, { stages: ['shipping', 'nosuch'] });
  assert.equal((await finished(s, id)).order.status, 'completed');
  await until('the log to say that it is over', async () => /stage=shipping .*has a worker again/.test(s.logs()));
  assert.match(b.logs(), /has no stage 'nosuch', which --stages names/);
  assert.equal(await a.stop(), 0);
  assert.equal(await b.stop(), 0);
  assert.equal(await s.stop(), 0);
});

test('what_a_worker_cannot_run_is_said_and_tried_again', { timeout: 90_000 }, async () => {
  const its = busOf();
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty }), bus: its });
  const folder = temporaryFolder();
  const w = startWorker(its, { plugins: folder });
  await serves(s, w, 0);
  const why = async () => (await workerOf(s, w)).cannot.map((c) => `${c.stage}: ${c.why}`).join('\n');
  await until('it to say what it cannot run', async () => /payment: .*no plugin 'payment' in /.test(await why()));
  assert.match((await show(s)).err, /Worker .* cannot, in generation .*no plugin 'payment'/);
  const { id } = await place(s);
  for (const name of ['validation', 'payment', 'inventory', 'shipping'])
    copyFileSync(join(build, 'plugins', `${name}.so`), join(folder, `${name}.so`));
  assert.equal((await finished(s, id)).order.status, 'completed');
  await until('nothing to be in the way any more', async () => await why() === '');
  assert.equal(await w.stop(), 0);
  assert.equal(await s.stop(), 0);
});

test('a_worker_takes_up_new_generations_and_leaves_old_ones', { timeout: 60_000 }, async () => {
  const s = await scriptedOf({ one: {}, two: { irreversible: true } }, {});
  const w = startWorker(s.bus, { plugins });
  await serves(s, w, 2);
  const first = await placeScripted(s, { one: 'w' });
  await when(s, first, 'waiting', ({ order: o }) => o.stages[0].status === 'waiting');
  copyFileSync(scriptedPipeline({ zero: {}, one: {}, two: { irreversible: true } }), s.pipeline);
  assert.equal((await send(s, '/pipeline/reload', { reason: 'a test' })).status, 200);
  await serves(s, w, 5);
  const second = await placeScripted(s);
  assert.deepEqual(types(await finished(s, second)), ['order_created', 'zero_done', 'one_done', 'two_done', 'order_completed']);
  await send(s, `/orders/${first}/signals/one`, {});
  assert.deepEqual(types(await finished(s, first)).slice(-3), ['one_done', 'two_done', 'order_completed']);
  await serves(s, w, 3);
  assert.equal(await w.stop(), 0);
  assert.equal(await s.stop(), 0);
});

test('a_generation_of_before_a_restart_that_no_order_is_on_is_over', { timeout: 60_000 }, async () => {
  const s = await scriptedOf({ old: {}, one: { irreversible: true } });
  const w = startWorker(s.bus, { plugins });
  await serves(s, w, 2);
  const { generation } = await getJson(s, '/pipeline');
  assert.equal(await s.stop(), 0);
  copyFileSync(scriptedPipeline({ one: {}, two: {}, three: { irreversible: true } }), s.pipeline);
  await s.restart();
  await serves(s, w, 3);
  const keys = (await redis.cli('--scan', '--pattern', `${s.bus.redis.prefix}:*`)).split('\n');
  assert.deepEqual(keys.filter((key) => key.includes(generation)), []);
  assert.equal(await w.stop(), 0);
  assert.equal(await s.stop(), 0);
});

// What a worker holds, whatever is done to Redis.
async function isNotTakenBack(own, lease, hurt) {
  const s = await startScripted({ one: {} }, { bus: redisBus(own, { worker: false, lease }), defaults: { timeout: '60s' } });
  const w = startWorker(s.bus, { plugins });
  await serves(s, w, 1);
  const id = await placeScripted(s, { one: '-' });
  await runs(s, w, 1);
  const idle = startWorker(s.bus, { plugins });
  await serves(s, idle, 1);
  const forgotten = async () => Number(/cmdstat_xgroup\|delconsumer:calls=(\d+)/.exec(await own.cli('INFO', 'commandstats'))?.[1] ?? 0);
  const looks = async () => Number(/cmdstat_xpending:calls=(\d+)/.exec(await own.cli('INFO', 'commandstats'))?.[1]);
  await until('the coordinator to look after leases', async () => await looks() > 0);
  const forgottenBefore = await forgotten();
  await hurt(await streamOf(s, 'one', own));
  const before = await looks();
  await until('it to look again', async () => await looks() >= before + 2);
  assert.equal(await forgotten(), forgottenBefore, 'who lives is not forgotten');
  assert.deepEqual(types(await look(s, id)), ['order_created']);
  assert.equal(await w.stop(), 0);
  assert.equal(await idle.stop(), 0);
  assert.equal(await s.stop(), 0);
  await own.kill();
  return w.logs() + s.logs();
}

test('what_could_not_be_renewed_while_redis_refused_to_write_is_not_taken_back', { timeout: 60_000 }, async () => {
  const own = await startRedis();
  const logs = await isNotTakenBack(own, '3s', async (stream) => {
    await own.cli('CONFIG', 'SET', 'min-replicas-to-write', '1');
    await until('its lease to be over', async () => await own.cli('XPENDING', stream, 'workers', 'IDLE', '3000', '-', '+', '1') !== '');
    await own.cli('CONFIG', 'SET', 'min-replicas-to-write', '0');
  });
  assert.match(logs, /NOREPLICAS.*min-replicas-to-write/);
});

// Redis counts by it how long an entry was left alone.
test('nothing_is_taken_back_because_the_clock_of_redis_was_put_forward', { timeout: 60_000 }, async () => {
  const ahead = join(temporaryFolder(), 'seconds');
  writeFileSync(ahead, '');
  const own = await startRedis({ env: { LD_PRELOAD: join(build, 'tests/lib/redis_clock.so'), REDIS_CLOCK: ahead } });
  await isNotTakenBack(own, '6s', () => truncateSync(ahead, 3600));
});

test('a_worker_killed_in_the_middle_of_a_batch_costs_an_attempt_each', { timeout: 60_000 }, async () => {
  const s = await scriptedOf({ one: { workers: 8 } });
  const its = s.bus;
  const victim = startWorker(its, { plugins });
  await serves(s, victim, 1);
  const ids = [];
  for (let i = 0; i < 6; i++)
    ids.push(await placeScripted(s, { one: '-d' }));
  await runs(s, victim, 6);
  const dead = victim.pid;
  await victim.kill();
  const other = startWorker(its, { plugins });
  for (const id of ids) {
    const whole = await finished(s, id);
    assert.deepEqual(types(whole), ['order_created', 'stage_retrying', 'one_done', 'order_completed']);
    assert.match(ofType(whole, 'stage_retrying')[0].message, /worker .* died or was cut off during the attempt/);
    assert.equal(ofType(whole, 'one_done')[0].attempt, 2);
  }
  const stream = await streamOf(s, 'one');
  await until('Redis to forget the dead one', async () => !new RegExp(`-${dead}-`).test(await redis.cli('XINFO', 'CONSUMERS', stream, 'workers')));
  assert.equal(await other.stop(), 0);
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

// Another worker takes the place of each that dies.
function nursedWorker(its) {
  const nursed = { worker: startWorker(its, { plugins }), deaths: 0, isOver: false,
    stop() {
      nursed.isOver = true;
      return nursed.worker.stop();
    } };
  (async () => {
    for (;;) {
      await nursed.worker.ended;
      if (nursed.isOver)
        break;
      nursed.deaths++;
      nursed.worker = startWorker(its, { plugins });
    }
  })();
  return nursed;
}

test('an_order_that_kills_its_workers_is_held_and_takes_no_other_with_it', { timeout: 90_000 }, async (t) => {
  const s = await scriptedOf({ one: { workers: 1 } });
  const nursed = nursedWorker(s.bus);
  t.after(() => { nursed.isOver = true; });
  await serves(s, nursed.worker, 1);
  // Calls are short then, and more than one is taken at once.
  for (let i = 0; i < 5; i++)
    await finished(s, await placeScripted(s));
  const many = (n) => Promise.all(Array.from({ length: n }, () => placeScripted(s)));
  const before = many(20);
  const poison = await placeScripted(s, { one: 'c' });
  const others = [...await before, ...await many(20)];
  const whole = await onHold(s, poison);
  assert.deepEqual(types(whole), ['order_created', 'stage_retrying', 'stage_retrying', 'stage_held']);
  for (const id of others) {
    const other = await finished(s, id);
    assert.equal(other.order.status, 'completed');
    assert.ok(ofType(other, 'stage_retrying').length <= 1, JSON.stringify(other.events));
  }
  assert.equal(nursed.deaths, 3);
  assert.equal(await nursed.stop(), 0);
  assert.equal(await s.stop(), 0);
});

test('a_stage_of_which_no_process_can_be_started_leaves_its_tasks_and_the_other_stages_alone', { timeout: 60_000 }, async () => {
  const s = await scriptedOf({ fine: { workers: 1 },
    bad: { plugin: 'bad_start', after: [], isolation: 'process', undo_event: undefined, irreversible: true } });
  const w = startWorker(s.bus, { plugins });
  await until('the stage to be stalled', async () => (await workerOf(s, w))?.stages.some(({ name, stalled }) => name === 'bad' && stalled),
    { detail: w.logs });
  const ids = await Promise.all(Array.from({ length: 20 }, () => placeScripted(s, { fine: 'rrd' })));
  for (const id of ids) {
    const { order: o } = await stageIs(s, id, 'fine', 'done');
    assert.deepEqual(o.stages.map(({ status, attempt }) => [status, attempt]), [['done', 3], ['queued', 1]]);
  }
  await until('it not to be counted', async () => await servedBy(s, 'bad') === 0);
  assert.match((await show(s)).out, /bad +[0-9a-f]+ +stalled +0\n/);
  assert.equal(await w.stop(), 0);
  assert.equal(await s.stop(), 0);
});

test('a_stopped_worker_finishes_what_runs_and_gives_the_rest_back', { timeout: 60_000 }, async () => {
  const its = busOf();
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty, latency: '100ms..500ms', defaults: { retry: { attempts: 1 } } }), bus: its });
  const first = startWorker(its);
  await serves(s, first, 4);
  const placing = placeMany(s, 200);
  await until('some to run', async () => (await workerOf(s, first))?.stages.some(({ running }) => running > 0));
  assert.equal(await first.stop(), 0);
  const accepted = await placing;
  const second = startWorker(its);
  await checkOrders(s, accepted, plenty); // one attempt each: had one been lost, its order would be on hold
  assert.equal(await second.stop(), 0);
  assert.equal(await s.stop(), 0);
});

test('a_worker_that_stood_still_is_fenced', { timeout: 60_000 }, async () => {
  const s = await scriptedOf({ one: { workers: 4 } });
  const its = s.bus;
  const slow = startWorker(its, { plugins });
  await serves(s, slow, 1);
  const id = await placeScripted(s, { one: 'l' });
  const hanging = await placeScripted(s, { one: '-d' });
  await finished(s, id);
  await runs(s, slow, 1);
  slow.signal('SIGSTOP');
  const other = startWorker(its, { plugins });
  const whole = await finished(s, hanging);
  assert.equal(ofType(whole, 'one_done')[0].attempt, 2);
  slow.signal('SIGCONT');
  await serves(s, slow, 1);
  assert.equal((await finished(s, await placeScripted(s))).order.status, 'completed');
  assert.deepEqual((await look(s, hanging)).events, whole.events);
  assert.equal(await other.stop(), 0);
  assert.equal(await slow.stop(), 0);
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

test('a_killed_coordinator_finds_what_is_out_and_counts_nothing', { timeout: 60_000 }, async () => {
  const its = busOf();
  const s = await startStageline({ pipeline: fastPipeline({ stock: plenty, latency: '10ms..60ms', defaults: { retry: { attempts: 1 } } }), bus: its });
  const w = startWorker(its);
  await serves(s, w, 4);
  const accepted = await placeMany(s, 100);
  await s.kill();
  await s.restart();
  await checkOrders(s, accepted, plenty);
  assert.equal(await w.stop(), 0);
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

test('a_partition_between_worker_and_redis_heals', { timeout: 90_000 }, async (t) => {
  const why = await whyNoPartition();
  if (why)
    return t.skip(why);
  const net = await openPartition();
  const own = await startRedis({ bind: ['127.0.0.1', net.address], args: ['--protected-mode', 'no'] });
  const near = redisBus(own, { worker: false, lease: '1s' });
  const far = { redis: { ...near.redis, url: `redis://${net.address}:${own.port}` } };
  try {
    const s = await startScripted({ one: {} }, { bus: near });
    const w = startWorker(far, { plugins, wrapper: net.wrapper });
    await until('the worker to be seen', async () => (await bus(s)).workers.length === 1, { detail: () => w.logs() });
    const running = await placeScripted(s, { one: '-d' });
    await until('it to run', async () => (await bus(s)).workers[0]?.stages[0]?.running === 1);
    await net.cut();
    const whole = await when(s, running, 'taken back', (o) => ofType(o, 'stage_retrying').length === 1);
    assert.match(ofType(whole, 'stage_retrying')[0].message, /died or was cut off/);
    await until('the stage to be without a worker', async () => await servedBy(s, 'one') === 0);
    await net.heal();
    assert.equal((await finished(s, running)).order.status, 'completed');
    await until('the worker to be back', async () => await servedBy(s, 'one') === 1);
    assert.equal(await w.stop(), 0);
    assert.equal(await s.stop(), 0);
  } finally {
    await net.close();
    await own.kill();
  }
});

test('a_worker_that_cannot_know_what_to_do_says_so', { timeout: 30_000 }, async () => {
  const { code, err } = await runStageline(['worker']);
  assert.equal(code, 2);
  assert.match(err, /a worker needs to know where Redis is/);
  const bad = await runStageline(['worker', '--bus', 'redis://h:x']);
  assert.equal(bad.code, 78);
  assert.match(bad.err, /--bus.*port/);
});

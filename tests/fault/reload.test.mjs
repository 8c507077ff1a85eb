// Hot reload under load (17): pipelines, invalid files and replaced plugins in turn. Nothing accepted is lost, no
// connection is cut, an invalid file leaves the old one running, and what is over gives its memory back.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import test from 'node:test';
import { ENOSPC, faultControl, result, size } from '../lib/faults.mjs';
import { checkFile, checkOrders } from '../lib/oracle.mjs';
import { getJson, order } from '../lib/orders.mjs';
import { fastPipelineText, pipelineFile, plenty } from '../lib/pipeline.mjs';
import { seeded } from '../lib/random.mjs';
import { send } from '../lib/scripted.mjs';
import { build, startStageline, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const reloads = size(20, 1000);
const CLIENTS = 12;
const UNDER_WAY_MAX = 400; // orders; clients then pause
const baskets = [{ 'PROD-001': 1 }, { 'PROD-002': 3, 'PROD-003': 1 }, { 'PROD-004': 1 }];

// One POST on a connection that is kept; rejects when it is cut.
function post(s, agent, path, body) {
  return new Promise((done, failed) => {
    const req = request(`${s.url}${path}`, { method: 'POST', agent, headers: { 'Content-Type': 'application/json' } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk) => { text += chunk; })
        .on('end', () => done({ status: answer.statusCode, body: JSON.parse(text) })).on('error', failed);
    });
    req.on('error', failed).end(JSON.stringify(body));
  });
}

// Clients that place orders, each on one connection for as long as it runs: a cut one is an error.
function startClients(s, random) {
  const accepted = new Map();
  const sockets = new Set();
  let over = false;
  let isFull = false;
  const all = Array.from({ length: CLIENTS }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    agent.on('free', (socket) => sockets.add(socket));
    while (!over) {
      if (isFull)
        await until('room', () => !isFull || over, { deadline: 60_000, step: 5 });
      const body = order(random.pick(baskets));
      const answer = await post(s, agent, '/orders', body);
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      accepted.set(answer.body.id, body);
    }
    agent.destroy();
  });
  const done = Promise.all(all);
  done.catch(() => {}); // whoever awaits it hears of it
  return {
    accepted, sockets, done,
    look: async () => { isFull = (await getJson(s, '/stats')).in_flight > UNDER_WAY_MAX; },
    stop() {
      over = true;
      return done;
    },
  };
}

function plugins() {
  const folder = join(temporaryFolder(), 'stages');
  const shipped = (name) => join(build, 'plugins', `${name}.so`);
  mkdirSync(folder, { mode: 0o755 });
  for (const name of ['validation', 'payment', 'inventory', 'shipping'])
    copyFileSync(shipped(name), join(folder, `${name}.so`));
  // Another build: the same code, and bytes behind it that nobody reads.
  const bytes = (name, n) => Buffer.concat([readFileSync(shipped(name)), Buffer.from(n ? `build ${n}` : '')]);
  return {
    folder,
    replace(name, n, byRename) {
      const path = join(folder, `${name}.so`);
      writeFileSync(byRename ? `${path}.new` : path, bytes(name, n));
      if (byRename)
        renameSync(`${path}.new`, path);
    },
    cut: (name) => writeFileSync(join(folder, `${name}.so`), readFileSync(shipped(name)).subarray(0, 9000)),
  };
}

const residentKb = (s) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${s.pid}/status`, 'utf8'))[1]);
const threads = (s) => Number(/Threads:\s+(\d+)/.exec(readFileSync(`/proc/${s.pid}/status`, 'utf8'))[1]);

const isOneLeft = (s) => until('earlier generations to be over', async () => (
  (await getJson(s, '/pipeline/generations')).generations.length === 1), { deadline: 60_000 });

test(`17_${reloads}_reloads_under_load_with_invalid_files_and_replaced_plugins_lose_nothing`, { timeout: 120_000 + reloads * 5_000 }, async () => {
  const random = seeded('reload');
  const files = plugins();
  const variant = (n) => fastPipelineText({ latency: `${1 + n}ms..${20 + n}ms`, stock: plenty,
    defaults: { retry: { attempts: 1000, backoff: '10ms', max: '50ms' } }, stages: { payment: { workers: 2 + n, rate: '100/s', config: { failure_rate: 0.2 } } } });
  const file = pipelineFile(variant(0));
  const s = await startStageline({ pipeline: file, plugins: files.folder });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const load = startClients(s, random);
  const count = { taken: 0, unchanged: 0, refused: 0, moved: 0, 'not moved': 0 };
  const kinds = []; // each once in four, or a run might happen to have none that is wrong
  let isCut = false;

  // Orders that are under way are moved to the current generation, where they stand still for a moment.
  async function move() {
    const { generations } = await getJson(s, '/pipeline/generations');
    for (const g of generations.filter((one) => !one.current)) {
      const { status, body } = await post(s, agent, '/pipeline/migrate', { from: g.generation, reason: 'test' });
      assert.ok(status === 200 || status === 404, JSON.stringify(body));
      count.moved += body.done ?? 0;
      count['not moved'] += body.refused ?? 0;
    }
  }

  async function once() {
    if (kinds.length === 0)
      kinds.push(0, 1, 2, 3);
    const [kind] = kinds.splice(random.below(kinds.length), 1);
    const wrong = kind === 3;
    const { generation } = await getJson(s, '/pipeline');
    if (isCut || kind === 1)
      files.replace('payment', random.below(4), random.below(2) === 1);
    isCut = wrong && random.below(2) === 1;
    if (isCut)
      files.cut('payment');
    else
      writeFileSync(file, wrong ? 'pipeline: orders\nstages: [{name: payment, plugin: paymnt}]\n' : variant(random.below(4)));
    const { status, body } = await post(s, agent, '/pipeline/reload', {});
    assert.equal(status, wrong ? 422 : 200, JSON.stringify(body));
    if (wrong)
      assert.equal((await getJson(s, '/pipeline')).generation, generation);
    count[wrong ? 'refused' : body.unchanged ? 'unchanged' : 'taken']++;
    if (random.below(2))
      await move();
    await load.look();
    const enough = load.accepted.size + random.below(20);
    const latest = performance.now() + random.below(100);
    await until('the instant', () => load.accepted.size >= enough || performance.now() > latest, { step: 1 });
  }

  for (let i = 0; i < reloads; i++)
    await Promise.race([once(), load.done]);
  await load.stop();
  assert.equal(load.sockets.size, CLIENTS, 'no connection was cut and made anew');
  agent.destroy();
  assert.ok(load.accepted.size > reloads && count.taken && count.refused && count.moved, JSON.stringify(count));
  const { orders, completed } = await checkOrders(s, load.accepted, plenty, { deadline: 120_000 });
  await isOneLeft(s);
  assert.equal(await s.stop(), 0);
  result(17, 'reload under load', { reloads, ...count, 'orders accepted': load.accepted.size, 'in the journal': orders, completed,
    events: checkFile(s), seed: random.seed });
});

test('17_a_reload_that_cannot_be_journaled_changes_nothing', { timeout: 60_000 }, async () => {
  const faults = faultControl();
  // A stage starts its further threads when there is work for them: with one each, all are there from the start.
  const variant = (n) => fastPipelineText({ stock: plenty, defaults: { workers: 1 }, stages: { payment: { workers: 1 + n } } });
  const file = pipelineFile(variant(0));
  const s = await startStageline({ pipeline: file, env: faults.env });
  const { generation } = await getJson(s, '/pipeline');
  const before = threads(s);
  for (let i = 0; i < 5; i++) {
    writeFileSync(file, variant(1 + i));
    faults.failDisk('write', 1, { sticky: true, errno: ENOSPC });
    assert.equal((await send(s, '/pipeline/reload', {})).status, 503);
    const { generation: now, last_reload: last } = await getJson(s, '/pipeline');
    assert.deepEqual([now, last.ok], [generation, false]);
    assert.match(last.errors[0].detail, /full/);
    faults.healDisk();
    await until('orders to be accepted', async () => (await send(s, '/orders', order())).status === 200);
  }
  await until('what was made for it to be gone', () => threads(s) <= before);
  assert.equal((await send(s, '/pipeline/reload', {})).status, 200);
  await until('the orders to end', async () => (await getJson(s, '/stats')).in_flight === 0);
  assert.equal(await s.stop(), 0);
  checkFile(s);
});

// Generations come and go: four pipelines with four builds in turn, each with orders of its own.
test(`17_memory_and_threads_are_flat_over_${reloads * 5}_generations`, { timeout: 120_000 + reloads * 5_000 }, async () => {
  const files = plugins();
  const variant = (n) => fastPipelineText({ stock: plenty, stages: { payment: { workers: 2 + n } } });
  const file = pipelineFile(variant(0));
  const s = await startStageline({ pipeline: file, plugins: files.folder, env: { MALLOC_ARENA_MAX: '1' } });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });

  async function some(n) {
    for (let i = 0; i < n; i++) {
      writeFileSync(file, variant(i % 4));
      files.replace('payment', (i >> 2) % 4, i % 2 === 1);
      assert.equal((await post(s, agent, '/pipeline/reload', {})).status, 200);
      assert.equal((await post(s, agent, '/orders', order())).status, 200);
    }
    await until('the orders to end', async () => (await getJson(s, '/stats')).in_flight === 0);
    await isOneLeft(s);
  }

  await some(reloads);
  const before = { kb: residentKb(s), threads: threads(s) };
  await some(reloads * 5);
  const grown = residentKb(s) - before.kb;
  assert.ok(grown < 2048, `${grown} KiB more after ${reloads * 5} generations than ${before.kb}`);
  await until('the threads to be as many as before', () => threads(s) <= before.threads + 8);
  agent.destroy();
  assert.equal(await s.stop(), 0);
  result(17, 'memory over generations', { generations: reloads * 5, 'KiB before': before.kb, 'KiB more after': grown, events: checkFile(s) });
});

// Plugins that do their worst, with `isolation: process` (7): it is theirs alone.
import assert from 'node:assert/strict';
import test from 'node:test';
import { result, size } from '../lib/faults.mjs';
import { checkFile } from '../lib/oracle.mjs';
import { allFinished, allOrders, finished, getJson, look, order, place } from '../lib/orders.mjs';
import { pipelineFile } from '../lib/pipeline.mjs';
import { slowness } from '../lib/pace.mjs';
import { ofType, onHold, plugins, timeOf } from '../lib/scripted.mjs';
import { startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const rounds = size(3, 200);
const ATTEMPTS = 3;
const BACK_MS = 500;
const NEIGHBOURS = 20;

// What is done, and what the dead letter says of it. A hang lasts as long as the stage's timeout.
const kinds = {
  segv: /its process crashed: SIGSEGV at address 0x8 in fall_into_segv\+/,
  abort: /its process crashed: SIGABRT in .*give_up_by_abort\+/,
  overflow: /its process crashed: SIGSEGV in sink_into_recursion\+.*times/,
  exit: /its process crashed: it called exit\(\) in .*leave_by_exit\+/,
  leave: /its process crashed: it ended with status 4/,
  loop: /no answer within 200 ms; its process was killed in turn_in_circles\+/,
  deaf: /no answer within 200 ms; its process was killed/,
  leak: /its process crashed: SIGABRT in .*its memory was used up/,
  garbage: /its process crashed: it wrote what is no answer, and was killed/,
};

const endless = ['loop', 'deaf'];

const pipeline = (timeout = '10s') => pipelineFile(['pipeline: orders',
  `defaults: ${JSON.stringify({ timeout, workers: 2, isolation: 'process',
    retry: { attempts: ATTEMPTS, backoff: '5ms', max: '10ms' } })}`, 'stages:',
  `  - ${JSON.stringify({ name: 'hazard', undo_event: 'hazard_undone', sandbox: { memory: '64MiB' } })}`,
  `  - ${JSON.stringify({ name: 'calm', plugin: 'hazard', undo_event: 'calm_undone', isolation: 'thread',
    when: { field: 'do', exists: false } })}`, ''].join('\n'));

// How long an order takes through the stage that is placed as soon as an attempt has ended badly.
async function backAfter(s, id) {
  await until('the first bad end', async () => {
    const { events } = await look(s, id);
    return events.find((e) => e.event_type === 'stage_retrying' || e.event_type === 'stage_held');
  }, { step: 1 });
  const { events: [created, done] } = await finished(s, (await place(s)).id);
  assert.equal(done.event_type, 'hazard_done');
  return Date.parse(done.timestamp) - Date.parse(created.timestamp);
}

for (const [kind, says] of Object.entries(kinds))
  test(`7_${kind}_${rounds}_times_is_the_trouble_of_its_order_alone`, { timeout: 60_000 + rounds * 5000 }, async () => {
    const s = await startStageline({ plugins, pipeline: pipeline(endless.includes(kind) ? '200ms' : '10s') });
    const { pid } = s;
    const neighbours = [];
    const held = [];
    let slowest = 0;
    let slowestOfItsOwn = 0; // as it would be without what else the machine does
    await finished(s, (await place(s)).id);
    for (let i = 0; i < rounds; i++) {
      const around = () => Promise.all(Array.from({ length: NEIGHBOURS / 2 }, () => place(s)));
      neighbours.push(...await around());
      const bad = await place(s, order({ 'PROD-002': 1 }, { do: kind }));
      neighbours.push(...await around());
      const before = slowness();
      const ms = await backAfter(s, bad.id);
      slowest = Math.max(slowest, ms);
      slowestOfItsOwn = Math.max(slowestOfItsOwn, ms / Math.max(before, slowness()));
      const { events } = await onHold(s, bad.id);
      assert.match(events.at(-1).message, says);
      assert.equal(events.at(-1).attempt, ATTEMPTS);
      held.push(bad.id);
    }
    for (const { id } of neighbours)
      assert.deepEqual((await finished(s, id)).events.map((e) => e.event_type),
        ['order_created', 'hazard_done', 'calm_done', 'order_completed'], 'a neighbour was charged');
    const { stages: [stage] } = await getJson(s, '/pipeline');
    assert.equal(stage.live.processes.crashes, rounds * ATTEMPTS);
    assert.ok(stage.live.processes.healthy);
    assert.equal(s.pid, pid);
    assert.ok(s.isRunning);
    assert.ok(slowestOfItsOwn < BACK_MS, `the stage was back after ${slowest} ms, of these ${slowestOfItsOwn} its own`);
    assert.equal(await s.stop(), 0);
    result(7, `plugin: ${kind}`, { crashes: rounds * ATTEMPTS, 'dead letters': held.length, 'neighbours done': neighbours.length,
      'ms until the stage was back at the slowest': slowest, events: checkFile(s) });
  });

// Side by side: a stage in processes, and one whose pace is known. Another waits for both.
const ways = () => pipelineFile(['pipeline: orders',
  `defaults: ${JSON.stringify({ timeout: '10s', retry: { attempts: ATTEMPTS, backoff: '5ms', max: '10ms' } })}`, 'stages:',
  ...[{ name: 'hazard', isolation: 'process', workers: 2 }, { name: 'calm', after: [], workers: CALM_WORKERS },
    { name: 'last', after: ['hazard', 'calm'], workers: 4 }]
    .map((stage) => `  - ${JSON.stringify({ plugin: 'hazard', undo_event: `${stage.name}_undone`, ...stage })}`), ''].join('\n'));

const CALM_WORKERS = 4;
const NAP_MS = 50;
const SLOWER_MAX = 1.25;
const ROUNDS_MORE = 8;

// Places orders, each `every`th of them poisoned for one stage; how long the stage beside it took for them all.
async function passBy(s, n, every) {
  const placed = [];
  for (let i = 0; i < n; i++) {
    const isPoisoned = every > 0 && i % every === 0;
    const changes = { 'do calm': 'nap', ...(isPoisoned ? { 'do hazard': 'segv' } : {}) };
    placed.push({ id: (await place(s, order({ 'PROD-002': 1 }, changes))).id, isPoisoned });
  }
  await allFinished(s, 100_000, true);
  const wholes = await Promise.all(placed.map(({ id }) => look(s, id)));
  const passed = wholes.flatMap((whole) => ofType(whole, 'calm_done'));
  assert.equal(passed.length, n, 'each has passed the stage beside it');
  const pick = (wanted) => placed.filter((o) => o.isPoisoned === wanted).map((o) => o.id);
  return { good: pick(false), poisoned: pick(true),
    ms: Math.max(...passed.map(timeOf)) - Math.min(...wholes.map(({ events: [created] }) => timeOf(created))) };
}

// What it is about: every third order kills its stage. The stage beside it works as long as there is work, so that its
// pace is a matter of its own naps. Rounds with and without poison take turns, and the fastest of each are compared: the
// machine has other work, too, which makes a round slower and none faster.
test('7_every_third_order_poisoned_leaves_exactly_those_on_hold_and_other_stages_at_their_pace', { timeout: 240_000 }, async () => {
  const s = await startStageline({ plugins, pipeline: ways() });
  const { pid } = s;
  const [rounds_, orders] = size([2, 60], [10, 300]);
  const times = { calm: Infinity, beside: Infinity };
  const isSlower = () => times.beside >= times.calm * SLOWER_MAX;
  const poisoned = [];
  const good = [];
  for (let i = 0; i < rounds_ || (isSlower() && i < rounds_ + ROUNDS_MORE); i++) {
    const without = await passBy(s, orders, 0);
    const beside = await passBy(s, orders, 3);
    times.calm = Math.min(times.calm, without.ms);
    times.beside = Math.min(times.beside, beside.ms);
    poisoned.push(...beside.poisoned);
    good.push(...without.good, ...beside.good);
  }
  const held = (await allOrders(s, 'status=on_hold&limit=200')).map((o) => o.id);
  assert.deepEqual(held.sort(), poisoned.sort(), 'exactly the poisoned orders are on hold');
  assert.equal((await getJson(s, '/stats')).completed, good.length);
  const { stages } = await getJson(s, '/pipeline');
  assert.equal(stages[0].live.processes.crashes, poisoned.length * ATTEMPTS);
  const least = orders * NAP_MS / CALM_WORKERS;
  assert.ok(times.calm >= least, `${times.calm} ms for naps of ${least} ms`);
  assert.ok(!isSlower(), `beside a stage that crashes: ${times.beside} ms, without: ${times.calm} ms`);
  assert.equal(s.pid, pid);
  assert.equal(await s.stop(), 0);
  result(7, 'plugin: every third order', { orders: poisoned.length + good.length, 'dead letters': held.length,
    crashes: poisoned.length * ATTEMPTS, 'ms of the stage beside it': times.beside, 'ms without crashes': times.calm, events: checkFile(s) });
});

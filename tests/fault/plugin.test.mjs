// Plugins that do their worst, with `isolation: process` (7): it is theirs alone.
import assert from 'node:assert/strict';
import test from 'node:test';
import { result, size } from '../lib/faults.mjs';
import { checkFile } from '../lib/oracle.mjs';
import { finished, getJson, look, order, place } from '../lib/orders.mjs';
import { pipelineFile } from '../lib/pipeline.mjs';
import { onHold, plugins } from '../lib/scripted.mjs';
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
    await finished(s, (await place(s)).id);
    for (let i = 0; i < rounds; i++) {
      const around = () => Promise.all(Array.from({ length: NEIGHBOURS / 2 }, () => place(s)));
      neighbours.push(...await around());
      const bad = await place(s, order({ 'PROD-002': 1 }, { do: kind }));
      neighbours.push(...await around());
      slowest = Math.max(slowest, await backAfter(s, bad.id));
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
    assert.ok(slowest < BACK_MS, `the stage was back after ${slowest} ms`);
    assert.equal(await s.stop(), 0);
    result(7, `plugin: ${kind}`, { crashes: rounds * ATTEMPTS, 'dead letters': held.length, 'neighbours done': neighbours.length,
      'ms until the stage was back at the slowest': slowest, events: checkFile(s) });
  });

// The closing words of the issue: a stage that segfaults on every third order.
test('7_every_third_order_poisoned_leaves_exactly_those_on_hold', { timeout: 120_000 }, async () => {
  const s = await startStageline({ plugins, pipeline: pipeline() });
  const ORDERS = size(90, 3000);
  const poisoned = [];
  const good = [];
  for (let i = 0; i < ORDERS; i++)
    if (i % 3)
      good.push((await place(s)).id);
    else
      poisoned.push((await place(s, order({ 'PROD-002': 1 }, { do: 'segv' }))).id);
  for (const id of poisoned)
    await onHold(s, id);
  for (const id of good)
    assert.equal((await finished(s, id)).order.status, 'completed');
  const { on_hold: n } = await getJson(s, '/stats');
  assert.equal(n, poisoned.length);
  assert.equal(await s.stop(), 0);
  result(7, 'plugin: every third order', { orders: ORDERS, 'dead letters': n, events: checkFile(s) });
});

// Compensation (16): each stage fails, each undo fails 0 to n times, with kills between. What ended left
// nothing behind; what could not end is on hold and names the step.
import assert from 'node:assert/strict';
import test from 'node:test';
import { result, size } from '../lib/faults.mjs';
import { checkFile } from '../lib/oracle.mjs';
import { allFinished, look, place, state } from '../lib/orders.mjs';
import { seeded } from '../lib/random.mjs';
import { plugins, scripted, scriptedLine, stages } from '../lib/scripted.mjs';
import { startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const ATTEMPTS = 3;
const undoing = ['d', 'rd', 'rrd', 'r', 'f', 'ld']; // as attempts go on; r and f: it cannot be undone
const failing = ['f', 'rf', 'rrf', 'lf'.replace('l', 'r')];

// Each failing stage, each way to fail, each earlier stage's undo in each way.
function matrix() {
  const scripts = [{ script: {} }];
  for (let i = 0; i < stages.length; i++)
    for (const how of new Set(failing)) {
      if (i === 0)
        scripts.push({ script: { [stages[0]]: how }, fails: stages[0] });
      for (let k = 0; k < i; k++)
        for (const undo of undoing)
          scripts.push({ script: { [stages[i]]: how, [`undo ${stages[k]}`]: undo }, fails: stages[i],
            holds: undo === 'r' || undo === 'f' ? stages[k] : null });
    }
  return scripts;
}

const times = (events, type) => events.filter((e) => e.event_type === type).length;

// One order against the effects it left: net 0 when it failed.
function checkStory({ order: o, events }, mayHold, wanted) {
  const story = `${o.id} ${JSON.stringify(wanted)}: ${events.map((e) => `${e.event_type}${e.stage ? ` ${e.stage}` : ''}`).join(', ')}`;
  const net = stages.map((name) => times(events, `${name}_done`) - times(events, `${name}_undone`));
  for (const name of stages)
    assert.ok(times(events, `${name}_done`) <= 1 && times(events, `${name}_undone`) <= 1, story);
  if (o.status === 'completed')
    assert.deepEqual(net, [1, 1, 1, 1], story);
  else if (o.status === 'failed')
    assert.deepEqual(net, [0, 0, 0, 0], story);
  else {
    const held = events.filter((e) => e.event_type === 'stage_held').at(-1);
    assert.equal(o.status, 'on_hold', story);
    assert.ok(held?.stage && held.message && o.error, story);
    if (!mayHold)
      assert.equal(held.stage, wanted.holds, story);
  }
  if (!mayHold)
    assert.equal(o.status, wanted.holds ? 'on_hold' : wanted.fails ? 'failed' : 'completed', story);
  return net;
}

async function checkAll(s, placed, mayHold) {
  const sum = stages.map(() => 0);
  const count = {};
  for (const [id, wanted] of placed) {
    const whole = await look(s, id);
    checkStory(whole, mayHold, wanted).forEach((n, i) => { sum[i] += n; });
    count[whole.order.status] = (count[whole.order.status] ?? 0) + 1;
  }
  const ledger = await state(s, 'net/');
  assert.deepEqual(stages.map((name) => ledger[`net/${name}`] ?? 0), sum, 'effects are those of the events');
  return count;
}

async function placeAll(s, scripts) {
  const placed = new Map();
  for (const wanted of scripts)
    placed.set((await place(s, scripted(wanted.script))).id, wanted);
  return placed;
}

test('16_each_failing_stage_is_compensated_or_held_and_named', { timeout: 120_000 }, async () => {
  const s = await startStageline({ plugins, pipeline: scriptedLine({ attempts: ATTEMPTS }) });
  const placed = await placeAll(s, matrix());
  await allFinished(s, 60_000, true);
  const count = await checkAll(s, placed, false);
  assert.equal(await s.stop(), 0);
  result(16, 'saga', { orders: placed.size, ...count, events: checkFile(s) });
});

const kills = size(8, 300);
test(`16_compensation_with_${kills}_kills_between_ends_in_nothing_or_on_hold`, { timeout: 120_000 + kills * 10_000 }, async () => {
  const random = seeded('saga');
  const s = await startStageline({ plugins, pipeline: scriptedLine({ attempts: ATTEMPTS }) });
  const placed = new Map();
  for (let i = 0; i < kills; i++) {
    for (const [id, wanted] of await placeAll(s, i % 8 ? matrix().filter(() => random.below(4) === 0) : matrix()))
      placed.set(id, wanted);
    const latest = performance.now() + random.below(60);
    await until('the instant', () => performance.now() > latest, { step: 1 });
    await s.kill();
    await s.restart();
  }
  await allFinished(s, 60_000, true);
  const count = await checkAll(s, placed, true);
  assert.equal(await s.stop(), 0);
  result(16, 'saga with kills', { kills, orders: placed.size, ...count, events: checkFile(s), seed: random.seed });
});

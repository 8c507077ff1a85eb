// A stage that does not come back: its order is held in the end, the others go on, and a stop is a stop.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { getJson, look, order, place } from '../lib/orders.mjs';
import { hostFile, pipelineFile } from '../lib/pipeline.mjs';
import { build, startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const flags = ['--plugins', join(build, 'tests/plugins')];
const told = (word, more = {}) => order({ 'PROD-002': 1 }, { do: word, ...more });

const start = ({ plugin = 'probe', workers = 4, timeout = '300ms', attempts = 5, inFlight = 256, config } = {}) => startStageline({ flags, config,
  env: { TSAN_OPTIONS: 'report_thread_leaks=0' }, // a thread that hangs is left behind
  pipeline: pipelineFile(`pipeline: orders\ndefaults: {workers: ${workers}, in_flight: ${inFlight}, timeout: ${timeout}, retry: {attempts: ${attempts}, backoff: 10ms, max: 50ms}}\n`
    + `stages:\n  - {name: probe, plugin: ${plugin}, status: probing, event: probed}\n`) });

for (const plugin of ['probe', 'exclusive'])
  test(`an_order_whose_stage_hangs_is_held_and_the_others_go_on (${plugin})`, { timeout: 60_000 }, async () => {
    const s = await start({ plugin, config: hostFile('limits: {drain: 1s}\n') });
    const bad = await place(s, told('block'));
    const others = [];
    for (let i = 0; i < 40; i++) {
      others.push((await place(s, told('nothing'))).id);
      await new Promise((done) => setTimeout(done, 50));
    }
    await until('the hanging order to be held', async () => (await look(s, bad.id)).order.status === 'on_hold',
      { deadline: 15_000, detail: async () => JSON.stringify(await look(s, bad.id), null, 1) });
    // Beside a lost call of a stage that takes one at a time nothing can run: the others are held too.
    const end = plugin === 'probe' ? 'completed' : 'on_hold';
    for (const id of others)
      await until(`another order to be ${end}`, async () => (await look(s, id)).order.status === end,
        { deadline: 5000, detail: async () => JSON.stringify([await look(s, id), await getJson(s, '/pipeline')], null, 1) });
    const before = performance.now();
    assert.equal(await s.stop(), 0);
    assert.ok(performance.now() - before < 3000, 'the stop took long');
  });

const ends = (s, id, status) => until(`an order to be ${status}`, async () => (await look(s, id)).order.status === status,
  { deadline: 15_000, detail: async () => JSON.stringify([await look(s, id), await getJson(s, '/pipeline')], null, 1) });

test('calls_that_hang_leave_in_flight_to_the_others', { timeout: 60_000 }, async () => {
  const s = await start({ inFlight: 2, attempts: 3, timeout: '200ms', config: hostFile('limits: {drain: 1s}\n') });
  const bad = [await place(s, told('block')), await place(s, told('block'))];
  for (const { id } of bad)
    await ends(s, id, 'on_hold');
  const good = [await place(s, told('nothing')), await place(s, told('later'))];
  for (const { id } of good)
    await ends(s, id, 'completed');
  const { live } = (await getJson(s, '/pipeline')).stages[0];
  assert.deepEqual([live.running, live.out], [6, 0]);
  // At last they come back, too late, and are counted back once.
  const open = await place(s, told('open'));
  await ends(s, open.id, 'completed');
  await until('the hanging calls to return', async () => (await getJson(s, '/pipeline')).stages[0].live.running === 0);
  for (const { id } of bad)
    assert.equal((await look(s, id)).order.status, 'on_hold');
  const more = [];
  for (let i = 0; i < 10; i++)
    more.push(await place(s, told('later')));
  for (const { id } of more)
    await ends(s, id, 'completed');
  assert.equal(await s.stop(), 0);
});

test('behind_a_call_that_hangs_everything_is_held_however_much_it_is', { timeout: 60_000 }, async () => {
  const s = await start({ plugin: 'exclusive', inFlight: 4, attempts: 2, timeout: '100ms',
    config: hostFile('limits: {drain: 1s}\n') });
  const ids = [(await place(s, told('block'))).id];
  for (let i = 0; i < 30; i++)
    ids.push((await place(s, told('nothing'))).id);
  for (const id of ids) {
    await ends(s, id, 'on_hold');
    assert.deepEqual((await look(s, id)).events.map((e) => e.event_type), ['order_created', 'stage_retrying', 'stage_held']);
  }
  const { live } = (await getJson(s, '/pipeline')).stages[0];
  assert.deepEqual([live.running, live.queued, live.out], [1, 0, 0]);
  assert.equal(await s.stop(), 0);
});

test('waiting_for_a_worker_is_not_part_of_an_attempt', { timeout: 60_000 }, async () => {
  const s = await start({ workers: 1, timeout: '400ms', attempts: 2 });
  const ids = [];
  for (let i = 0; i < 30; i++)
    ids.push((await place(s, told('nap'))).id);
  for (const id of ids) {
    const done = await until('an order to end', async () => {
      const o = await look(s, id);
      return ['completed', 'on_hold'].includes(o.order.status) && o;
    });
    assert.deepEqual(done.events.map((e) => e.event_type), ['order_created', 'probed', 'order_completed']);
  }
  assert.equal(await s.stop(), 0);
});

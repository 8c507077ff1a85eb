// Orders that have ended, decided again with another pipeline: `stageline replay --against`.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { run, trade } from '../lib/history.mjs';
import { journalFile } from '../lib/oracle.mjs';
import { finished, order, place } from '../lib/orders.mjs';
import { fastPipeline, fastPipelineText, pipelineFile } from '../lib/pipeline.mjs';
import { onHold, placeScripted, plugins, retry, scriptedPipeline, send, stageIs, startScripted } from '../lib/scripted.mjs';
import { build, startStageline } from '../lib/stageline.mjs';

const stages = { a: {}, b: { after: ['a'] }, c: { after: ['b'] } };
const shop = { latency: '1ms', stock: { 'PROD-001': 9, 'PROD-002': 99, 'PROD-003': 9, 'PROD-004': 0 } };
let s, t, ids;

// Every way that an order can go: { name: id }.
async function everyWay() {
  const act = (action, id, stage) => send(s, `/dead-letters/${action}`, { ids: [id], reason: 'why not', stage });
  const ways = { plain: {}, retried: { a: 'rd' }, failed: { b: 'f' }, undo_retried: { b: 'f', 'undo a': 'rd' }, later: { c: 'l' },
    held_retried: { b: 'rrrd' }, held_skipped: { b: 'r' }, held_discarded: { b: 'r' }, undo_held: { b: 'f', 'undo a': 'f' },
    answered: { b: 'w' }, expired: { b: 'Wd' }, cancelled: { b: 'w' } };
  const placed = {};
  for (const [name, script] of Object.entries(ways))
    placed[name] = await placeScripted(s, script);
  for (const [name, action] of [['held_retried', 'retry'], ['held_skipped', 'skip'], ['held_discarded', 'discard'], ['undo_held', 'skip']]) {
    await onHold(s, placed[name]);
    assert.equal((await act(action, placed[name])).status, 200);
  }
  for (const name of ['answered', 'cancelled'])
    await stageIs(s, placed[name], 'b', 'waiting');
  await send(s, `/orders/${placed.answered}/signals/b`, { approved: true }, { 'Idempotency-Key': 'k' });
  await send(s, `/orders/${placed.cancelled}/cancel`, { reason: 'changed my mind' });
  for (const id of Object.values(placed))
    await finished(s, id);
  return placed;
}

before(async () => {
  [s, t] = await Promise.all([startScripted(stages), startStageline({ pipeline: fastPipeline(shop) })]);
  ids = await everyWay();
  await trade(t, 6);
});
after(() => Promise.all([s.stop(), t.stop()]));

const lines = (end) => end.out.trim().split('\n').map((line) => JSON.parse(line));

// { code, err, sum, of(id): what is said of that order }
async function against(server, pipeline, ...args) {
  const end = await run('replay', '--journal', journalFile(server), '--against', pipeline,
    '--plugins', server === s ? plugins : join(build, 'plugins'), '--json', ...args);
  assert.ok([0, 1].includes(end.code), end.err);
  const all = lines(end);
  return { ...end, sum: all.at(-1), others: all.slice(0, -1), of: (id) => all.find((line) => line.order === id) };
}
const other = (changes, options) => scriptedPipeline({ ...stages, ...changes }, options);

test('the_same_pipeline_decides_the_same_whichever_way_an_order_went', async () => {
  const hash = () => createHash('sha256').update(readFileSync(journalFile(s))).digest('hex');
  const had = hash();
  const { code, sum, others, err } = await against(s, s.pipeline);
  assert.deepEqual(others, []);
  assert.deepEqual([code, sum.orders, sum.same, sum.recorded, sum.again], [0, 12, 12, ['a', 'b', 'c'], []]);
  assert.equal(hash(), had);
  assert.equal(JSON.parse(err.trim().split('\n').at(-1)).progress, 'decide again');
});

test('so_does_the_shop_also_when_its_stages_run_again', async () => {
  const file = pipelineFile(fastPipelineText(shop));
  const { code, sum, others } = await against(t, file);
  assert.deepEqual([code, others, sum.same, sum.again], [0, [], 6, ['validation']]);
  const all = await against(t, file, '--run', 'inventory');
  assert.deepEqual([all.code, all.others, all.sum.again], [0, [], ['validation', 'inventory']]);
});

test('a_product_out_of_the_catalogue_fails_the_orders_that_have_it', async () => {
  const file = pipelineFile(fastPipelineText(shop).replace(/^.*"Laptop".*\n/m, ''));
  const { code, sum, others } = await against(t, file);
  assert.deepEqual([code, sum.different, sum.changed, sum.orders], [1, 4, 0, 6]);
  for (const { was, would } of others) {
    assert.deepEqual([was.status, would.status, would.stage], ['completed', 'failed', 'validation']);
    assert.match(would.error, /PROD-001/);
  }
  const text = await run('replay', '--journal', journalFile(t), '--against', file, '--plugins', join(build, 'plugins'));
  assert.match(text.out, new RegExp(`${others[0].order}  completed → failed  validation: .*PROD-001`));
  assert.match(text.out, /\n4 of 6 orders would end differently\n/);
  assert.match(text.err, /Run again: validation\nAnswers from the journal: payment, inventory, shipping\n/);
});

test('fewer_attempts_put_on_hold_what_was_retried', async () => {
  const { sum, of } = await against(s, other({}, { defaults: { retry: { ...retry, attempts: 1 } } }));
  assert.deepEqual(of(ids.retried).would, { status: 'on_hold', stage: 'a', error: 'not now' });
  assert.equal(of(ids.expired).would.status, 'on_hold');
  assert.equal(of(ids.plain), undefined);
  assert.ok(sum.different >= 3, JSON.stringify(sum));
});

test('a_stage_that_is_skipped_now_cannot_fail_an_order', async () => {
  const { of } = await against(s, other({ b: { after: ['a'], when: { field: 'total_amount', above: 1000 } } }));
  assert.deepEqual([of(ids.failed).was, of(ids.failed).would.status, of(ids.failed).detail],
    [{ status: 'failed', stage: 'b', error: 'no' }, 'unknown', 'the journal has no answer of stage \'c\'']);
  assert.equal(of(ids.plain).end, 'changed');
  assert.match(of(ids.plain).detail, /net\/b changes by 0, not by 1/);
});

test('stages_in_another_order_are_asked_in_that_order', async () => {
  const { code, sum } = await against(s, scriptedPipeline({ c: {}, a: { after: ['c'] }, b: { after: ['a'] } }), '--limit', '12');
  assert.deepEqual([code, sum.orders], [1, 12]);
  assert.equal(sum.unknown, 4, 'where the order turned round before c');
});

const extra = { ...stages, extra: { after: ['c'] } };

test('what_a_stage_was_never_asked_is_not_known', async () => {
  const { code, sum, of } = await against(s, scriptedPipeline(extra));
  assert.deepEqual([code, of(ids.plain).would.status, of(ids.plain).detail],
    [1, 'unknown', 'the journal has no answer of stage \'extra\'']);
  assert.equal(of(ids.failed), undefined, 'it is never reached');
  assert.deepEqual([sum.different, sum.unknown], [0, 7]);
});

test('it_runs_when_it_is_asked_for_and_what_it_breaks_is_its_own', async () => {
  const crashing = await placeScripted(s, { extra: 'c' });
  const slow = await placeScripted(s, { extra: 'l' });
  const hanging = await placeScripted(s, { extra: '-' });
  const refusing = await placeScripted(s, { extra: 'f' });
  for (const id of [crashing, slow, hanging, refusing])
    await finished(s, id);
  const { sum, of } = await against(s, scriptedPipeline(extra), '--run', 'extra');
  assert.deepEqual([sum.unknown, sum.again], [0, ['extra']]);
  assert.match(of(crashing).would.error, /its process crashed: SIGSEGV/);
  assert.deepEqual([of(crashing).would.status, of(crashing).would.stage], ['on_hold', 'extra']);
  assert.deepEqual([of(hanging).would.status, of(refusing).would.status], ['on_hold', 'failed']);
  assert.match(of(hanging).would.error, /timeout passed/);
  assert.match(of(slow).detail, /net\/extra changes by 1, not by 0/);
});

test('it_can_do_nothing_outside', async () => {
  const hazards = scriptedPipeline({ ...stages, extra: { after: ['c'], plugin: 'hazard' } });
  const path = join(build, 'outside-of-a-retrial');
  const placed = {};
  for (const word of ['write', 'connect', 'fork'])
    placed[word] = (await place(s, order({ 'PROD-002': 1 }, { do: word, path }))).id;
  for (const id of Object.values(placed))
    await finished(s, id);
  const { of } = await against(s, hazards, '--run', 'extra', '--limit', '3');
  for (const word of ['connect', 'fork']) {
    assert.deepEqual([of(placed[word]).would.status, of(placed[word]).would.stage], ['on_hold', 'extra']);
    assert.match(of(placed[word]).would.error, /which its sandbox forbids/);
  }
  assert.throws(() => readFileSync(path), { code: 'ENOENT' });
});

test('a_range_of_orders_can_be_chosen', async () => {
  const all = (await against(t, t.pipeline ?? pipelineFile(fastPipelineText(shop)))).sum.orders;
  const file = pipelineFile(fastPipelineText(shop));
  assert.equal((await against(t, file, '--limit', '2')).sum.orders, 2);
  assert.equal((await against(t, file, '--since', '2999-01-01T00:00:00Z')).sum.orders, 0);
  assert.equal((await against(t, file, '--since', '2001-01-01T00:00:00Z')).sum.orders, all);
  const some = (await against(t, file, '--until', '30')).sum;
  assert.ok(some.orders + some.open <= all && some.orders < all, JSON.stringify(some));
});

test('wrong_usage_and_wrong_files_are_said', async () => {
  const end = (...args) => run('replay', '--journal', journalFile(t), '--plugins', join(build, 'plugins'), ...args);
  const bad = await end('--against', pipelineFile('pipeline: x\nstages: [{name: a, plugin: nothing}]\n'));
  assert.deepEqual([bad.code, /:2:.*error: .*nothing/.test(bad.err)], [78, true], bad.err);
  assert.equal((await end('--against', '/nowhere.yaml')).code, 78);
  const file = pipelineFile(fastPipelineText(shop));
  assert.deepEqual([(await end('--against', file, '--run', 'nobody')).code, (await run('replay', '--since', '1', '--verify')).code,
    (await end('--against', file, '--verify')).code, (await end('--against', file, 'what')).code], [2, 2, 2, 2]);
  const http = pipelineFile(fastPipelineText({ ...shop, stages: { payment: { plugin: 'http',
    config: { url: 'http://127.0.0.1:1/' } } } }).replaceAll('"latency":"1ms","url"', '"url"'));
  const refused = await end('--against', http, '--run', 'payment');
  assert.deepEqual([refused.code, /'payment' cannot run again: its plugin 'http' calls out over the network/.test(refused.err)], [1, true], refused.err);
});

// Erasing: what an ended order says of people goes, everywhere and for good; that it was there, and what followed from
// it, stays provable.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import WebSocket from 'ws';
import { checkFile, query } from '../lib/oracle.mjs';
import { allOrders, finished, getJson, look, order, place, post, state } from '../lib/orders.mjs';
import { fastPipeline, hostFile } from '../lib/pipeline.mjs';
import { ofType, onHold, placeScripted, send, stageOf, startScripted, types } from '../lib/scripted.mjs';
import { runStageline, startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

let s;

before(async () => { s = await startStageline({ pipeline: fastPipeline() }); });
after(async () => {
  if (s.isRunning)
    assert.equal(await s.stop(), 0);
});

const erase = (server, id, reason = 'request 4711') => send(server, `/orders/${id}/erase`, { reason });

// The files of the data folder that have the text in them, in any case of letters.
function filesWith(server, text) {
  const wanted = Buffer.from(text.toLowerCase());
  return readdirSync(server.dataDir).filter((name) => {
    const bytes = readFileSync(join(server.dataDir, name));
    return bytes.includes(wanted) || bytes.toString('latin1').toLowerCase().includes(text.toLowerCase());
  });
}

const isGone = (server, text) => until(`no file to have '${text}' in it`, () => filesWith(server, text).length === 0,
  { detail: () => filesWith(server, text).join() });

test('an_erased_order_keeps_status_times_and_amount_and_no_more', async () => {
  const key = 'key-of-erasmus';
  const { id } = await place(s, order({ 'PROD-001': 2 }, { customer_email: 'Erasmus@Example.com', note: 'Desiderius' }),
    { 'Idempotency-Key': key });
  const whole = await finished(s, id);
  const had = await state(s, '');
  assert.notDeepEqual(filesWith(s, 'erasmus@'), []);

  const { status, body } = await erase(s, id);
  assert.equal(status, 200, JSON.stringify(body));
  const { order: o, events } = await look(s, id);
  assert.deepEqual(body, { order: o, events });
  assert.equal(o.erased, true);
  assert.ok(o.erased_at >= whole.order.completed_at);
  for (const name of ['status', 'total_amount', 'created_at', 'updated_at', 'completed_at', 'generation'])
    assert.deepEqual(o[name], whole.order[name], name);
  assert.deepEqual(Object.keys(o).sort(), ['completed_at', 'created_at', 'erased', 'erased_at', 'generation', 'id', 'last_seq',
    'stages', 'status', 'total_amount', 'updated_at']);
  assert.deepEqual(o.stages, whole.order.stages);
  const facts = (e) => [e.seq, e.event_type, e.stage, e.attempt, e.timestamp, e.duration_ms];
  assert.deepEqual(events.slice(0, -1).map(facts), whole.events.map(facts));
  for (const e of events.slice(0, -1))
    assert.deepEqual([e.removed, e.message, e.metadata, e.reason], ['erased', '', {}, undefined]);
  const { event_type: type, reason, message } = events.at(-1);
  assert.deepEqual([type, reason, message], ['order_erased', 'request 4711', 'Erased by an operator']);
  assert.deepEqual(await state(s, ''), had, 'the stock stays as it is');

  for (const text of ['erasmus', 'desiderius', key])
    await isGone(s, text);
});

test('it_stays_erased_in_lists_and_searches', async () => {
  const { id } = await place(s, order({ 'PROD-003': 1 }, { customer_email: 'lola@lists.example' }));
  await finished(s, id);
  const found = async (q) => (await allOrders(s, `q=${encodeURIComponent(q)}`)).map((o) => o.id);
  assert.deepEqual(await found('lola@'), [id]);
  const others = (await found('PROD-003')).filter((other) => other !== id);
  await erase(s, id);
  assert.deepEqual(await found('lola@'), []);
  assert.deepEqual(await found('PROD-003'), others);
  const [row] = await allOrders(s, `q=${id}`);
  assert.deepEqual([row.erased, row.status, row.total_amount, row.customer_email, row.items],
    [true, 'completed', 79.99, undefined, undefined]);
});

test('erasing_twice_is_one_event', async () => {
  const { id } = await place(s);
  await finished(s, id);
  const answers = await Promise.all([erase(s, id, 'first'), erase(s, id, 'second'), erase(s, id, 'third')]);
  assert.deepEqual(answers.map((a) => a.status), [200, 200, 200]);
  assert.equal(ofType(await look(s, id), 'order_erased').length, 1);
});

test('the_key_of_an_erased_order_is_free_again', async () => {
  const headers = { 'Idempotency-Key': 'a-key-of-long-ago' };
  const { id } = await place(s, order(), headers);
  await finished(s, id);
  assert.equal((await place(s, order(), headers)).id, id);
  await erase(s, id);
  assert.notEqual((await place(s, order(), headers)).id, id);
});

test('watchers_hear_of_it_and_nobody_is_told_what_was_erased', async () => {
  const { id } = await place(s, order({ 'PROD-002': 1 }, { customer_email: 'wanda@watch.example' }));
  await finished(s, id);
  const one = [], all = [];
  const sockets = [[`/ws/orders/${id}`, one], ['/ws/events?after=0', all]].map(([path, into]) => {
    const socket = new WebSocket(`${s.url.replace('http', 'ws')}${path}`);
    socket.on('message', (data) => into.push(JSON.parse(data)));
    return socket;
  });
  await until('both to see the order', () => one.length > 0 && all.some((m) => m.event?.event_type === 'order_completed'
    && m.event.order_id === id));
  await erase(s, id);
  await until('both to hear', () => one.at(-1).order.erased && all.at(-1).event?.event_type === 'order_erased');
  assert.equal(one.at(-1).order.customer_email, undefined);
  sockets.forEach((socket) => socket.terminate());

  const stop = new AbortController();
  const { body } = await fetch(`${s.url}/events?after=0`, { signal: stop.signal });
  let text = '';
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes('order_erased') && text.includes(`"seq":${all.at(-1).event.seq}`))
      break;
  }
  stop.abort();
  assert.ok(!text.includes('wanda'), 'a stream that begins again tells of it');
});

test('refusals_say_why', async () => {
  const missing = await erase(s, '01890a5d-ac96-774b-bcce-b302099a8057');
  assert.equal(missing.status, 404);
  const { id } = await place(s);
  await finished(s, id);
  assert.equal((await send(s, `/orders/${id}/erase`, {})).status, 422, 'no reason');
  assert.equal((await send(s, '/orders/nonsense/erase', { reason: 'x' })).status, 404);
  assert.equal((await fetch(`${s.url}/orders/${id}/erase`)).status, 405);
});

test('an_order_on_hold_is_erased_after_it_was_given_up', async () => {
  const t = await startScripted({ one: {}, two: {} });
  const id = await placeScripted(t, { two: 'r' }, { customer_email: 'hanna@hold.example' });
  await onHold(t, id);
  const early = await erase(t, id);
  assert.equal(early.status, 409);
  assert.match(early.body.detail, /when it has ended/);
  const edited = await send(t, `/dead-letters/${id}/edit`, { reason: 'hanna moved',
    order: order({ 'PROD-002': 1 }, { customer_email: 'hanna2@hold.example', script: { two: 'r' } }) });
  assert.equal(edited.status, 200, JSON.stringify(edited.body));
  await onHold(t, id);
  await send(t, '/dead-letters/discard', { ids: [id], reason: 'hanna called' });
  const whole = await finished(t, id);
  assert.equal((await erase(t, id)).status, 200);
  const { order: o, events } = await look(t, id);
  assert.equal(o.status, 'failed');
  assert.equal(o.error, undefined);
  assert.deepEqual(o.stages.map((stage) => stage.status), whole.order.stages.map((stage) => stage.status));
  assert.deepEqual(types({ events }).slice(0, -1), types(whole));
  await isGone(t, 'hanna');
  assert.equal(await t.stop(), 0);
  checkFile(t);
});

test('an_order_is_erased_of_which_a_stage_with_a_condition_was_undone', async () => {
  const t = await startScripted({ one: {}, two: { timeout: '1s', when: { field: 'gift', equals: true } } });
  const id = await placeScripted(t, { two: '-' }, { gift: true });
  await until('the second stage to be called', async () => (await stageOf(t, 'two')).live.later === 1);
  assert.equal((await send(t, `/orders/${id}/cancel`, { reason: 'not wanted' })).status, 200);
  const whole = await finished(t, id);
  assert.deepEqual(types(whole).slice(-4), ['attempt_lost', 'two_undone', 'one_undone', 'order_cancelled']);
  assert.equal((await erase(t, id)).status, 200);
  assert.equal((await look(t, id)).order.status, 'cancelled');
  assert.equal(await t.stop(), 0);
  for (const how of ['--verify', '--rebuild']) {
    const { code, err } = await runStageline(['replay', how, '--data', t.dataDir]);
    assert.equal(code, 0, err);
  }
});

test('it_is_for_good_after_kills_and_restarts', async () => {
  for (let i = 0; i < 5; i++) {
    const email = `karl${i}@kill.example`;
    const { id } = await place(s, order({ 'PROD-002': 1 }, { customer_email: email }));
    await finished(s, id);
    const answer = await erase(s, id);
    await s.kill();
    assert.equal(answer.status, 200);
    await s.restart();
    assert.equal((await look(s, id)).order.erased, true);
    await isGone(s, email);
  }
});

test('the_command_erases_and_says_so', async () => {
  const { id } = await place(s);
  await finished(s, id);
  const env = { STAGELINE_URL: s.url };
  const done = await runStageline(['erase', id, '--reason', 'request 12'], { env });
  assert.equal(done.code, 0, done.err);
  assert.match(done.err, /is erased; its status, times and amount stay/);
  assert.equal((await look(s, id)).order.erased, true);
  assert.equal((await runStageline(['erase', id], { env })).code, 2, 'without a reason');
  const open = await runStageline(['erase', '01890a5d-ac96-774b-bcce-b302099a8057', '--reason', 'x'], { env });
  assert.equal(open.code, 1);
  const shown = await runStageline(['orders', 'show', id], { env });
  assert.match(shown.out, /erased/);
});

test('chain_and_projections_hold_and_nothing_of_it_is_in_the_journal', async () => {
  assert.equal(await s.stop(), 0);
  checkFile(s);
  const left = query(s, "SELECT count(*) AS n FROM events WHERE order_seq IN (SELECT seq FROM orders WHERE removed_seq IS NOT NULL)"
    + " AND seq = order_seq AND salt IS NOT NULL");
  assert.deepEqual(left, [{ n: 0 }]);
});

test('the_rule_of_keeping_erases_by_itself_and_after_a_restart', { timeout: 60_000 }, async () => {
  const t = await startStageline({ pipeline: fastPipeline(), config: hostFile('erase_after: 2s\n') });
  const old = [];
  for (let i = 0; i < 60; i++)
    old.push((await place(t, order({ 'PROD-002': 1 }, { customer_email: `r${i}@rule.example` }))).id);
  const scripted = await finished(t, old.at(-1));
  await until('all to be erased', async () => (await allOrders(t)).every((o) => o.erased), { deadline: 20_000 });
  const { order: o, events } = await look(t, old[0]);
  assert.ok(Date.parse(o.erased_at) - Date.parse(o.completed_at) >= 2000, 'not before its time');
  assert.deepEqual([events.at(-1).message, events.at(-1).reason], ['Erased: kept as long as the rule says', 'erase_after: 2 s']);
  assert.ok(scripted);
  await isGone(t, '@rule.example');
  const { id } = await place(t, order({ 'PROD-002': 1 }, { customer_email: 'late@rule.example' }));
  await finished(t, id);
  await t.kill();
  await t.restart();
  await until('the last one to be erased', async () => (await look(t, id)).order.erased, { deadline: 20_000 });
  assert.equal(await t.stop(), 0);
  checkFile(t);
});

test('without_the_rule_nothing_is_erased', async () => {
  const t = await startStageline({ pipeline: fastPipeline(), config: hostFile('erase_after: 0d\n') });
  const { id } = await place(t);
  await finished(t, id);
  await getJson(t, '/stats');
  assert.equal((await look(t, id)).order.erased, undefined);
  assert.equal((await post(t, order())).status, 200);
  assert.equal(await t.stop(), 0);
});

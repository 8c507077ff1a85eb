// The past: orders and the state as they were after an event or at a time.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { finished, getJson, look, order, place, state } from '../lib/orders.mjs';
import { fastPipeline, plenty } from '../lib/pipeline.mjs';
import { send, types } from '../lib/scripted.mjs';
import { runStageline, startStageline } from '../lib/stageline.mjs';

let s;

before(async () => { s = await startStageline({ pipeline: fastPipeline({ latency: '5ms', stock: plenty }) }); });
after(async () => assert.equal(await s.stop(), 0));

const at = (path, moment) => fetch(`${s.url}${path}${path.includes('?') ? '&' : '?'}at=${encodeURIComponent(moment)}`)
  .then(async (answer) => ({ status: answer.status, body: await answer.json() }));

test('an_order_is_shown_as_it_was_at_a_time', async () => {
  const { id } = await place(s);
  const { events } = await finished(s, id);
  for (const [i, event] of events.entries()) {
    const later = events.slice(i + 1).find((e) => e.timestamp > event.timestamp);
    const upTo = later ? events.indexOf(later) : events.length;
    const { status, body } = await at(`/orders/${id}`, event.timestamp);
    assert.equal(status, 200);
    assert.deepEqual(types(body), events.slice(0, upTo).map((e) => e.event_type));
    const bySeq = await at(`/orders/${id}`, events[upTo - 1].seq);
    assert.deepEqual(bySeq.body, body);
  }
});

test('an_offset_means_the_same_moment', async () => {
  const { id } = await place(s);
  const { events } = await finished(s, id);
  const east = new Date(Date.parse(events[2].timestamp) + 7_200_000).toISOString();
  const time = `${east.slice(0, 19)}.${events[2].timestamp.slice(20, 26)}+02:00`;
  const want = (await at(`/orders/${id}`, events[2].timestamp)).body;
  assert.deepEqual((await at(`/orders/${id}`, time)).body, want);
  const unescaped = await getJson(s, `/orders/${id}?at=${time}`);
  assert.deepEqual(unescaped, want, 'with a plus that was not escaped');
});

test('before_it_was_placed_there_is_no_order', async () => {
  const { id } = await place(s);
  const { events } = await finished(s, id);
  for (const moment of [events[0].seq - 1, '2001-01-01T00:00:00Z']) {
    const { status, body } = await at(`/orders/${id}`, moment);
    assert.equal(status, 404);
    assert.match(body.detail, /placed later/);
  }
  assert.deepEqual((await at(`/orders/${id}`, '2999-01-01T00:00:00Z')).body, await look(s, id));
  const unknown = await at('/orders/01890a5d-ac96-774b-bcce-b302099a8057', 1);
  assert.match(unknown.body.detail, /no such order/);
});

for (const moment of ['', '0', '-1', 'yesterday', '2026-01-31', '2026-02-30T10:00:00Z', '2026-01-31T10:00:00',
  '2026-01-31T10:00:00+25:00', '9999999999999999999999', '1 2', '2026-01-31T10:00:00.1234567Z']) {
  test(`400_for_at_'${moment}'`, async () => {
    for (const path of ['/orders/01890a5d-ac96-774b-bcce-b302099a8057', '/state']) {
      const { status, body } = await at(path, moment);
      assert.equal(status, 400, path);
      assert.match(body.detail, /'at' must be the seq of an event, from 1, or a time such as/);
    }
  });
}

test('the_state_is_shown_as_it_was_after_each_event', async () => {
  const { id } = await place(s, order({ 'PROD-001': 3 }));
  const { events } = await finished(s, id);
  const reserved = events.find((e) => e.event_type === 'inventory_reserved');
  const now = await state(s, 'stock/');
  const before_ = (await at('/state?prefix=stock/', reserved.seq - 1)).body;
  const after_ = (await at('/state?prefix=stock/', reserved.seq)).body;
  assert.deepEqual([before_.seq, after_.seq], [reserved.seq - 1, reserved.seq]);
  assert.equal(before_.state['stock/PROD-001'], now['stock/PROD-001'] + 3);
  assert.deepEqual(after_.state, now);
  const byTime = (await at('/state?prefix=stock/', reserved.timestamp)).body;
  assert.ok(byTime.seq >= reserved.seq);
  assert.deepEqual(byTime.state, now);
});

test('values_that_were_set_and_deleted_are_there_again', async () => {
  const adjust = (body) => send(s, '/state/adjust', { reason: 'test', key: 'note', ...body });
  const seqs = [];
  for (const change of [{ value: { a: [1, 'zwölf'] } }, { value: 'second' }, { value: null }, { value: 7 }]) {
    assert.equal((await adjust(change)).status, 200);
    seqs.push((await getJson(s, '/state')).seq);
  }
  const seen = [];
  for (const seq of seqs)
    seen.push((await at('/state?prefix=note', seq)).body.state);
  assert.deepEqual(seen, [{ note: { a: [1, 'zwölf'] } }, { note: 'second' }, {}, { note: 7 }]);
});

test('pages_of_the_past_go_on_where_they_ended', async () => {
  for (let i = 0; i < 7; i++)
    await send(s, '/state/adjust', { reason: 'test', key: `page/${i}`, value: i });
  const { seq } = await getJson(s, '/state');
  await send(s, '/state/adjust', { reason: 'test', key: 'page/9', value: 9 });
  const keys = [];
  for (let next = ''; next !== null;) {
    const { body } = await at(`/state?prefix=page/&limit=3&after=${encodeURIComponent(next)}`, seq);
    keys.push(...Object.keys(body.state));
    ({ next } = body);
  }
  assert.deepEqual(keys, Array.from({ length: 7 }, (_, i) => `page/${i}`));
});

test('a_moment_that_is_still_to_come_is_said_to_be_so', async () => {
  const { seq } = await getJson(s, '/state');
  const { status, body } = await at('/state', seq + 1);
  assert.equal(status, 404);
  assert.match(body.detail, new RegExp(`no event ${seq + 1}: its last is ${seq}`));
  assert.equal((await at('/state', '2999-01-01T00:00:00Z')).body.seq, seq);
  assert.deepEqual((await at('/state', '1999-01-01T00:00:00Z')).body, { seq: 0, state: {}, next: null });
});

test('many_at_once_are_answered_or_asked_to_wait', async () => {
  const { seq } = await getJson(s, '/state');
  const answers = await Promise.all(Array.from({ length: 40 }, () => at('/state', seq - 1)));
  const count = (status) => answers.filter((a) => a.status === status).length;
  assert.ok(count(200) >= 1);
  assert.equal(count(200) + count(503), 40);
});

test('the_commands_show_it_too', async () => {
  const env = { STAGELINE_URL: s.url };
  const { id } = await place(s, order({ 'PROD-001': 1 }));
  const { events } = await finished(s, id);
  const shown = await runStageline(['orders', 'show', id, '--at', String(events[1].seq), '--json'], { env });
  assert.equal(shown.code, 0, shown.err);
  assert.deepEqual(types(JSON.parse(shown.out)), ['order_created', 'order_validated']);
  const listed = await runStageline(['state', 'list', '--prefix', 'stock/', '--at', events[0].timestamp], { env });
  assert.equal(listed.code, 0, listed.err);
  assert.match(listed.out, /stock\/PROD-001/);
  const wrong = await runStageline(['state', 'list', '--at', 'yesterday'], { env });
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /'at' must be the seq of an event/);
});

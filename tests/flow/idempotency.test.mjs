// Idempotency-Key: a request that is sent again is the same request.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { fastPipeline } from '../lib/pipeline.mjs';
import { finished, getJson, order, place, post } from '../lib/orders.mjs';
import { onHold, send as edit, startScripted } from '../lib/scripted.mjs';
import { startStageline } from '../lib/stageline.mjs';

let s;

before(async () => { s = await startStageline({ pipeline: fastPipeline() }); });
after(async () => assert.equal(await s.stop(), 0));

const send = async (key, body = order()) => {
  const answer = await post(s, body, { 'Idempotency-Key': key });
  return { status: answer.status, text: await answer.text(), location: answer.headers.get('location') };
};
const accepted = async () => (await getJson(s, '/stats')).accepted;

test('a_repeat_gets_the_stored_answer_byte_for_byte', async () => {
  const first = await send('repeat');
  await finished(s, JSON.parse(first.text).id);
  assert.deepEqual(await send('repeat'), first);
});

test('a_repeat_after_a_restart_gets_the_stored_answer', async () => {
  const first = await send('restart');
  await s.restart();
  assert.deepEqual(await send('restart'), first);
});

test('the_same_key_with_another_body_is_422', async () => {
  await send('other');
  const second = await send('other', order({ 'PROD-003': 1 }));
  assert.equal(second.status, 422);
  assert.match(second.text, /Idempotency-Key/);
});

test('concurrent_duplicates_make_one_order', async () => {
  const before_ = await accepted();
  const answers = await Promise.all(Array.from({ length: 20 }, () => send('at-once')));

  assert.deepEqual([...new Set(answers.map((a) => a.status))], [200]);
  assert.equal(new Set(answers.map((a) => a.text)).size, 1);
  assert.equal(await accepted(), before_ + 1);
});

// Many short stages, so that repeats meet verdicts about the order in their own batch.
test('a_repeat_meets_the_order_as_it_was_sent_whatever_was_edited_since', { timeout: 60_000 }, async () => {
  const line = await startScripted(Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`s${i}`, {}])));
  const body = order({ 'PROD-002': 1 }, { script: { s0: 'rrrd' }, note: 'as sent' });
  const { id } = await place(line, body, { 'Idempotency-Key': 'edited' });
  await onHold(line, id);
  const edited = await edit(line, `/dead-letters/${id}/edit`, { reason: 'a typo', order: { ...body, note: 'as edited' } });
  assert.equal(edited.status, 200, JSON.stringify(edited.body));
  const statuses = [];
  let isOver = false;
  const repeat = async () => {
    while (!isOver) {
      const answer = await post(line, body, { 'Idempotency-Key': 'edited' });
      statuses.push(answer.status);
      await answer.arrayBuffer();
    }
  };
  const repeats = Array.from({ length: 8 }, repeat);
  await finished(line, id);
  isOver = true;
  await Promise.all(repeats);
  assert.deepEqual([...new Set(statuses)], [200]);
  assert.equal(await line.stop(), 0);
});

test('orders_without_a_key_or_with_different_keys_are_different_orders', async () => {
  const answers = await Promise.all([post(s, order()), post(s, order()),
    post(s, order(), { 'Idempotency-Key': 'one' }), post(s, order(), { 'Idempotency-Key': 'two' })]);
  const ids = await Promise.all(answers.map(async (a) => (await a.json()).id));
  assert.equal(new Set(ids).size, 4);
});

test('a_key_without_end_is_refused', async () => {
  assert.equal((await send('k'.repeat(1000))).status, 400);
});

// when: a stage runs only for orders that it is meant for; for the others it is skipped, and that is an event.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { finished, state } from '../lib/orders.mjs';
import { ofType, placeScripted, send, startScripted, stageIs, types } from '../lib/scripted.mjs';

let s;

before(async () => {
  s = await startScripted({
    first: {},
    large: { when: { field: 'total_amount', above: 100 } },
    gift: { when: { all: [{ field: 'gift.wrap', equals: true }, { not: { field: 'items.product_id', in: ['PROD-001'] } }] } },
    approval: { when: { field: 'results.first.risk', at_least: 7 } },
    last: {},
  });
});
after(async () => assert.equal(await s.stop(), 0));

const done = async (changes, script) => finished(s, await placeScripted(s, script, changes));
const status = ({ order: o }) => Object.fromEntries(o.stages.map((stage) => [stage.name, stage.status]));

test('a_stage_runs_for_the_orders_its_condition_holds_for', async () => {
  const whole = await done({ total_amount: 100.01, gift: { wrap: true } });
  assert.equal(whole.order.status, 'completed');
  assert.deepEqual(status(whole), { first: 'done', large: 'done', gift: 'done', approval: 'skipped', last: 'done' });
});

test('a_skipped_stage_is_an_event_that_says_why_and_the_next_ones_go_on', async () => {
  const whole = await done({ total_amount: 100 });
  assert.deepEqual(types(whole), ['order_created', 'first_done', 'stage_skipped', 'stage_skipped', 'stage_skipped', 'last_done',
    'order_completed']);
  const [skipped] = ofType(whole, 'stage_skipped');
  assert.equal(skipped.stage, 'large');
  assert.match(skipped.message, /total_amount is not above 100/);
});

test('conditions_look_into_lists_and_are_put_together', async () => {
  const laptop = [{ product_id: 'PROD-001', name: 'Laptop', quantity: 1, price: 1 }];
  assert.equal(status(await done({ gift: { wrap: true } })).gift, 'done');
  assert.equal(status(await done({ gift: { wrap: true }, items: laptop })).gift, 'skipped');
  assert.equal(status(await done({ gift: { wrap: 'true' } })).gift, 'skipped');
});

test('conditions_look_at_what_an_earlier_stage_answered', async () => {
  for (const [risk, expected] of [[7, 'done'], [6, 'skipped']]) {
    const id = await placeScripted(s, { first: 'w' });
    await stageIs(s, id, 'first', 'waiting');
    await send(s, `/orders/${id}/signals/first`, { risk });
    assert.equal(status(await finished(s, id)).approval, expected, `risk ${risk}`);
  }
});

test('a_skipped_stage_is_not_undone', async () => {
  const had = await state(s, 'net/');
  const whole = await done({ total_amount: 1 }, { last: 'f' });
  assert.deepEqual(types(whole).slice(-3), ['stage_failed', 'first_undone', 'order_failed']);
  assert.deepEqual(await state(s, 'net/'), had);
});

test('a_restart_does_not_ask_again', async () => {
  const whole = await done({ total_amount: 5 });
  await s.restart();
  assert.deepEqual((await finished(s, whole.order.id)).events, whole.events);
});

test('a_condition_that_is_none_is_refused_with_its_place', async () => {
  for (const [wrong, said] of [[{ field: 'total_amount', abvoe: 1 }, /did you mean 'above'/], [{ field: 'total_amount' }, /pipeline\.yaml:\d+:\d+: error/],
    [{ field: 'results.nobody.x', equals: 1 }, /nobody/]])
    await assert.rejects(startScripted({ one: {}, two: { when: wrong } }), said);
});

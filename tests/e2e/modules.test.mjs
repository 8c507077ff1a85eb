/* The client's pure modules, in the browser that runs them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launchBrowser } from '../lib/browser.mjs';
import { startStageline } from '../lib/stageline.mjs';

let server, browser, page;
before(async () => {
  server = await startStageline();
  browser = await launchBrowser();
  page = await browser.newPage({ timezoneId: 'Europe/Berlin' });
  await page.goto(`${server.url}/static/icon.svg`); /* the origin, without the client's own state */
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const basketOf = (quantities) => ({ email: 'a@b', quantities });
const products = [
  { id: 'A', name: 'Laptop', price: 999.99 },
  { id: 'B', name: 'Mouse', price: 29.99 },
];

/* Calls an exported function in the page. */
function call(file, name, ...args) {
  return page.evaluate(
    async ([path, fn, values]) => (await import(path))[fn](...values),
    [`/static/${file}`, name, args],
  );
}

test('money_is_exact_over_every_price_of_two_digits', async () => {
  const wrong = await page.evaluate(async () => {
    const { toCents, toDecimal } = await import('/static/format.js');
    const all = Array.from({ length: 200_000 }, (_, cents) => cents);
    return all.filter((cents) => toCents(JSON.parse(JSON.stringify(toDecimal(cents)))) !== cents);
  });
  assert.deepEqual(wrong, []);
  assert.equal(await call('format.js', 'money', 105997), '1,059.97');
});

test('a_total_is_a_sum_of_cents_not_of_floats', async () => {
  const basket = basketOf({ A: 3, B: 7 });
  assert.equal(await call('basket.js', 'totalCents', basket, products), 3 * 99999 + 7 * 2999);
  assert.equal((await call('basket.js', 'orderOf', basket, products)).total_amount, 3209.9);
});

test('products_counted_down_to_nothing_are_not_ordered', async () => {
  const { items } = await call('basket.js', 'orderOf', basketOf({ A: 0, B: 1 }), products);
  assert.deepEqual(items.map(({ product_id }) => product_id), ['B']);
});

test('the_same_basket_keeps_its_key_another_one_gets_another', async () => {
  const keyOf = (quantities) => call('basket.js', 'keyFor', basketOf(quantities));
  const key = await keyOf({ A: 1 });
  assert.match(key, /^[0-9a-f]{32}$/);
  assert.equal(await keyOf({ A: 1 }), key);
  assert.notEqual(await keyOf({ A: 2 }), key);
});

test('durations_read_well_at_every_length', async () => {
  const lengths = [0, 820, 1250, 59_990, 125_000, 12_000_000];
  const texts = await Promise.all(lengths.map((ms) => call('format.js', 'duration', ms)));
  assert.deepEqual(texts, ['0 ms', '820 ms', '1.2 s', '59.9 s', '2 min 05 s', '3 h 20 min']);
});

test('events_read_as_plain_sentences', async () => {
  const due_at = '2026-01-31T13:02:10.000000Z';
  const events = [
    [{ event_type: 'order_created' }, 'Order received'],
    [{ event_type: 'payment_processed', message: 'Payment captured' }, 'Payment captured'],
    [{ event_type: 'payment_refunded', message: '', metadata: { amount: 49 } }, 'Refunded 49.00'],
    [
      { event_type: 'stage_retrying', message: 'the bank did not answer', metadata: { due_at } },
      'The bank did not answer, trying again at 14:02:10',
    ],
    [{ event_type: 'stage_failed', message: 'Insufficient inventory' }, 'Insufficient inventory'],
    [{ event_type: 'gift_wrapped', message: '' }, 'Gift wrapped'],
    [
      { event_type: 'cancel_requested', message: 'Cancellation requested', reason: 'Too slow' },
      'Cancelling was asked for: Too slow',
    ],
    [{ event_type: 'order_cancelled', message: 'Order cancelled' }, 'Order cancelled'],
    [
      { event_type: 'attempt_lost', stage: 'payment', message: 'the worker died' },
      'Payment was interrupted: the worker died',
    ],
    [
      { event_type: 'stage_held', stage: 'payment', message: 'the bank did not answer' },
      'Payment is on hold: the bank did not answer',
    ],
    [
      { event_type: 'stage_released', stage: 'payment', message: 'bank is back', reason: 'bank is back' },
      'An operator let Payment go on: bank is back',
    ],
    [
      { event_type: 'stage_released', stage: 'a', message: 'Given up by an operator: x', reason: 'x' },
      'Given up by an operator: x',
    ],
    [
      { event_type: 'stage_skipped', stage: 'gift_wrap', message: 'skipped: total is 5' },
      'Gift wrap was skipped: total is 5',
    ],
    [
      { event_type: 'stage_waiting', stage: 'fraud', message: 'waiting', due_at: '2020-01-31T13:02:10Z' },
      'Fraud waits for an answer from outside, until 31 Jan 2020, 14:02',
    ],
    [{ event_type: 'stage_signalled', stage: 'fraud' }, 'Fraud has its answer and goes on'],
    [{ event_type: 'stage_held', stage: 'payment', message: 'bank closed' }, 'Payment is on hold: bank closed'],
    [{ event_type: 'stage_held', stage: 'payment', undo: true, message: 'bank closed' }, 'Undoing payment is on hold: bank closed'],
    [{ event_type: 'attempt_lost', stage: 'payment', undo: true }, 'Undoing payment was interrupted'],
    [{ event_type: 'stage_retrying', stage: 'payment', undo: true }, 'Undoing payment did not work, trying again'],
    [{ event_type: 'stage_paused', stage: 'payment', reason: 'bank closed' }, 'Payment was paused: bank closed'],
  ];
  for (const [event, text] of events)
    assert.equal(await call('format.js', 'sentence', event), text);
});

/* Maps do not cross to Node: the places come as [name, level, lane]. */
function layOut(stages) {
  return page.evaluate(async (given) => {
    const { places, edges } = (await import('/static/parts/graph.js')).layOut(given);
    return {
      places: [...places].map(([name, { level, lane }]) => [name, level, lane]),
      edges: edges.map(({ from, to }) => from + to),
    };
  }, stages);
}

test('parallel_stages_share_a_level_and_redundant_edges_are_left_out', async () => {
  const { places, edges } = await layOut([
    { name: 'a', after: [] },
    { name: 'b', after: ['a'] },
    { name: 'c', after: ['a'] },
    { name: 'd', after: ['a', 'b', 'c'] },
  ]);
  assert.deepEqual(places, [['a', 0, 0], ['b', 1, 0], ['c', 1, 1], ['d', 2, 0]]);
  assert.deepEqual(edges, ['ab', 'ac', 'bd', 'cd']);
});

const at = (ms) => new Date(Date.UTC(2026, 0, 31, 10) + ms).toISOString();
const since = (segments) => segments.map(({ stage, kind, from, to, isOpen }) => [stage, kind, from - Date.parse(at(0)), to - Date.parse(at(0)), ...(isOpen ? ['open'] : [])]);

test('a_timeline_has_attempts_lines_backoffs_waits_and_holds', async () => {
  const stages = [{ name: 'a', after: [], status: 'done' }, { name: 'b', after: ['a'], status: 'held' }];
  const events = [
    { event_type: 'order_created', status: 'created', timestamp: at(0) },
    { event_type: 'stage_waiting', status: 'info', stage: 'a', attempt: 1, duration_ms: 10, timestamp: at(30) },
    { event_type: 'stage_signalled', status: 'info', stage: 'a', timestamp: at(500) },
    { event_type: 'a_done', status: 'success', stage: 'a', attempt: 1, duration_ms: 40, timestamp: at(550) },
    { event_type: 'stage_retrying', status: 'retrying', stage: 'b', attempt: 1, duration_ms: 100, timestamp: at(650), due_at: at(900) },
    { event_type: 'stage_held', status: 'held', stage: 'b', attempt: 2, duration_ms: 50, timestamp: at(1000) },
  ];
  const segments = await call('parts/attempts.js', 'segmentsOf', stages, events, Date.parse(at(5000)));
  assert.deepEqual(since(segments), [
    ['a', 'queue', 0, 20], ['a', 'run', 20, 30], ['a', 'wait', 30, 500], ['a', 'queue', 500, 510], ['a', 'run', 510, 550],
    ['b', 'run', 550, 650], ['b', 'backoff', 650, 900], ['b', 'queue', 900, 950], ['b', 'run', 950, 1000], ['b', 'hold', 1000, 5000, 'open'],
  ]);
});

test('a_timeline_turns_round_and_one_that_waits_goes_on_until_now', async () => {
  const stages = [{ name: 'a', after: [], status: 'undoing' }, { name: 'b', after: ['a'], status: 'failed' }, { name: 'c', after: ['a'], status: 'done' }];
  const events = [
    { event_type: 'order_created', status: 'created', timestamp: at(0) },
    { event_type: 'a_done', status: 'success', stage: 'a', attempt: 1, duration_ms: 10, timestamp: at(10) },
    { event_type: 'stage_failed', status: 'failed', stage: 'b', attempt: 1, duration_ms: 5, timestamp: at(20) },
    { event_type: 'stage_retrying', status: 'retrying', stage: 'a', attempt: 1, undo: true, duration_ms: 5, timestamp: at(30), due_at: at(90) },
    /* was out when the order turned round, and began then */
    { event_type: 'c_done', status: 'success', stage: 'c', attempt: 1, duration_ms: 18, timestamp: at(40) },
  ];
  const segments = await call('parts/attempts.js', 'segmentsOf', stages, events, Date.parse(at(70)));
  assert.deepEqual(since(segments), [['a', 'run', 0, 10], ['a', 'undo', 25, 30], ['a', 'backoff', 30, 70, 'open'],
    ['b', 'queue', 10, 15], ['b', 'run', 15, 20], ['c', 'queue', 10, 22], ['c', 'run', 22, 40]]);
});

test('a_long_wait_is_squeezed_so_that_attempts_stay_visible', async () => {
  const [places, n] = await page.evaluate(async () => {
    const { scaleOf } = await import('/static/parts/attempts.js');
    const hour = 3_600_000;
    const scale = scaleOf([{ kind: 'run', from: 0, to: 100 }, { kind: 'hold', from: 100, to: hour }, { kind: 'run', from: hour, to: hour + 100 }]);
    return [[0, 100, hour, hour + 100].map(scale.place), scale.squeezed.length];
  });
  assert.deepEqual(places.map((x) => Math.round(x * 100)), [0, 33, 67, 100]);
  assert.equal(n, 1);
});

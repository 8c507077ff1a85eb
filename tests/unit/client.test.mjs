/* The client's pure modules. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duration, humanise, money, sentence, toCents, toDecimal } from '../../www/format.js';
import { keyFor, linesOf, orderOf, totalCents } from '../../www/basket.js';
import { layOut } from '../../www/parts/graph.js';

const products = [
	{ id: 'A', name: 'Laptop', price: 999.99 },
	{ id: 'B', name: 'Mouse', price: 29.99 },
];

test('money is exact over every price of two digits', () => {
	for (let cents = 0; cents < 200_000; cents++)
		assert.equal(toCents(JSON.parse(JSON.stringify(toDecimal(cents)))), cents);
	assert.equal(money(105997), '1,059.97');
});

test('a total is a sum of cents, not of floats', () => {
	const basket = { email: 'a@b', quantities: { A: 3, B: 7 } };
	assert.equal(totalCents(basket, products), 3 * 99999 + 7 * 2999);
	assert.equal(JSON.stringify(orderOf(basket, products).total_amount), '3209.9');
});

test('products counted down to nothing are not ordered', () => {
	const basket = { email: 'a@b', quantities: { A: 0, B: 1 } };
	assert.deepEqual(linesOf(basket, products).map(({ product }) => product.id), ['B']);
});

test('the same basket keeps its key, another one gets another', () => {
	const basket = { email: 'a@b', quantities: { A: 1 } };
	const key = keyFor(orderOf(basket, products));
	assert.match(key, /^[0-9a-f]{32}$/);
	assert.equal(keyFor(orderOf(basket, products)), key);
	assert.notEqual(keyFor(orderOf({ ...basket, quantities: { A: 2 } }, products)), key);
});

test('durations read well at every length', () => {
	assert.deepEqual(
		[0, 820, 1250, 59_990, 125_000, 12_000_000].map(duration),
		['0 ms', '820 ms', '1.2 s', '59.9 s', '2 min 05 s', '3 h 20 min'],
	);
});

test('events read as plain sentences', () => {
	const due_at = new Date(2026, 0, 31, 14, 2, 10).toISOString();
	const events = [
		{ event_type: 'order_created' },
		{ event_type: 'payment_processed', message: 'Payment captured' },
		{ event_type: 'payment_refunded', message: 'done', metadata: { amount: 49 } },
		{ event_type: 'stage_retrying', message: 'the bank did not answer', metadata: { due_at } },
		{ event_type: 'stage_failed', stage: 'inventory', message: 'Insufficient inventory' },
		{ event_type: 'gift_wrapped', message: '' },
	];
	assert.deepEqual(events.map(sentence), [
		'Order received',
		'Payment captured',
		'Refunded 49.00',
		'The bank did not answer, trying again at 14:02:10',
		'Insufficient inventory',
		'Gift wrapped',
	]);
	assert.equal(humanise('payment_processing'), 'Payment processing');
});

test('parallel stages share a level and redundant edges are left out', () => {
	const { places, edges } = layOut([
		{ name: 'a', after: [] },
		{ name: 'b', after: ['a'] },
		{ name: 'c', after: ['a'] },
		{ name: 'd', after: ['a', 'b', 'c'] },
	]);
	assert.deepEqual(places.get('c'), { level: 1, lane: 1 });
	assert.deepEqual(places.get('d'), { level: 2, lane: 0 });
	assert.deepEqual(
		edges.map(({ from, to }) => from + to),
		['ab', 'ac', 'bd', 'cd'],
	);
});

test('a cycle does not hang the drawing', () => {
	const { places } = layOut([
		{ name: 'a', after: ['b'] },
		{ name: 'b', after: ['a'] },
	]);
	assert.equal(places.size, 2);
});

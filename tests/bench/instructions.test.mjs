// No piece of an order may cost a tenth more instructions than when it was recorded, unseen. Who makes one dearer on
// purpose, or cheaper, records it: packaging/dev bench --record-instructions.
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import test from 'node:test';
import { compare, countInstructions, GROWTH_MAX, madeWith, readRecorded } from './instructions.mjs';

const recorded = readRecorded();
const skip = isDeepStrictEqual(recorded.made_with, madeWith()) ? false
  : `recorded with ${JSON.stringify(recorded.made_with)}, here is ${JSON.stringify(madeWith())}`;
const grown = (now, was) => compare(now, was).filter(({ ratio }) => ratio > GROWTH_MAX);
const words = ({ piece, now, was }) => `${piece}: ${now} instructions per order, recorded ${was}`;
let counted = null;

test('no_piece_costs_a_tenth_more_than_recorded', { skip }, () => {
  counted = countInstructions();
  for (const one of compare(counted, recorded.per_order)) {
    console.log(words(one));
    if (one.ratio < 1 / GROWTH_MAX)
      console.log(`${one.piece} became cheaper by more than a tenth: packaging/dev bench --record-instructions`);
  }
  assert.deepEqual(grown(counted, recorded.per_order).map(words), []);
});

test('a_piece_that_is_done_twice_is_named', { skip }, () => {
  assert.deepEqual(grown(countInstructions('order_read'), counted).map(({ piece }) => piece), ['order_read']);
});

test('a_piece_without_a_record_is_named', () => {
  assert.deepEqual(grown({ a: 1, b: 2 }, { a: 1 }).map(({ piece }) => piece), ['b']);
});

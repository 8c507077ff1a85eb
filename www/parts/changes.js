/* What is different between an order at two moments. */
import { h } from '../dom.js';
import { capital, fullTime, humanise, money, orderStatus, stageWord, toCents } from '../format.js';

/* Told by the slider, or of no use to people. */
const untold = new Set(['id', 'stages', 'updated_at', 'last_seq', 'created_at']);

/* [{ what, before, after }]; texts, null where there was nothing. `before` may be null: no order yet. `between`: the
 * events that made the difference. Pure. */
export function changesOf(before, after, between) {
  return [...fieldChanges(before ?? {}, after), ...stageChanges(before, after), ...resultChanges(between)];
}

function fieldChanges(before, after) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names
    .filter((name) => !untold.has(name))
    .map((name) => ({ what: humanise(name), before: valueText(name, before[name]), after: valueText(name, after[name]) }))
    .filter(isDifferent);
}

function stageChanges(before, after) {
  const was = new Map((before?.stages ?? []).map((stage) => [stage.name, stage]));
  return (after.stages ?? []).flatMap((stage) => {
    const old = was.get(stage.name);
    const facts = [
      ['', (s) => stageWord(s.status).label],
      [', attempt', (s) => (s.attempt ? String(s.attempt) : null)],
      [', error', (s) => (s.error ? capital(s.error) : null)],
    ];
    return facts
      .map(([suffix, of]) => ({ what: humanise(stage.name) + suffix, before: old ? of(old) : null, after: of(stage) }))
      .filter(isDifferent);
  });
}

function resultChanges(events) {
  return events.flatMap(({ stage, metadata }) =>
    Object.entries(metadata ?? {}).map(([key, value]) => ({
      what: stage ? `${humanise(stage)}, ${humanise(key).toLowerCase()}` : humanise(key),
      before: null,
      after: valueText(key, value),
    })),
  );
}

const isDifferent = ({ before, after }) => before !== after;

function valueText(name, value) {
  if (value === undefined || value === null)
    return null;
  if (name === 'status')
    return orderStatus(value).label;
  if (name === 'items' && Array.isArray(value))
    return value.map((item) => `${item.quantity} × ${item.name}`).join(', ');
  if (name === 'total_amount')
    return money(toCents(value));
  if (name.endsWith('_at'))
    return fullTime(value);
  if (value === true)
    return 'Yes';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

export function changesTable(changes) {
  if (!changes.length)
    return h('p', { class: 'changes-none' }, 'Nothing that is shown here is different.');
  const cell = (text, word) => h('td', { class: `changes-${word}` }, text === null ? '–' : h('bdi', {}, text));
  return h(
    'table',
    { class: 'changes' },
    h('caption', { class: 'visually-hidden' }, 'What is different'),
    h('thead', {}, h('tr', {}, ['What', 'Before', 'After'].map((label) => h('th', { scope: 'col' }, label)))),
    h(
      'tbody',
      {},
      changes.map(({ what, before, after }) =>
        h('tr', {}, h('th', { scope: 'row' }, what), cell(before, 'before'), cell(after, 'after')),
      ),
    ),
  );
}

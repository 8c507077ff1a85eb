/* What happened to an order, newest first, in plain sentences. */
import { h } from '../dom.js';
import { icon } from './icons.js';
import { duration, eventSign, fullTime, humanise, moment, sentence } from '../format.js';

const MAX_FACTS = 4;
/* Told by the sentence or by the line under it already. */
const told = new Set(['due_at', 'attempt', 'amount', 'error', 'items', 'total_amount']);

/* Returns { element, show(events) }; events are added, never changed. */
export function history() {
  const element = h('ol', { class: 'history', reversed: true, 'aria-label': 'History, newest first' });
  const shown = new Map();

  function show(events) {
    const isFirst = shown.size === 0;
    for (const event of events) {
      if (shown.has(event.seq))
        continue;
      const item = historyItem(event, !isFirst);
      shown.set(event.seq, item);
      element.insertBefore(item, nextOlder(event.seq));
    }
  }

  function nextOlder(seq) {
    for (const item of element.children) {
      if (Number(item.dataset.seq) < seq)
        return item;
    }
    return null;
  }

  return { element, show };
}

function historyItem(event, isNew) {
  const { tone, icon: sign } = eventSign(event);
  return h(
    'li',
    { class: `history-item tone-${tone}${isNew ? ' is-new' : ''}`, 'data-seq': event.seq },
    h('span', { class: 'history-sign' }, icon(sign)),
    h(
      'div',
      { class: 'history-text' },
      h('p', { class: 'history-sentence' }, sentence(event)),
      h('p', { class: 'history-facts' }, facts(event).join(' · ')),
    ),
    h(
      'time',
      { class: 'history-time', datetime: event.timestamp, title: fullTime(event.timestamp) },
      moment(event.timestamp),
    ),
  );
}

function facts(event) {
  const list = [];
  if (event.stage)
    list.push(humanise(event.stage));
  if (event.attempt > 1)
    list.push(`Attempt ${event.attempt}`);
  if (event.duration_ms > 0)
    list.push(duration(event.duration_ms));
  for (const [key, value] of Object.entries(event.metadata ?? {}).slice(0, MAX_FACTS)) {
    if (!told.has(key) && ['string', 'number'].includes(typeof value))
      list.push(`${humanise(key)} ${value}`);
  }
  return list;
}

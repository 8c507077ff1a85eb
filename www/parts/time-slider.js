/* A slider over the events of an order: one handle is the moment that is shown, the other the moment it is compared
 * with. Both are native ranges on one track, so arrow keys, Home and End work, and screen readers hear the event. */
import { h, fill } from '../dom.js';
import { clock, eventSign, sentence } from '../format.js';

/* Returns { element, show(events, from, at), focus() }. Positions are indices into `events`; `from` may be -1: before
 * all of them. `onMove(from, at, which)`: somebody moved the handle `which`. */
export function timeSlider({ onMove }) {
  const from = handle('from', 'Compared with');
  const at = handle('at', 'Moment');
  const marks = h('div', { class: 'moments-marks', 'aria-hidden': 'true' });
  const span = h('span', { class: 'moments-span' });
  const element = h(
    'div',
    { class: 'moments', role: 'group', 'aria-label': 'Moments of the order' },
    h('div', { class: 'moments-track' }, marks, from, at),
  );
  let events = [];

  function handle(name, label) {
    return h('input', {
      type: 'range',
      class: `moments-handle moments-${name}`,
      'aria-label': label,
      step: 1,
      oninput: () => moved(name),
    });
  }

  /* They do not pass each other: the one that is moved pushes. */
  function moved(which) {
    let [first, second] = [Number(from.value) - 1, Number(at.value) - 1];
    if (which === 'at' && second < 0)
      second = 0;
    if (first > second)
      [first, second] = which === 'at' ? [second, second] : [first, first];
    onMove(first, second, which);
  }

  const place = (index) => `${(100 * (index + 1)) / Math.max(1, events.length)}%`;

  /* Position 0 is before the first event, where only the comparison can stand. */
  function set(input, index) {
    input.max = events.length;
    input.min = 0;
    input.value = index + 1;
    input.setAttribute('aria-valuetext', momentText(events, index));
  }

  function show(next, fromIndex, atIndex) {
    if (next.length !== events.length)
      fill(marks, span, next.map((event, i) => mark(event, (100 * (i + 1)) / next.length)));
    events = next;
    set(from, fromIndex);
    set(at, atIndex);
    span.style.insetInlineStart = place(fromIndex);
    span.style.insetInlineEnd = `calc(100% - ${place(atIndex)})`;
  }

  return { element, show, focus: () => at.focus() };
}

function mark(event, percent) {
  const element = h('span', { class: `moments-mark tone-${eventSign(event).tone}` });
  element.style.insetInlineStart = `${percent}%`;
  return element;
}

export function momentText(events, index) {
  if (index < 0)
    return 'Before the first event';
  const event = events[index];
  return `After event ${index + 1} of ${events.length}: ${sentence(event)}, ${clock(event.timestamp)}`;
}

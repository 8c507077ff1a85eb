/* A number with its name above and a word below. */
import { h, setText } from '../dom.js';

export function figure(name, { href } = {}) {
  const value = h('span', { class: 'figure-value' });
  const note = h('span', { class: 'figure-note' });
  const element = h(
    href ? 'a' : 'div',
    { class: 'figure', href },
    h('span', { class: 'figure-name' }, name),
    value,
    note,
  );
  return { element, value, note };
}

export function showFigure({ element, value, note }, text, more = '', tone = null) {
  setText(value, text);
  setText(note, more);
  element.className = `figure${tone ? ` is-loud tone-${tone}` : ''}`;
}

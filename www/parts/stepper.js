/* A quantity: minus, a number to type, plus. Arrow keys change by one, page keys by ten. */
import { h } from '../dom.js';
import { icon } from './icons.js';

const steps = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 };

/* Calls onChange(number, or NaN for what is no whole number). */
export function stepper({ id, label, value, max, describedBy, onChange }) {
  const input = h('input', {
    id,
    class: 'stepper-input',
    role: 'spinbutton',
    inputmode: 'numeric',
    autocomplete: 'off',
    maxlength: 5,
    'aria-label': `Quantity of ${label}`,
    'aria-describedby': describedBy,
    'aria-valuemin': 0,
    'aria-valuemax': max,
  });

  function set(next) {
    value = next;
    const isNumber = !Number.isNaN(next);
    if (isNumber && input.value !== String(next))
      input.value = String(next);
    if (isNumber)
      input.setAttribute('aria-valuenow', next);
    else
      input.removeAttribute('aria-valuenow');
  }

  function change(next) {
    set(next);
    onChange(next);
  }

  const bump = (by) => change(Math.min(max, Math.max(0, (Number.isNaN(value) ? 0 : value) + by)));

  input.addEventListener('input', () => change(parse(input.value)));
  input.addEventListener('keydown', (event) => {
    if (!(event.key in steps))
      return;
    event.preventDefault();
    bump(steps[event.key]);
  });
  input.addEventListener('focus', () => input.select());

  const button = (sign, by, words) =>
    h(
      'button',
      { type: 'button', class: 'stepper-button', 'aria-label': words, onclick: () => bump(by) },
      icon(sign),
    );
  const element = h(
    'div',
    { class: 'stepper' },
    button('minus', -1, `One ${label} less`),
    input,
    button('plus', 1, `One ${label} more`),
  );
  set(value);
  return { element, input, set };
}

function parse(text) {
  return /^\d+$/.test(text.trim()) ? Number(text) : NaN;
}

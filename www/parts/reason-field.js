/* The field that asks why: whatever changes something is journaled with its reason. */
import { h, fill } from '../dom.js';
import { icon } from './icons.js';

const REASON_MAX_BYTES = 500;

/* What is wrong with it; '': nothing. */
export function reasonFault(reason) {
  if (!reason)
    return 'Say in a few words why';
  return new TextEncoder().encode(reason).length > REASON_MAX_BYTES ? 'Say it more shortly' : '';
}

/* Returns { element, input, setError(text) }; `id` begins the ids of its parts. */
export function reasonField({ id, hint }) {
  const error = h('p', { class: 'field-error', id: `${id}-error`, hidden: true });
  const input = h('input', {
    id: `${id}-reason`,
    class: 'input',
    autocomplete: 'off',
    maxlength: REASON_MAX_BYTES,
    required: true,
    dir: 'auto',
    'aria-describedby': `${id}-hint ${id}-error`,
    oninput: () => setError(''),
  });

  function setError(text) {
    error.hidden = !text;
    fill(error, text && icon('alert'), text);
    if (text)
      input.setAttribute('aria-invalid', 'true');
    else
      input.removeAttribute('aria-invalid');
  }

  const element = h(
    'div',
    { class: 'field' },
    h('label', { class: 'field-label', for: `${id}-reason` }, 'Reason'),
    input,
    error,
    h('p', { class: 'field-hint', id: `${id}-hint` }, hint),
  );
  return { element, input, setError };
}

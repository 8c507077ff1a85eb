/* Correcting an order on hold: what it says as JSON, what is different from the original, and a reason. The original
 * stays in the journal. */
import { h, fill } from '../dom.js';
import { post } from '../api.js';
import { shortId } from '../format.js';
import { askWhy } from './ask-why.js';
import { changesOf, changesTable } from './changes.js';
import { icon } from './icons.js';

/* Set by Stageline; nobody can give them. */
const own = new Set(['id', 'status', 'created_at', 'updated_at', 'completed_at', 'error', 'generation', 'last_seq', 'stages']);

const saidBy = (order) => Object.fromEntries(Object.entries(order).filter(([name]) => !own.has(name)));

export function editLetter({ order }, { signal, announce, onDone }) {
  const original = saidBy(order);
  const input = h('textarea', {
    id: 'edit-order',
    class: 'input edit-input mono',
    rows: 14,
    spellcheck: 'false',
    autocomplete: 'off',
    autocapitalize: 'off',
    'aria-describedby': 'edit-error',
    oninput: show,
  });
  const error = h('p', { class: 'field-error', id: 'edit-error', hidden: true });
  const diff = h('div', { class: 'edit-diff', 'aria-live': 'polite' });
  let edited = original;

  function setError(text) {
    error.hidden = !text;
    fill(error, text && icon('alert'), text);
    if (text)
      input.setAttribute('aria-invalid', 'true');
    else
      input.removeAttribute('aria-invalid');
  }

  function show() {
    try {
      edited = JSON.parse(input.value);
      if (edited === null || typeof edited !== 'object' || Array.isArray(edited))
        throw new SyntaxError('It must be an object');
      setError('');
      fill(diff, h('h3', {}, 'What is different'), isSame() ? h('p', { class: 'changes-none' }, 'Nothing yet.') : changesTable(changesOf(original, edited, [])));
    } catch (fault) {
      edited = null;
      setError(`This is not JSON: ${fault.message}`);
    }
  }

  const isSame = () => JSON.stringify(edited) === JSON.stringify(original);

  function check() {
    if (edited && isSame())
      setError('Nothing is different: retry it instead.');
    if (error.hidden)
      return '';
    input.focus();
    return 'edit';
  }

  input.value = JSON.stringify(original, null, 2);
  const dialog = askWhy({
    title: `Correct order ${shortId(order.id)} and retry it`,
    about: 'It is checked like a new order and goes on where it is held, with all its attempts. The original stays in the journal.',
    action: 'Correct and retry',
    isWide: true,
    fields: [
      h('div', { class: 'edit-columns' }, h('div', { class: 'field' }, h('label', { class: 'field-label', for: 'edit-order' }, 'The order'), input, error), diff),
    ],
    hint: 'It stays in the history of the order.',
    signal,
    check,
    send: (reason) => post(`/dead-letters/${encodeURIComponent(order.id)}/edit`, { order: edited, reason }, { signal }),
    onDone: () => {
      announce('Corrected; it is tried again');
      onDone();
    },
  });
  show();
  return dialog;
}

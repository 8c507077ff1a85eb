/* The dialog that changes a value of the state: adds to it, sets it, or deletes it. */
import { h, fill, setText } from '../dom.js';
import { post } from '../api.js';
import { whole } from '../format.js';
import { askWhy } from './ask-why.js';
import { icon } from './icons.js';

/* `key` null: a new one. `value` undefined: there is none. */
export function adjustValue({ key, value }, { signal, announce, onDone }) {
  const isNumber = Number.isInteger(value);
  const modes = [
    isNumber && { name: 'add', label: 'Add' },
    { name: 'set', label: 'Set' },
    key !== null && { name: 'delete', label: 'Delete' },
  ].filter(Boolean);
  const keyField = key === null && textField('adjust-key', 'Key', { placeholder: 'stock/PROD-005', maxlength: 256 });
  const field = textField('adjust-value', 'Amount', { oninput: show });
  const outcome = h('p', { class: 'dry-run', role: 'status' });
  const radios = modes.map(({ name, label }, i) =>
    h('label', { class: 'choice' }, h('input', { type: 'radio', name: 'adjust-mode', value: name, checked: i === 0, onchange: show }), label),
  );
  const choice = modes.length > 1 && h('fieldset', { class: 'choices' }, h('legend', { class: 'visually-hidden' }, 'What to do'), radios);

  const mode = () => (choice ? choice.querySelector('input:checked').value : modes[0].name);

  /* { body } or { fault } */
  function change() {
    const text = field.input.value.trim();
    if (mode() === 'delete')
      return { body: { value: null }, text: 'The value is deleted.' };
    if (mode() === 'add')
      return addition(text, value);
    if (text === '')
      return { fault: 'Say what it should be' };
    const parsed = parse(text);
    return parsed === undefined || parsed === null
      ? { fault: 'A number, or JSON such as "text" or {"a": 1}' }
      : { body: { value: parsed }, text: `It becomes ${JSON.stringify(parsed)}.` };
  }

  function show() {
    field.setError('');
    field.element.hidden = mode() === 'delete';
    setText(field.label, mode() === 'add' ? 'Amount, less than 0 to take away' : 'Value');
    const { text } = change();
    setText(outcome, text ?? (value === undefined ? 'There is no value yet.' : `Now: ${JSON.stringify(value)}`));
  }

  function check() {
    const newKey = keyField ? keyField.input.value.trim() : key;
    const keyFault = !newKey ? 'Give the key' : newKey.startsWith('stageline/') ? 'Keys that start with stageline/ are Stageline’s own' : '';
    if (keyField)
      keyField.setError(keyFault);
    const { fault = '' } = change();
    field.setError(fault);
    if (keyFault)
      keyField.input.focus();
    else if (fault)
      field.input.focus();
    return keyFault || fault;
  }

  askWhy({
    title: key === null ? 'New value' : `Adjust ${key}`,
    action: key === null ? 'Create' : 'Adjust',
    fields: [keyField && keyField.element, choice, field.element, outcome].filter(Boolean),
    hint: 'It stays in the journal.',
    signal,
    check,
    send: (reason) => post('/state/adjust', { key: keyField ? keyField.input.value.trim() : key, reason, ...change().body }, { signal }),
    onDone: ({ adjusted }) => {
      announce(`${adjusted} is changed`);
      onDone();
    },
  });
  show();
}

function addition(text, value) {
  if (!/^[+-]?\d{1,15}$/.test(text) || Number(text) === 0)
    return { fault: 'A whole number, such as 40 or -3' };
  const delta = Number(text);
  const after = value + delta;
  return after < 0
    ? { fault: `Only ${whole(value)} are there`, text: `Only ${whole(value)} are there.` }
    : { body: { delta }, text: `${whole(value)} becomes ${whole(after)}.` };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function textField(id, name, attributes) {
  const label = h('label', { class: 'field-label', for: id }, name);
  const error = h('p', { class: 'field-error', id: `${id}-error`, hidden: true });
  const input = h('input', { id, class: 'input', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', 'aria-describedby': `${id}-error`, ...attributes });

  function setError(text) {
    error.hidden = !text;
    fill(error, text && icon('alert'), text);
    if (text)
      input.setAttribute('aria-invalid', 'true');
    else
      input.removeAttribute('aria-invalid');
  }

  return { element: h('div', { class: 'field' }, label, input, error), label, input, setError };
}

/* A dialog that asks why before something is changed, sends it, and tells in itself when that was refused. */
import { h, fill } from '../dom.js';
import { icon } from './icons.js';
import { problemText } from './notice.js';
import { reasonFault, reasonField } from './reason-field.js';

let n = 0;

/* Opens at once and goes away when it is closed.
 *   title, about      text; `about` may be an element too
 *   action            what the button says; `isDangerous` makes it red
 *   fields            elements above the reason; `isWide` gives them room
 *   hint              under the reason
 *   check()           '' or what is wrong with the fields; they show it themselves
 *   send(reason)      does it; a Problem stays in the dialog
 *   onDone(answer)    after it was closed again */
export function askWhy({ title, about, action, isDangerous, isWide, fields = [], hint, check, send, onDone, signal }) {
  const id = `why-${++n}`;
  const opener = document.activeElement;
  const field = reasonField({ id, hint });
  const note = h('div', { role: 'status' });
  const button = h('button', { type: 'submit', class: `button button-${isDangerous ? 'danger' : 'primary'}` }, action);
  const dialog = h(
    'dialog',
    { class: `dialog${isWide ? ' dialog-wide' : ''}`, 'aria-labelledby': `${id}-title`, onclose: gone },
    h(
      'form',
      { class: 'dialog-form', novalidate: true, onsubmit: submit },
      h('h2', { class: 'dialog-title', id: `${id}-title` }, title),
      about && h('div', { class: 'dialog-about' }, about),
      fields,
      field.element,
      note,
      h(
        'div',
        { class: 'dialog-buttons' },
        h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Back'),
        button,
      ),
    ),
  );
  let isBusy = false;

  function gone() {
    dialog.remove();
    if (opener?.isConnected)
      opener.focus();
  }

  function setBusy(is) {
    isBusy = is;
    button.setAttribute('aria-busy', String(is));
    fill(button, is && icon('working'), action);
  }

  async function submit(event) {
    event.preventDefault();
    if (isBusy)
      return;
    if (check?.())
      return;
    const reason = field.input.value.trim();
    const fault = reasonFault(reason);
    field.setError(fault);
    if (fault) {
      field.input.focus();
      return;
    }
    fill(note);
    setBusy(true);
    try {
      const answer = await send(reason);
      dialog.close();
      onDone?.(answer);
    } catch (problem) {
      if (!signal.aborted)
        showProblem(problem);
    }
    setBusy(false);
  }

  function showProblem(problem) {
    const faults = (problem.errors ?? []).map(({ pointer, detail }) => `${(pointer ?? '').slice(1)} ${detail}`.trim());
    const text = [problemText(problem) || problem.title, ...faults].filter(Boolean);
    fill(note, h('div', { class: 'notice tone-bad' }, icon('alert'), h('div', {}, text.map((line) => h('p', {}, line)))));
  }

  signal.addEventListener('abort', () => dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  (dialog.querySelector('[autofocus], .input') ?? field.input).focus();
  return { close: () => dialog.close() };
}

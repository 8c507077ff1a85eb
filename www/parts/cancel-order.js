/* Cancelling an order: a button while that is possible, and a dialog that asks why. */
import { h, fill, setText } from '../dom.js';
import { post } from '../api.js';
import { hasTurnedRound, humanise, isTerminal, listed } from '../format.js';
import { icon } from './icons.js';
import { problemText } from './notice.js';
import { reasonField, reasonFault } from './reason-field.js';

const tooLateWords = {
  completed: 'the order is completed',
  failed: 'the order has failed',
  cancelled: 'the order is cancelled already',
};

export const canCancel = (order, events) => !isTerminal(order.status) &&
  order.status !== 'compensating' && !hasTurnedRound(events);

/* Returns { element, show(order, events) }.
 *   path                the order's
 *   onAnswer(answer)    { order, events } after it was cancelled
 *   onGone()            the button that had the focus is no more: someone else must take it */
export function cancelOrder({ path, signal, announce, onAnswer, onGone }) {
  const opener = h(
    'button',
    { type: 'button', class: 'button', 'aria-haspopup': 'dialog', hidden: true, onclick: ask },
    icon('ban'),
    'Cancel order',
  );
  const about = h('p', { class: 'dialog-about', id: 'cancel-about' });
  const field = reasonField({ id: 'cancel', hint: 'It stays in the history of the order.' });
  const note = h('div', { role: 'status' }); /* the page's announcer is inert behind a dialog */
  const keep = h('button', { type: 'button', class: 'button', onclick: () => dialog.close() });
  const send = h('button', { type: 'submit', class: 'button button-danger' });
  const dialog = h(
    'dialog',
    {
      class: 'dialog',
      'aria-labelledby': 'cancel-title',
      'aria-describedby': 'cancel-about',
      onclose: () => opener.hidden && onGone(),
    },
    h(
      'form',
      { class: 'dialog-form', novalidate: true, onsubmit: submit },
      h('h2', { class: 'dialog-title', id: 'cancel-title' }, 'Cancel this order?'),
      about,
      field.element,
      note,
      h('div', { class: 'dialog-buttons' }, keep, send),
    ),
  );
  let isBusy = false;
  let last = null;

  function ask() {
    fill(note);
    field.setError('');
    field.element.hidden = about.hidden = send.hidden = false;
    setText(keep, 'Keep order');
    setBusy(false);
    dialog.showModal();
    field.input.focus();
  }

  function setBusy(is) {
    isBusy = is;
    send.setAttribute('aria-busy', String(is));
    fill(send, is && icon('working'), is ? 'Cancelling…' : 'Cancel order');
  }

  async function submit(event) {
    event.preventDefault();
    if (isBusy || send.hidden)
      return;
    const reason = field.input.value.trim();
    const fault = reasonFault(reason);
    fill(note);
    field.setError(fault);
    if (fault) {
      field.input.focus();
      return;
    }
    setBusy(true);
    try {
      const answer = await post(`${path}/cancel`, { reason }, { signal });
      onAnswer(answer);
      dialog.close();
      announce(answer.order.status === 'cancelled' ? 'Order cancelled' : 'The order is being cancelled');
    } catch (problem) {
      if (!signal.aborted)
        showProblem(problem);
    }
    setBusy(false);
    if (last)
      show(...last);
  }

  function showProblem(problem) {
    if (problem.status === 409) {
      showTooLate(problem.detail);
      return;
    }
    const [fault] = problem.errors;
    if (fault) {
      field.setError(`The reason ${fault.detail}`);
      field.input.focus();
      return;
    }
    const text = problem.isUnreachable
      ? 'The server did not answer. Try again: it is cancelled once at most.'
      : problemText(problem) || problem.title;
    fill(note, h('div', { class: 'notice tone-bad' }, icon('alert'), h('p', {}, text)));
    if (!dialog.open)
      announce(text);
  }

  function showTooLate(why) {
    const text = `It is too late to cancel: ${why}.`;
    fill(note, h('div', { class: 'notice tone-warn' }, icon('info'), h('p', {}, text)));
    field.element.hidden = about.hidden = send.hidden = true;
    setText(keep, 'Close');
    if (dialog.open)
      keep.focus();
    else
      announce(text);
  }

  function show(order, events) {
    last = [order, events];
    const isPossible = canCancel(order, events);
    const hadFocus = document.activeElement === opener;
    opener.hidden = !isPossible;
    setText(about, aboutText(order));
    if (!isPossible && dialog.open && !isBusy && !send.hidden)
      showTooLate(tooLateWords[order.status] ?? 'the order is being undone already');
    if (!isPossible && hadFocus)
      onGone();
  }

  return { element: h('div', { class: 'track-actions' }, opener, dialog), show };
}

function aboutText({ stages = [] }) {
  const done = stages.filter(({ status, undo_event }) => status === 'done' && undo_event);
  const undone = listed(done.map(({ name }) => humanise(name).toLowerCase()));
  return undone ? `It stops here, and what was done is undone: ${undone}.` : 'It stops here.';
}

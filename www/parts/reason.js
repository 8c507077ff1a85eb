/* Why an order does not simply go on: it is tried again, on hold, undone, failed or cancelled. */
import { h, fill } from '../dom.js';
import { capital, clock, hasTurnedRound, humanise, sentence } from '../format.js';
import { icon } from './icons.js';

/* Returns { element, show(order, events) }; a time that comes changes the words, until `signal` aborts. */
export function reason({ signal }) {
  const element = h('div', { class: 'notice track-reason', hidden: true });
  let timer;
  signal.addEventListener('abort', () => clearTimeout(timer));

  function show(order, events) {
    clearTimeout(timer);
    const told = tell(order, events);
    element.hidden = !told;
    if (!told)
      return;
    element.className = `notice track-reason tone-${told.tone}`;
    fill(
      element,
      icon(told.sign),
      h('div', {}, h('p', { class: 'notice-title' }, told.title), told.text && h('p', {}, told.text)),
    );
    const due = nextDue(order);
    if (due)
      timer = setTimeout(() => show(order, events), Math.min(due - Date.now() + 50, 2 ** 31 - 1));
  }

  return { element, show };
}

function tell(order, events) {
  const teller = { on_hold: onHold, compensating, failed, cancelled }[order.status] ?? retrying;
  return teller(order, events);
}

function onHold(order, events) {
  const stage = humanise(order.stages?.find(({ status }) => status === 'held')?.name ?? 'the order');
  return {
    tone: 'warn',
    sign: 'pause',
    title: order.error ? `On hold: ${order.error}` : 'On hold',
    text: hasTurnedRound(events)
      ? `${stage} could not be undone. The order waits until an operator has decided what to do.`
      : `${stage} is not tried again by itself. The order waits until an operator has decided what to do.`,
  };
}

function compensating(order, events) {
  const again = retries(order).map(retryText);
  const text = ['What was already done is being undone.', ...again].join(' ');
  const asked = askedFor(events);
  return asked
    ? { tone: 'undo', sign: 'undo', title: sentence(asked), text }
    : { tone: 'bad', sign: 'alert', title: whyFailed(order, events), text };
}

function failed(order, events) {
  return { tone: 'bad', sign: 'alert', title: whyFailed(order, events), text: undone(events) };
}

function cancelled(order, events) {
  const asked = askedFor(events);
  const title = asked?.reason ? `Cancelled: ${asked.reason}` : 'Cancelled';
  return { tone: 'idle', sign: 'ban', title, text: undone(events) };
}

function retrying(order) {
  const stages = retries(order);
  if (stages.length === 0)
    return null;
  const title = capital(stages[0].error);
  return { tone: 'warn', sign: 'retry', title, text: stages.map(retryText).join(' ') };
}

const askedFor = (events) => events.find(({ event_type }) => event_type === 'cancel_requested');

const whyFailed = (order, events) =>
  capital(order.error ?? events.findLast(({ status }) => status === 'failed')?.message ?? 'Failed');

const undone = (events) =>
  events
    .filter(({ status }) => status === 'undone')
    .map((event) => `${sentence(event)}.`)
    .join(' ');

/* Stages at work whose last attempt went wrong. */
const retries = ({ stages = [] }) =>
  stages.filter(
    ({ status, error }) => error && ['retrying', 'queued', 'running', 'undoing'].includes(status),
  );

function retryText({ name, status, attempt, due_at }) {
  const what = status === 'undoing' ? `Undoing ${humanise(name).toLowerCase()}` : humanise(name);
  const isDue = !due_at || Date.parse(due_at) <= Date.now();
  return `${what} is tried again ${isDue ? 'now' : `at ${clock(due_at)}`} (attempt ${attempt}).`;
}

function nextDue(order) {
  const times = retries(order).map(({ due_at }) => Date.parse(due_at));
  const next = Math.min(...times.filter((time) => time > Date.now()));
  return Number.isFinite(next) ? next : null;
}

/* Words for people: money, times, statuses and what an event means. Pure; no DOM. */

/* Money is integer cents inside the client; the API reads and writes decimal numbers. */
export const toCents = (decimal) => Math.round(Number(decimal) * 100);
export const toDecimal = (cents) => cents / 100;

const moneyFormat = new Intl.NumberFormat('en', {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});
export const money = (cents) => moneyFormat.format(cents / 100);

const clockFormat = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const dayFormat = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const yearFormat = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium' });
const fullFormat = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeStyle: 'long' });

/* Of what an erased or archived order said there is the amount, if it had one. */
export const isRemoved = ({ erased, archived }) => Boolean(erased || archived);
export const totalText = ({ total_amount: total }) => (total === undefined ? '–' : money(toCents(total)));

/* "14:02:10" */
export const clock = (time) => clockFormat.format(new Date(time));

/* "Sunday 22 November 2026 at 14:02:10 CET" */
export const fullTime = (time) => fullFormat.format(new Date(time));

/* "14:02:10" today, "31 Jan, 14:02" this year, "31 Jan 2025, 14:02" before. */
export function moment(time, now = new Date()) {
  const date = new Date(time);
  if (date.toDateString() === now.toDateString())
    return clock(date);
  const day = date.getFullYear() === now.getFullYear() ? dayFormat : yearFormat;
  return `${day.format(date)}, ${clock(date).slice(0, 5)}`;
}

/* "820 ms", "1.2 s", "2 min 05 s", "3 h 20 min" */
export function duration(ms) {
  if (ms < 1000)
    return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000)
    return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1000);
  const two = (n) => String(n).padStart(2, '0');
  if (seconds < 3600)
    return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`;
}

/* "820 µs", "4.2 ms", "1.2 s"; null: not known */
export function micros(us) {
  if (us === null || us === undefined || Number.isNaN(us))
    return '–';
  if (us < 1000)
    return `${Math.round(us)} µs`;
  return us < 10_000 ? `${(us / 1000).toFixed(1)} ms` : duration(us / 1000);
}

/* "0", "0.4/s", "12/s", "1,240/s" */
export function perSecond(n) {
  if (!n)
    return '0/s';
  return `${n < 10 ? Math.max(0.1, n).toFixed(1).replace('.0', '') : whole(n)}/s`;
}

/* "12 B", "4.2 MiB" */
export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  for (; n >= 1024 && unit < units.length - 1; unit++)
    n /= 1024;
  return `${unit && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

/* "100,000" */
export const whole = (n) => Math.round(n).toLocaleString('en');

/* "payment_processing" → "Payment processing" */
export function humanise(word) {
  return capital(String(word ?? '').replaceAll(/[_-]+/g, ' ').trim());
}

/* As a sentence begins. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export const count = (n, one, many) => `${whole(n)} ${n === 1 ? one : many}`;

/* "a", "a and b", "a, b and c" */
export const listed = (words) => [words.slice(0, -1).join(', '), ...words.slice(-1)].filter(Boolean).join(' and ');

/* The last part of a UUIDv7 is the random one: it tells orders of one second apart. */
export const shortId = (id) => String(id).slice(-8);

/* Order statuses. `tone` picks colour, `icon` the sign beside it; a status is never colour alone. */
const orderStatuses = {
  pending: { label: 'Received', headline: 'Order received', tone: 'active', icon: 'working' },
  validating: { label: 'Checking', headline: 'Checking the order', tone: 'active', icon: 'working' },
  payment_processing: {
    label: 'Taking payment',
    headline: 'Taking payment',
    tone: 'active',
    icon: 'working',
  },
  inventory_check: {
    label: 'Reserving stock',
    headline: 'Reserving stock',
    tone: 'active',
    icon: 'working',
  },
  shipping: { label: 'Shipping', headline: 'Arranging shipment', tone: 'active', icon: 'working' },
  compensating: { label: 'Undoing', headline: 'Undoing what was done', tone: 'undo', icon: 'undo' },
  on_hold: { label: 'On hold', headline: 'Order on hold', tone: 'warn', icon: 'pause' },
  completed: { label: 'Completed', headline: 'Order complete', tone: 'good', icon: 'check' },
  failed: { label: 'Failed', headline: 'Order failed', tone: 'bad', icon: 'cross' },
  cancelled: { label: 'Cancelled', headline: 'Order cancelled', tone: 'muted', icon: 'ban' },
};

/* Any label that a pipeline's author gave a stage is a stage at work. */
export function orderStatus(status) {
  const label = humanise(status);
  return orderStatuses[status] ?? { label, headline: label, tone: 'active', icon: 'working' };
}

const terminal = new Set(['completed', 'failed', 'cancelled']);
export const isTerminal = (status) => terminal.has(status);

/* What a stage is doing. `isCurrent`: the order is here now. */
const stageWords = {
  idle: { label: 'Not started', tone: 'idle' },
  queued: { label: 'In progress', tone: 'active', isCurrent: true },
  running: { label: 'In progress', tone: 'active', isCurrent: true },
  retrying: { label: 'Trying again', tone: 'warn', isCurrent: true, icon: 'retry' },
  waiting: { label: 'Waiting for an answer', tone: 'active', isCurrent: true, icon: 'clock' },
  held: { label: 'On hold', tone: 'warn', isCurrent: true, icon: 'pause' },
  done: { label: 'Done', tone: 'good', icon: 'check' },
  skipped: { label: 'Skipped', tone: 'idle', icon: 'skip' },
  failed: { label: 'Failed', tone: 'bad', icon: 'cross' },
  undoing: { label: 'Undoing', tone: 'undo', isCurrent: true, icon: 'undo' },
  undone: { label: 'Undone', tone: 'undo', icon: 'undo' },
};
export const stageWord = (status) => stageWords[status] ?? stageWords.idle;

const stageIcons = {
  validation: 'clipboard',
  payment: 'card',
  inventory: 'box',
  shipping: 'truck',
};
export const stageIcon = (name) => stageIcons[name] ?? 'stage';

/* From here on nothing new is begun, what was done is undone; it cannot be cancelled any more. */
export const hasTurnedRound = (events) =>
  events.some(({ event_type: type }) => type === 'cancel_requested' || type === 'stage_failed');

/* Events. The type gives the sign where it has one of its own, else the `status` of the event does. */
const eventSigns = {
  created: { tone: 'active', icon: 'inbox' },
  success: { tone: 'good', icon: 'check' },
  failed: { tone: 'bad', icon: 'cross' },
  retrying: { tone: 'warn', icon: 'retry' },
  held: { tone: 'warn', icon: 'pause' },
  undone: { tone: 'undo', icon: 'undo' },
  info: { tone: 'idle', icon: 'info' },
};
const typeSigns = {
  cancel_requested: { tone: 'undo', icon: 'ban' },
  order_cancelled: { tone: 'idle', icon: 'ban' },
  stage_waiting: { tone: 'active', icon: 'clock' },
  stage_signalled: { tone: 'active', icon: 'inbox' },
  stage_released: { tone: 'active', icon: 'retry' },
  stage_skipped: { tone: 'idle', icon: 'skip' },
  order_erased: { tone: 'idle', icon: 'ban' },
  order_archived: { tone: 'idle', icon: 'box' },
  stage_paused: { tone: 'warn', icon: 'pause' },
  stage_resumed: { tone: 'active', icon: 'retry' },
};
export const eventSign = (event) =>
  typeSigns[event.event_type] ?? eventSigns[event.status] ?? eventSigns.info;

const saying = {
  order_created: () => 'Order received',
  order_erased: (e) => `What the order said was erased${because(e.reason)}`,
  order_archived: (e) => `What the order said was archived${because(e.metadata?.file)}`,
  order_validated: (e) => e.message || 'Order checked',
  payment_processed: (e) => e.message || 'Payment captured',
  payment_refunded: (e) => refund(e),
  inventory_reserved: (e) => e.message || 'Stock reserved',
  inventory_released: (e) => e.message || 'Stock put back',
  shipment_created: (e) => e.message || 'Shipment created',
  shipment_cancelled: (e) => e.message || 'Shipment cancelled',
  stage_retrying: (e) => retrying(e),
  attempt_lost: (e) => `${doing(e)} was interrupted${because(e.message)}`,
  stage_failed: (e) => e.message || `${humanise(e.stage)} failed`,
  stage_held: (e) => `${doing(e)} is on hold${because(e.message)}`,
  stage_released: (e) => released(e),
  stage_waiting: (e) => waiting(e),
  stage_signalled: (e) => `${humanise(e.stage)} has its answer and goes on`,
  stage_skipped: (e) => `${humanise(e.stage)} was ${e.message || 'skipped'}`, /* "skipped: why" */
  stage_paused: (e) => `${humanise(e.stage)} was paused${because(e.reason)}`,
  stage_resumed: (e) => `${humanise(e.stage)} was resumed${because(e.reason)}`,
  cancel_requested: (e) => `Cancelling was asked for${because(e.reason)}`,
  order_completed: () => 'Order complete',
  order_failed: () => 'Order failed',
  order_cancelled: () => 'Order cancelled',
};

/* The event in one plain sentence. */
export function sentence(event) {
  const say = saying[event.event_type];
  return capital(say ? say(event) : event.message || humanise(event.event_type));
}

function refund(event) {
  const amount = event.metadata?.amount ?? event.metadata?.refunded;
  if (typeof amount === 'number')
    return `Refunded ${money(toCents(amount))}`;
  return event.message || 'Payment refunded';
}

function retrying(event) {
  const due = event.due_at ?? event.metadata?.due_at;
  const what = event.message || `${doing(event)} did not work`;
  return due ? `${what}, trying again at ${clock(due)}` : `${what}, trying again`;
}

/* When an operator gives an order up, the message says more than the reason. */
function released(event) {
  const isGivenUp = event.reason && event.message !== event.reason;
  return isGivenUp
    ? event.message
    : `An operator let ${humanise(event.stage)} go on${because(event.reason)}`;
}

function waiting(event) {
  const what = `${humanise(event.stage)} waits for an answer from outside`;
  return event.due_at ? `${what}, until ${moment(event.due_at)}` : what;
}

const doing = ({ stage, undo }) => (undo ? `Undoing ${humanise(stage).toLowerCase()}` : humanise(stage));
const because = (text) => (text ? `: ${text}` : '');

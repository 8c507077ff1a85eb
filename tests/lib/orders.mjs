// Orders as tests place and read them.
import { randomUUID } from 'node:crypto';
import { until } from './until.mjs';

const cents = { 'PROD-001': 99999, 'PROD-002': 2999, 'PROD-003': 7999, 'PROD-004': 29999 };
const names = { 'PROD-001': 'Laptop', 'PROD-002': 'Mouse', 'PROD-003': 'Keyboard', 'PROD-004': 'Monitor' };

export const terminal = ['order_completed', 'order_failed', 'order_cancelled'];

export const money = (amount) => Math.round(amount * 100);

// order({ 'PROD-001': 1, 'PROD-002': 2 }): a basket whose total is right.
export function order(basket = { 'PROD-002': 1 }, changes = {}) {
  const items = Object.entries(basket).map(([id, quantity]) => (
    { product_id: id, name: names[id] ?? id, quantity, price: (cents[id] ?? 1000) / 100 }));
  const total = items.reduce((sum, item) => sum + item.quantity * money(item.price), 0);
  return { customer_email: 'ann@example.com', items, total_amount: total / 100, ...changes };
}

export function post(s, body, headers = {}) {
  return fetch(`${s.url}/orders`, { method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body) });
}

// Places an order that must be accepted; what was answered.
export async function place(s, body = order(), headers = {}) {
  const answer = await post(s, body, headers);
  if (answer.status !== 200)
    throw new Error(`POST /orders: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

// An order that is placed until it is known to be accepted, however often the server dies meanwhile: the
// key makes it one order. Calls `onAccepted(id)` in the same turn as the answer is read.
export async function placeStubbornly(s, body, onAccepted, isOver = () => false) {
  const key = randomUUID();
  while (!isOver()) {
    const answer = await post(s, body, { 'Idempotency-Key': key })
      .then(async (a) => ({ status: a.status, body: await a.json() }), () => null);
    if (answer?.status === 200) {
      onAccepted(answer.body.id, body);
      return answer.body.id;
    }
    if (answer && answer.status !== 503 && answer.status !== 429)
      throw new Error(`POST /orders: ${answer.status} ${JSON.stringify(answer.body)}`);
    await new Promise((done) => setTimeout(done, 5));
  }
  return null;
}

export async function getJson(s, path) {
  const answer = await fetch(`${s.url}${path}`);
  if (!answer.ok)
    throw new Error(`GET ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

export const look = (s, id) => getJson(s, `/orders/${id}`);

export const isTerminal = ({ order: o }) => ['completed', 'failed', 'cancelled'].includes(o.status);

// The order with its events once it is terminal.
export async function finished(s, id, deadline = 30_000) {
  let last = null;
  return until(`order ${id} to finish`, async () => {
    last = await look(s, id);
    return isTerminal(last) && last;
  }, { deadline, detail: () => JSON.stringify(last, null, 1) });
}

// All orders, newest first, page after page.
export async function allOrders(s, query = 'limit=200') {
  const orders = [];
  let path = `/orders?${query}`;
  while (path) {
    const answer = await fetch(new URL(path, s.url));
    if (!answer.ok)
      throw new Error(`GET ${path}: ${answer.status} ${await answer.text()}`);
    orders.push(...(await answer.json()).orders);
    path = /<([^>]*)>;\s*rel="?next"?/.exec(answer.headers.get('link') ?? '')?.[1];
  }
  return orders;
}

// { KEY: value } of the state below a prefix.
export async function state(s, prefix) {
  return (await getJson(s, `/state?prefix=${encodeURIComponent(prefix)}`)).state;
}

// Every order ended; with `mayHold`, or waits for an operator.
export const allFinished = (s, deadline = 60_000, mayHold = false) => until('every order to finish', async () => {
  const { in_flight: n, on_hold: held } = await getJson(s, '/stats');
  return n === (mayHold ? held : 0);
}, { deadline, step: 50, detail: async () => JSON.stringify(await getJson(s, '/pipeline')) });

/* The basket of this tab: quantities, e-mail, and the Idempotency-Key under which it is ordered.
 *
 * The key stays the same until the basket changes or the order is accepted, over reloads too: however
 * often a basket is sent, it is ordered once. */
import { toCents, toDecimal } from './format.js';

export const MAX_QUANTITY = 9999;

const BASKET = 'basket';
const KEY = 'order-key';

/* { email, quantities: { product id: number } } as left behind in this tab. */
export function loadBasket() {
  const { email = '', quantities = {} } = read(BASKET) ?? {};
  return { email, quantities };
}

export function saveBasket(basket) {
  write(BASKET, basket);
}

export function clearBasket() {
  write(BASKET, null);
  write(KEY, null);
}

/* The total in cents, or NaN while a quantity cannot be read. */
export function totalCents(basket, products) {
  return linesOf(basket, products).reduce((sum, line) => sum + line.cents, 0);
}

/* What is ordered, in the order of the catalogue. */
export function linesOf(basket, products) {
  return products
    .filter(({ id }) => id in basket.quantities && basket.quantities[id] !== 0)
    .map((product) => {
      const quantity = basket.quantities[product.id];
      return { product, quantity, cents: quantity * toCents(product.price) };
    });
}

/* The body of POST /orders. */
export function orderOf(basket, products) {
  return {
    customer_email: basket.email.trim(),
    items: linesOf(basket, products).map(({ product, quantity }) => ({
      product_id: product.id,
      name: product.name,
      quantity,
      price: product.price,
    })),
    total_amount: toDecimal(totalCents(basket, products)),
  };
}

/* The key for this very order: a new one when anything in it changed. */
export function keyFor(order) {
  const text = JSON.stringify(order);
  const last = read(KEY);
  if (last?.text === text)
    return last.key;
  const key = newKey();
  write(KEY, { key, text });
  return key;
}

/* 128 random bits; crypto.randomUUID would need https or localhost. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/* Without storage (switched off, full) the basket lives as long as the page. */
const memory = new Map();

function read(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name)) ?? memory.get(name) ?? null;
  } catch {
    return memory.get(name) ?? null;
  }
}

function write(name, value) {
  memory.set(name, value);
  try {
    if (value === null)
      sessionStorage.removeItem(name);
    else
      sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    /* `memory` has it. */
  }
}

/* The order form: products, quantities, e-mail, one order. */
import { h, fill, setText } from '../dom.js';
import { get, post } from '../api.js';
import {
  MAX_QUANTITY,
  clearBasket,
  keyFor,
  linesOf,
  loadBasket,
  orderOf,
  saveBasket,
  totalCents,
} from '../basket.js';
import { capital, clock, count, duration, humanise, money, toCents } from '../format.js';
import { icon } from '../parts/icons.js';
import { emptyState, problemState, skeleton } from '../parts/notice.js';
import { stepper } from '../parts/stepper.js';

const RELOAD_MS = 3_000;

export function open(root, { signal, announce, setTitle }) {
  setTitle('New order');
  const head = h(
    'div',
    { class: 'view-head' },
    h(
      'div',
      {},
      h('h1', { tabindex: -1 }, 'New order'),
      h('p', { class: 'lead' }, 'Choose products, then follow the order live.'),
    ),
  );
  const body = h('div', {}, h('div', { class: 'card' }, skeleton('Loading products', 4)));
  fill(root, head, body);
  let timer;

  async function load() {
    clearTimeout(timer);
    try {
      const { products } = await get('/products', { signal });
      fill(body, products.length ? orderForm(products, { signal, announce }) : noProducts());
    } catch (problem) {
      if (signal.aborted)
        return;
      if (!body.querySelector('.problem'))
        fill(body, problemState(problem, load));
      timer = setTimeout(load, RELOAD_MS);
    }
  }

  signal.addEventListener('abort', () => clearTimeout(timer));
  load();
}

function noProducts() {
  return emptyState({
    sign: 'basket',
    title: 'Nothing to order yet',
    text: 'The pipeline file lists no products. Add some under “catalog”.',
  });
}

function orderForm(products, { signal, announce }) {
  const basket = loadBasket();
  const rows = new Map(
    products.map((product) => [product.id, productRow(product, basket, onQuantity)]),
  );
  const email = emailField(basket.email, (value) => {
    basket.email = value;
    saveBasket(basket);
  });
  const summary = orderSummary();
  const problems = h('div', { class: 'notice tone-bad form-problems', hidden: true, tabindex: -1 });
  const productsError = h('p', { class: 'field-error', id: 'products-error', hidden: true });
  let isBusy = false;

  function onQuantity(product, quantity) {
    basket.quantities[product.id] = quantity;
    showError(productsError, '');
    showBasket();
  }

  function showBasket() {
    saveBasket(basket);
    summary.show(linesOf(basket, products), totalCents(basket, products));
  }

  /* [{ field, text }]; a field is { input, setError(text) }, or null for the order as a whole. */
  function showFaults(faults) {
    for (const { field, text } of faults)
      field?.setError(text);
    problems.hidden = faults.length === 0;
    fill(problems, icon('alert'), faults.length > 0 && faultList(faults));
    if (faults.length === 0)
      return;
    announce(`${count(faults.length, 'thing', 'things')} to correct`);
    const first = faults.find(({ field }) => field);
    (first?.field.input() ?? problems).focus();
  }

  function clearFaults() {
    for (const field of [email, ...rows.values()])
      field.setError('');
    showError(productsError, '');
    showFaults([]);
    summary.setNote(null);
  }

  const productsField = {
    input: () => rows.get(products[0].id).input(),
    setError: (text) => showError(productsError, text),
  };

  function faultsHere() {
    const faults = [];
    const lines = linesOf(basket, products);
    if (lines.length === 0)
      faults.push({ field: productsField, text: 'Add at least one product' });
    for (const { product, quantity } of lines) {
      if (!(quantity >= 1 && quantity <= MAX_QUANTITY)) {
        const text = `${product.name}: the quantity must be a whole number up to ${MAX_QUANTITY}`;
        faults.push({ field: rows.get(product.id), text });
      }
    }
    if (!/^[^\s@]+@[^\s@]+$/.test(basket.email.trim()))
      faults.push({ field: email, text: 'Enter an e-mail address, such as ada@example.com' });
    return faults;
  }

  /* The server's words, each beside the field that its pointer names. */
  function faultsOf(problem) {
    const lines = linesOf(basket, products);
    return problem.errors.map(({ pointer = '', detail }) => {
      const [, part, index, member] = pointer.split('/');
      const product = part === 'items' && lines[index]?.product;
      if (product)
        return { field: rows.get(product.id), text: `${product.name}: ${member ?? ''} ${detail}` };
      if (part === 'items')
        return { field: productsField, text: `The list of products ${detail}` };
      if (part === 'customer_email')
        return { field: email, text: `The e-mail address ${detail}` };
      return { field: null, text: capital(`${humanise(part)} ${detail}`.trim()) };
    });
  }

  async function submit(event) {
    event.preventDefault();
    if (isBusy)
      return;
    clearFaults();
    const faults = faultsHere();
    if (faults.length) {
      showFaults(faults);
      return;
    }
    isBusy = true;
    summary.setBusy(true);
    try {
      const order = orderOf(basket, products);
      const headers = { 'Idempotency-Key': keyFor(order) };
      const { id } = await post('/orders', order, { headers, signal });
      clearBasket();
      announce('Order placed');
      location.hash = `#/orders/${encodeURIComponent(id)}`; /* busy until the form has gone: it was ordered */
    } catch (problem) {
      isBusy = false;
      summary.setBusy(false);
      if (!signal.aborted)
        showProblem(problem);
    }
  }

  function showProblem(problem) {
    if (problem.errors?.length) {
      showFaults(faultsOf(problem));
      return;
    }
    summary.setNote(problem, signal);
    announce(noteText(problem));
  }

  const form = h(
    'form',
    { class: 'order-form', novalidate: true, onsubmit: submit },
    h(
      'div',
      { class: 'order-form-fields' },
      problems,
      h(
        'section',
        { class: 'card', 'aria-labelledby': 'products-title' },
        h('h2', { class: 'card-title', id: 'products-title' }, 'Products'),
        productsError,
        h('ul', { class: 'products' }, [...rows.values()].map(({ element }) => element)),
      ),
      h(
        'section',
        { class: 'card', 'aria-labelledby': 'customer-title' },
        h('h2', { class: 'card-title', id: 'customer-title' }, 'Customer'),
        email.element,
      ),
    ),
    summary.element,
  );
  showBasket();
  return form;
}

function faultList(faults) {
  const goTo = (field) => () => field.input().focus();
  return h(
    'div',
    {},
    h('p', { class: 'notice-title' }, `${count(faults.length, 'thing', 'things')} to correct`),
    h(
      'ul',
      {},
      faults.map(({ field, text }) =>
        h(
          'li',
          {},
          field
            ? h('button', { type: 'button', class: 'link', onclick: goTo(field) }, text)
            : text,
        ),
      ),
    ),
  );
}

function showError(element, text) {
  element.hidden = !text;
  fill(element, text && icon('alert'), text);
}

/* One product: "Add" until there is one in the basket, then its quantity. */
function productRow(product, basket, onQuantity) {
  const errorId = `error-${product.id}`;
  const error = h('p', { class: 'field-error', id: errorId, hidden: true });
  const control = h('div', { class: 'product-control' });
  let input;

  function showAdd() {
    const label = `Add ${product.name}`;
    input = h(
      'button',
      { type: 'button', class: 'button button-add', 'aria-label': label, onclick: add },
      icon('plus'),
      'Add',
    );
    fill(control, input);
    element.classList.remove('is-chosen');
  }

  function showStepper() {
    const quantity = stepper({
      id: `quantity-${product.id}`,
      label: product.name,
      value: basket.quantities[product.id] ?? 1,
      max: MAX_QUANTITY,
      describedBy: errorId,
      onChange: change,
    });
    input = quantity.input;
    input.addEventListener('blur', () => basket.quantities[product.id] === 0 && showAdd());
    fill(control, quantity.element);
    element.classList.add('is-chosen');
  }

  function add() {
    onQuantity(product, 1);
    showStepper();
    input.focus();
  }

  /* Typing or counting down to nothing keeps the field until the person leaves it. */
  function change(quantity) {
    setError('');
    onQuantity(product, quantity);
    if (quantity !== 0 || document.activeElement === input)
      return;
    showAdd();
    input.focus();
  }

  function setError(text) {
    showError(error, text);
    if (text)
      input.setAttribute('aria-invalid', 'true');
    else
      input.removeAttribute('aria-invalid');
  }

  const element = h(
    'li',
    { class: 'product' },
    h(
      'div',
      { class: 'product-about' },
      h('span', { class: 'product-name' }, h('bdi', {}, product.name)),
      h('span', { class: 'product-id' }, product.id),
    ),
    h('span', { class: 'product-price' }, money(toCents(product.price))),
    control,
    error,
  );
  if (basket.quantities[product.id])
    showStepper();
  else
    showAdd();
  return { element, input: () => input, setError };
}

function emailField(value, onChange) {
  const input = h('input', {
    id: 'customer-email',
    class: 'input',
    type: 'email',
    name: 'email',
    autocomplete: 'email',
    spellcheck: 'false',
    maxlength: 254,
    required: true,
    'aria-describedby': 'customer-email-hint customer-email-error',
    oninput: () => {
      setError('');
      onChange(input.value);
    },
  });
  const error = h('p', { class: 'field-error', id: 'customer-email-error', hidden: true });
  input.value = value;

  function setError(text) {
    showError(error, text);
    if (text)
      input.setAttribute('aria-invalid', 'true');
    else
      input.removeAttribute('aria-invalid');
  }

  const element = h(
    'div',
    { class: 'field' },
    h('label', { class: 'field-label', for: 'customer-email' }, 'E-mail'),
    input,
    error,
    h('p', { class: 'field-hint', id: 'customer-email-hint' }, 'To find the order again.'),
  );
  return { element, input: () => input, setError };
}

/* What is in the basket, what it costs, and the button. */
function orderSummary() {
  const lines = h('ul', { class: 'summary-lines' });
  const total = h('output', { class: 'summary-total-amount' });
  const label = h('span', {}, 'Place order');
  const button = h('button', { type: 'submit', class: 'button button-primary' }, label);
  const note = h('div', { class: 'notice tone-warn', hidden: true });
  let timer;

  function show(items, cents) {
    fill(lines, items.length ? items.map(summaryLine) : emptyLine());
    setText(total, Number.isNaN(cents) ? '–' : money(cents));
  }

  function setBusy(isBusy) {
    button.setAttribute('aria-busy', String(isBusy));
    fill(button, isBusy && icon('working'), label);
    setText(label, isBusy ? 'Placing order…' : 'Place order');
  }

  function setNote(problem, signal) {
    clearInterval(timer);
    note.hidden = !problem;
    if (!problem)
      return;
    const say = h('p', {});
    fill(note, icon('alert'), say);
    const tick = () => {
      setText(say, noteText(problem) + countdown(problem));
      if (!problem.retryAt || problem.retryAt <= Date.now() || signal.aborted)
        clearInterval(timer);
    };
    timer = setInterval(tick, 1000);
    tick();
  }

  const element = h(
    'aside',
    { class: 'card summary', 'aria-label': 'Your order' },
    h('h2', { class: 'card-title' }, 'Your order'),
    lines,
    h('div', { class: 'summary-total' }, h('span', {}, 'Total'), total),
    button,
    note,
  );
  return { element, show, setBusy, setNote };
}

function summaryLine({ product, quantity, cents }) {
  const times = Number.isNaN(quantity) ? '?' : quantity;
  return h(
    'li',
    { class: 'summary-line' },
    h('span', {}, h('bdi', {}, product.name), h('span', { class: 'summary-times' }, ` × ${times}`)),
    h('span', { class: 'number' }, Number.isNaN(cents) ? '–' : money(cents)),
  );
}

function emptyLine() {
  return h('li', { class: 'summary-empty' }, 'No products yet');
}

function noteText(problem) {
  if (problem.isUnreachable)
    return 'The server did not answer. Place the order again: it will not be ordered twice.';
  if (!problem.isBusy)
    return problem.detail || problem.title;
  const when = problem.retryAt ? ` Try again at ${clock(problem.retryAt)}` : ' Try again in a moment';
  return `${problem.detail || 'Orders cannot be taken right now.'}${when}`;
}

function countdown(problem) {
  const left = problem.retryAt ? problem.retryAt - Date.now() : 0;
  return left > 0 ? ` (in ${duration(Math.ceil(left / 1000) * 1000).replace('.0', '')}).` : '.';
}

/* All orders: by status, searched, page by page, each row live.
 *
 * A row never moves and new rows never push: news is offered above the list. */
import { h, fill, setText } from '../dom.js';
import { get } from '../api.js';
import { follow } from '../live.js';
import { count, fullTime, moment, shortId, totalText } from '../format.js';
import { icon } from '../parts/icons.js';
import { liveChip } from '../parts/live-chip.js';
import { emptyState, problemState, skeleton } from '../parts/notice.js';
import { statusPill, updatePill } from '../parts/pill.js';

const PAGE = 50;
const SEARCH_PAUSE_MS = 250;
const REFRESH_SOON_MS = 80;
const REFRESH_PAUSE_MS = 700;
const RELOAD_MS = 3_000;
/* Rows outside the first page that are asked for one by one when something happened to them. */
const MAX_SINGLE = 8;

const tabs = [
  { status: '', label: 'All' },
  { status: 'open', label: 'In progress' },
  { status: 'completed', label: 'Completed' },
  { status: 'failed', label: 'Failed' },
  { status: 'on_hold', label: 'On hold' },
  { status: 'cancelled', label: 'Cancelled' },
];

export function open(root, { route, signal, announce, setTitle }) {
  setTitle('Orders');
  const live = liveChip(announce);
  const filters = filterBar(onSearch);
  const list = h('div', { class: 'orders-list' });
  const news = h('button', { type: 'button', class: 'orders-news', hidden: true, onclick: showNews });
  const more = h('button', { type: 'button', class: 'button', onclick: loadMore }, 'Load more');
  const foot = h('div', { class: 'orders-foot', hidden: true }, more);
  const rows = new Map();
  const table = orderTable();
  const touched = new Set();
  let query = filterOf(route);
  let next = null;
  let load = new AbortController();
  let refreshTimer = null;
  let refreshedAt = 0;
  let reloadTimer = null;
  let lastSeq = null;

  fill(
    root,
    h(
      'div',
      { class: 'view-head' },
      h('h1', { tabindex: -1 }, 'Orders'),
      h(
        'div',
        { class: 'view-tools' },
        live.chip,
        h('a', { class: 'button button-primary', href: '#/' }, icon('plus'), 'New order'),
      ),
    ),
    live.note,
    filters.element,
    news,
    list,
    foot,
  );

  /* From the top, with the filters as they are. */
  async function reload() {
    load.abort();
    load = new AbortController();
    clearTimeout(reloadTimer);
    next = null; /* known again with the answer */
    news.hidden = true;
    filters.show(query);
    if (rows.size === 0 && !list.querySelector('.problem'))
      fill(list, skeleton('Loading orders', 6));
    list.setAttribute('aria-busy', 'true');
    const loading = AbortSignal.any([signal, load.signal]);
    try {
      const answer = await get(listPath(query), { signal: loading });
      lastSeq ??= answer.seq;
      rows.clear();
      table.body.replaceChildren();
      append(answer);
      announce(resultText(rows.size, next));
    } catch (problem) {
      if (loading.aborted)
        return;
      rows.clear();
      foot.hidden = true;
      if (!list.querySelector('.problem'))
        fill(list, problemState(problem, reload));
      reloadTimer = setTimeout(reload, RELOAD_MS);
    }
    list.removeAttribute('aria-busy');
  }

  function append(answer) {
    for (const order of answer.orders) {
      if (rows.has(order.id))
        continue;
      const row = orderRow(order);
      rows.set(order.id, row);
      table.body.append(row.element);
    }
    next = answer.next ?? null;
    foot.hidden = !next;
    filters.showCounts(answer.counts);
    fill(list, rows.size ? table.element : nothing(query));
  }

  async function loadMore() {
    if (!next)
      return;
    const loading = AbortSignal.any([signal, load.signal]); /* a reload overtakes it */
    more.setAttribute('aria-busy', 'true');
    const before = rows.size;
    try {
      append(await get(listPath(query, next), { signal: loading }));
      announce(`${count(rows.size - before, 'more order', 'more orders')} loaded`);
      [...rows.values()][before]?.link.focus();
    } catch (problem) {
      if (!loading.aborted)
        announce(problem.title);
    }
    more.removeAttribute('aria-busy');
  }

  /* Something happened: the first page says what, at most once per pause. */
  function refreshSoon() {
    const wait = Math.max(REFRESH_SOON_MS, refreshedAt + REFRESH_PAUSE_MS - performance.now());
    refreshTimer ??= setTimeout(async () => {
      refreshedAt = performance.now();
      try {
        await refresh();
      } catch {
        /* The connection's own state tells. */
      }
      refreshTimer = null;
      if (touched.size)
        refreshSoon();
    }, wait);
  }

  async function refresh() {
    const asked = query;
    const ids = new Set(touched);
    touched.clear();
    const answer = await get(listPath(asked), { signal });
    if (asked !== query)
      return;
    filters.showCounts(answer.counts);
    if (rows.size === 0 && answer.orders.length) {
      append(answer);
      return;
    }
    for (const order of answer.orders) {
      rows.get(order.id)?.show(order);
      ids.delete(order.id);
    }
    offerNews(answer);
    const others = [...ids].filter((id) => rows.has(id)).slice(0, MAX_SINGLE);
    await Promise.all(others.map(refreshRow));
  }

  async function refreshRow(id) {
    const { order } = await get(`/orders/${encodeURIComponent(id)}`, { signal });
    rows.get(id)?.show(order);
  }

  function offerNews({ orders }) {
    const fresh = orders.findIndex(({ id }) => rows.has(id));
    const n = fresh < 0 ? orders.length : fresh;
    news.hidden = n === 0 || rows.size === 0;
    if (news.hidden)
      return;
    const many = fresh < 0 ? `${n} or more new orders` : count(n, 'new order', 'new orders');
    const text = `${many} – show`;
    if (news.textContent === text)
      return;
    fill(news, text);
    announce(many);
  }

  async function showNews() {
    await reload();
    rows.values().next().value?.link.focus();
  }

  function onSearch(q) {
    query = { ...query, q };
    history.replaceState(null, '', hrefOf(query)); /* not one step back per letter */
    reload();
  }

  function onMessage({ event }) {
    if (!event)
      return;
    lastSeq = event.seq;
    if (event.order_id)
      touched.add(event.order_id);
    refreshSoon();
  }

  const resume = () => (lastSeq === null ? '' : `?after=${lastSeq}`);
  reload().then(() => follow({
    signal,
    isFresh: lastSeq !== null, /* what came since comes with the connection */
    socket: () => `/ws/events${resume()}`,
    stream: () => `/events${resume()}`,
    poll: refresh,
    onMessage,
    onUp: refreshSoon,
    onState: live.show,
  }));
  signal.addEventListener('abort', () => {
    clearTimeout(refreshTimer);
    clearTimeout(reloadTimer);
  });

  return {
    update(changed) {
      query = filterOf(changed);
      reload();
    },
  };
}

const filterOf = ({ query }) => ({ status: query.get('status') ?? '', q: query.get('q') ?? '' });

function hrefOf({ status, q }) {
  const query = new URLSearchParams();
  if (status)
    query.set('status', status);
  if (q)
    query.set('q', q);
  return `#/orders${query.size ? `?${query}` : ''}`;
}

function listPath({ status, q }, cursor) {
  const query = new URLSearchParams({ limit: PAGE });
  if (status)
    query.set('status', status);
  if (q)
    query.set('q', q);
  if (cursor)
    query.set('cursor', cursor);
  return `/orders?${query}`;
}

const resultText = (n, next) => `${next ? 'More than ' : ''}${count(n, 'order', 'orders')}`;

function nothing({ status, q }) {
  if (!status && !q) {
    return emptyState({
      sign: 'inbox',
      title: 'No orders yet',
      text: 'The first one appears here by itself.',
      action: h('a', { class: 'button', href: '#/' }, 'Place an order'),
    });
  }
  return emptyState({
    sign: 'search',
    title: 'No order matches',
    text: q
      ? `Nothing found for “${q}”. Orders are found by id, e-mail address or product id.`
      : 'No order has this status now.',
    action: h('a', { class: 'button', href: '#/orders' }, 'See all orders'),
  });
}

/* Tabs, which are links, and search. */
function filterBar(onSearch) {
  const links = tabs.map((tab) => {
    const number = h('span', { class: 'tab-count' });
    return { ...tab, number, link: h('a', { class: 'tab' }, tab.label, number) };
  });
  const input = h('input', {
    type: 'search',
    class: 'input search-input',
    'aria-label': 'Search orders',
    placeholder: 'Order id, e-mail or product id',
    autocomplete: 'off',
    spellcheck: 'false',
    maxlength: 200,
  });
  let timer;

  const search = () => {
    clearTimeout(timer);
    onSearch(input.value.trim());
  };
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(search, SEARCH_PAUSE_MS);
  });

  function show(query) {
    if (input.value.trim() !== query.q)
      input.value = query.q;
    for (const { link, status } of links) {
      link.href = hrefOf({ ...query, status });
      if (status === query.status)
        link.setAttribute('aria-current', 'true');
      else
        link.removeAttribute('aria-current');
    }
  }

  function showCounts(counts) {
    for (const { status, number } of links) {
      const n = counts?.[status || 'all'];
      setText(number, n === undefined ? '' : ` ${n.toLocaleString('en')}`);
    }
  }

  const element = h(
    'div',
    { class: 'filters' },
    h('nav', { class: 'tabs', 'aria-label': 'Status' }, links.map(({ link }) => link)),
    h(
      'form',
      {
        class: 'search',
        role: 'search',
        onsubmit: (event) => {
          event.preventDefault();
          search();
        },
      },
      icon('search'),
      input,
    ),
  );
  return { element, show, showCounts };
}

/* Roles are spelled out: on narrow screens CSS lays the table out as blocks, which would drop them. */
function orderTable() {
  const body = h('tbody', { role: 'rowgroup' });
  const head = ['Order', 'Status', 'Customer', 'Items', 'Total', 'Placed'];
  const element = h(
    'table',
    { class: 'orders', role: 'table' },
    h('caption', { class: 'visually-hidden' }, 'Orders, newest first'),
    h(
      'thead',
      { role: 'rowgroup' },
      h(
        'tr',
        { role: 'row' },
        head.map((label) => h('th', { scope: 'col', role: 'columnheader' }, label)),
      ),
    ),
    body,
  );
  return { element, body };
}

function orderRow(order) {
  const href = `#/orders/${encodeURIComponent(order.id)}`;
  const link = h('a', { class: 'order-link mono', href, title: order.id }, shortId(order.id));
  const pill = statusPill(order.status);
  const cell = (name, ...children) => h('td', { role: 'cell', class: `cell-${name}` }, children);
  const placed = h(
    'time',
    { datetime: order.created_at, title: fullTime(order.created_at) },
    moment(order.created_at),
  );
  const element = h(
    'tr',
    { role: 'row' },
    h('th', { role: 'rowheader', scope: 'row', class: 'cell-id' }, link),
    cell('status', pill),
    cell('customer', clamp(customerText(order))),
    cell('items', clamp(...itemsText(order))),
    cell('total', totalText(order)),
    cell('placed', placed),
  );
  const show = (changed) => updatePill(pill, changed.status);
  return { element, link, show };
}

function customerText({ erased, archived, customer_email: email }) {
  if (email)
    return h('bdi', {}, email);
  return h('span', { class: 'order-removed' }, erased ? 'Erased' : archived ? 'Archived' : '–');
}

/* Two lines at most; the order's own page shows all of it. */
const clamp = (...children) => h('div', { class: 'cell-clamp' }, children);

/* A name may run from right to left: it must not turn the rest of the cell. */
function itemsText({ items }) {
  if (!items?.length)
    return ['–'];
  const [first, ...others] = items;
  return [
    h('bdi', {}, first.name),
    first.quantity > 1 && ` × ${first.quantity}`,
    others.length > 0 && ` + ${others.length} more`,
  ];
}

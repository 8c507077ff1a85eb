/* One order, live: where it is, what happened, what is in it. */
import { h, fill, setText } from '../dom.js';
import { get } from '../api.js';
import { follow } from '../live.js';
import {
  duration,
  fullTime,
  isRemoved,
  moment,
  money,
  orderStatus,
  sentence,
  shortId,
  toCents,
  totalText,
} from '../format.js';
import { cancelOrder } from '../parts/cancel-order.js';
import { copyButton } from '../parts/copy-button.js';
import { history } from '../parts/history.js';
import { icon } from '../parts/icons.js';
import { liveChip } from '../parts/live-chip.js';
import { emptyState, problemState, skeleton } from '../parts/notice.js';
import { progress } from '../parts/progress.js';
import { reason } from '../parts/reason.js';

const RELOAD_MS = 3_000;

export function open(root, { route, signal, announce, setTitle }) {
  const [id] = route.params;
  const path = `/orders/${encodeURIComponent(id)}`;
  const page = trackPage(id, {
    signal,
    announce,
    path,
    onAnswer: (answer) => take(answer.order, answer.events ?? []),
  });
  const events = new Map();
  let order = null;
  let timer;

  setTitle(`Order ${shortId(id)}`);
  fill(root, page.loading);

  function show() {
    if (!page.element.isConnected)
      swap(root, page.element);
    const inOrder = [...events.values()].sort((a, b) => a.seq - b.seq);
    page.show(order, inOrder);
    setTitle(`${orderStatus(order.status).label} · Order ${shortId(id)}`);
  }

  function take(next, more) {
    if (next && !isOlder(next, order))
      order = next;
    for (const event of more)
      events.set(event.seq, event);
    show();
  }

  async function refresh() {
    const answer = await get(path, { signal });
    take(answer.order, answer.events ?? []);
  }

  function onMessage({ order: next, event }) {
    if (event && event.order_id !== id)
      return;
    if (!next || !event) { /* the stream of all events carries no order, a welcome no event */
      if (next?.last_seq !== order.last_seq)
        refresh().catch(() => {});
      return;
    }
    const isNews = !events.has(event.seq);
    take(next, [event]);
    if (isNews)
      announce(sentence(event));
  }

  function showProblem(problem) {
    if (problem.status === 404 || problem.status === 400) {
      swap(root, missing(id));
      return;
    }
    if (!root.querySelector('.problem'))
      swap(root, unavailable(id, problem, start));
    timer = setTimeout(start, RELOAD_MS);
  }

  async function start() {
    clearTimeout(timer);
    try {
      await refresh();
    } catch (problem) {
      if (signal.aborted)
        return;
      showProblem(problem);
      return;
    }
    follow({
      signal,
      socket: () => `/ws${path}`,
      stream: () => '/events',
      poll: refresh,
      onMessage,
      onUp: () => refresh().catch(() => {}),
      onState: page.showLive,
    });
  }

  signal.addEventListener('abort', () => clearTimeout(timer));
  start();
}

/* An answer that was overtaken by a live message must not turn time back. */
function isOlder(next, shown) {
  return shown !== null && next.updated_at < shown.updated_at;
}

/* Who had the focus on the heading, as after a navigation, has it on the new one. */
function swap(root, element) {
  const hasFocus = root.contains(document.activeElement);
  fill(root, element);
  if (hasFocus)
    root.querySelector('h1').focus();
}

const hiddenHeading = (text) => h('h1', { class: 'visually-hidden', tabindex: -1 }, text);

function unavailable(id, problem, onRetry) {
  return h('div', {}, hiddenHeading(`Order ${shortId(id)}`), problemState(problem, onRetry));
}

function missing(id) {
  return emptyState({
    isPage: true,
    sign: 'search',
    title: 'There is no such order',
    text: `Nothing is known of ${id}. The link may be incomplete.`,
    action: h('a', { class: 'button', href: '#/orders' }, 'See all orders'),
  });
}

function trackPage(id, { signal, announce, path, onAnswer }) {
  const live = liveChip(announce);
  const headline = h('h1', { tabindex: -1 }, 'Order');
  const sign = h('span', { class: 'track-sign' });
  const about = h('p', { class: 'lead' });
  const why = reason({ signal });
  const cancel = cancelOrder({ path, signal, announce, onAnswer, onGone: () => headline.focus() });
  const way = progress({ signal });
  const past = history();
  const items = h('div', { class: 'track-items' });

  const element = h(
    'div',
    { class: 'track' },
    h(
      'div',
      { class: 'view-head' },
      h(
        'div',
        { class: 'track-title' },
        h(
          'p',
          { class: 'eyebrow' },
          h('a', { href: '#/orders' }, 'Orders'),
          h('span', { 'aria-hidden': 'true' }, '/'),
          h('span', { class: 'mono' }, id),
        ),
        h(
          'div',
          { class: 'track-headline' },
          sign,
          h('div', {}, headline, about),
        ),
      ),
      h(
        'div',
        { class: 'view-tools' },
        live.chip,
        copyButton({ label: 'Copy link', text: () => location.href, announce }),
        cancel.element,
      ),
    ),
    live.note,
    why.element,
    h('section', { class: 'card card-progress', 'aria-label': 'Progress' }, way.element),
    h(
      'div',
      { class: 'track-columns' },
      h(
        'section',
        { class: 'card', 'aria-labelledby': 'history-title' },
        h(
          'div',
          { class: 'track-card-head' },
          h('h2', { class: 'card-title', id: 'history-title' }, 'History'),
          h('a', { href: `#/orders/${encodeURIComponent(id)}/events` }, 'Event by event'),
        ),
        past.element,
      ),
      h(
        'section',
        { class: 'card track-order', 'aria-labelledby': 'items-title' },
        h('h2', { class: 'card-title', id: 'items-title' }, 'Order'),
        items,
      ),
    ),
  );

  function show(order, events) {
    showStatus(sign, headline, order, events);
    fill(about, aboutText(order));
    why.show(order, events);
    cancel.show(order, events);
    way.show(order, events);
    past.show(events);
    fill(items, orderItems(order));
  }

  const loading = h(
    'div',
    { class: 'card' },
    hiddenHeading(`Order ${shortId(id)}`),
    skeleton('Loading the order', 5),
  );
  return { element, loading, show, showLive: live.show };
}

function showStatus(sign, headline, { status }, events) {
  const look = orderStatus(status);
  const isCancelling = status === 'compensating' && isCancelled(events);
  setText(headline, isCancelling ? 'Cancelling the order' : look.headline);
  if (sign.dataset.status === status)
    return;
  sign.dataset.status = status;
  sign.className = `track-sign tone-${look.tone}`;
  fill(sign, icon(look.icon));
}

const isCancelled = (events) => events.some(({ event_type }) => event_type === 'cancel_requested');

function aboutText(order) {
  const placed = [`Placed ${moment(order.created_at)}`];
  if (order.customer_email)
    placed.push(' for ', h('bdi', {}, order.customer_email));
  if (!order.completed_at)
    return placed;
  const took = duration(Date.parse(order.completed_at) - Date.parse(order.created_at));
  return [...placed, ` · ${order.status === 'completed' ? 'finished in' : 'ended after'} ${took}`];
}

function orderItems(order) {
  const rows = (order.items ?? []).map(({ product_id, name, quantity, price }) =>
    h(
      'tr',
      {},
      h(
        'th',
        { scope: 'row' },
        h('span', { class: 'item-name' }, h('bdi', {}, name)),
        h('span', { class: 'item-id' }, `${product_id} · ${quantity} × ${money(toCents(price))}`),
      ),
      h('td', {}, money(toCents(price) * quantity)),
    ),
  );
  return [
    isRemoved(order) && removedNote(order),
    h(
      'table',
      { class: 'items' },
      h('caption', { class: 'visually-hidden' }, 'Items'),
      h('tbody', {}, rows),
      h(
        'tfoot',
        {},
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, 'Total'),
          h('td', {}, totalText(order)),
        ),
      ),
    ),
    h(
      'dl',
      { class: 'track-facts' },
      order.customer_email && fact('Customer', h('bdi', {}, order.customer_email)),
      fact('Placed', moment(order.created_at), fullTime(order.created_at)),
      order.generation && fact('Pipeline', String(order.generation).slice(0, 12), null, 'mono'),
    ),
  ];
}

/* What the order said is gone from here: status, times and amount stay. */
function removedNote({ erased, erased_at: erasedAt, archived_at: archivedAt, archive }) {
  const at = erased ? erasedAt : archivedAt;
  const when = at ? ` ${moment(at)}` : '';
  const text = erased
    ? `Erased${when}: who ordered what is not known here any more.`
    : `Archived${when}: the rest of it is in ${archive?.file ?? 'an archive'}.`;
  return h('div', { class: 'notice track-removed' }, icon(erased ? 'ban' : 'box'), h('p', {}, text));
}

function fact(name, value, title, className) {
  return h('div', {}, h('dt', {}, name), h('dd', { title, class: className }, value));
}

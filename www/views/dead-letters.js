/* Dead letters: orders on hold, grouped by what holds them. One, many or all that match are retried, skipped or
 * discarded, at a rate when one is wanted; one can be corrected and retried. Filters and a running job are in the URL. */
import { h, fill, setText } from '../dom.js';
import { get } from '../api.js';
import { follow } from '../live.js';
import { capital, count, fullTime, humanise, moment, shortId, totalText, whole } from '../format.js';
import { bulkActions } from '../parts/bulk.js';
import { editLetter } from '../parts/edit-letter.js';
import { icon } from '../parts/icons.js';
import { liveChip } from '../parts/live-chip.js';
import { emptyState, problemState, skeleton } from '../parts/notice.js';

const PAGE = 50;
const REFRESH_SOON_MS = 150;
const REFRESH_PAUSE_MS = 1_000;
const RELOAD_MS = 3_000;
/* After these an order may not be on hold any more. */
const leaving = new Set(['stage_released', 'cancel_requested', 'order_failed', 'order_cancelled', 'order_completed']);

export function open(root, { route, signal, announce, setTitle }) {
  const live = liveChip(announce, { showsLag: true });
  const about = h('p', { class: 'lead' });
  const causes = causeTable();
  const list = h('div', { class: 'letters-list' });
  const news = h('button', { type: 'button', class: 'orders-news', hidden: true, onclick: () => reload() });
  const more = h('button', { type: 'button', class: 'button', onclick: loadMore }, 'Load more');
  const foot = h('div', { class: 'orders-foot', hidden: true }, more);
  const table = letterTable({ onAll: selectLoaded });
  const rows = new Map();
  const chosen = new Set();
  const bulk = bulkActions({ signal, announce, onEdit, onClear: clear, onAll: () => chooseAll(true), onDone: refreshSoon });
  let isAll = false; /* everything that matches, loaded or not */
  let filter = filterOf(route);
  let matching = 0;
  let next = null;
  let load = new AbortController();
  let refreshTimer = null;
  let refreshedAt = 0;
  let reloadTimer = null;
  let lastSeq = null;

  setTitle('Dead letters');
  fill(
    root,
    h(
      'div',
      { class: 'view-head' },
      h('div', {}, h('h1', { tabindex: -1 }, 'Dead letters'), about),
      h('div', { class: 'view-tools' }, live.chip),
    ),
    live.note,
    bulk.progress,
    causes.element,
    news,
    list,
    foot,
    bulk.bar,
  );

  async function reload() {
    load.abort();
    load = new AbortController();
    clearTimeout(reloadTimer);
    next = null; /* known again with the answer */
    news.hidden = true;
    chosen.clear();
    isAll = false;
    if (rows.size === 0 && !list.querySelector('.problem'))
      fill(list, skeleton('Loading dead letters', 5));
    const loading = AbortSignal.any([signal, load.signal]);
    try {
      const [letters, groups] = await Promise.all([get(listPath(filter), { signal: loading }), loadCauses(loading)]);
      lastSeq ??= Math.min(letters.seq, groups.seq);
      rows.clear();
      table.body.replaceChildren();
      showCauses(groups);
      append(letters);
    } catch (problem) {
      if (loading.aborted)
        return;
      rows.clear();
      foot.hidden = true;
      if (!list.querySelector('.problem'))
        fill(list, problemState(problem, reload));
      reloadTimer = setTimeout(reload, RELOAD_MS);
    }
  }

  const loadCauses = (loading) => get('/dead-letters?group=cause', { signal: loading });

  function showCauses({ causes: groups, total }) {
    matching = groups.filter((cause) => fits(cause, filter)).reduce((sum, { count: n }) => sum + n, 0);
    setText(about, total ? `${count(total, 'order waits', 'orders wait')} for you` : 'Nothing waits for you');
    causes.show(groups, total, filter);
  }

  function append(answer) {
    for (const letter of answer.dead_letters) {
      if (rows.has(letter.order.id))
        continue;
      const row = letterRow(letter, onToggle);
      rows.set(letter.order.id, row);
      table.body.append(row.element);
    }
    next = answer.next ?? null;
    foot.hidden = !next;
    fill(list, rows.size ? table.element : nothing(filter));
    showChosen();
  }

  async function loadMore() {
    if (!next)
      return;
    const loading = AbortSignal.any([signal, load.signal]); /* a reload overtakes it */
    more.setAttribute('aria-busy', 'true');
    const before = rows.size;
    try {
      append(await get(listPath(filter, next), { signal: loading }));
      announce(`${count(rows.size - before, 'more dead letter', 'more dead letters')} loaded`);
      [...rows.values()][before]?.box.focus();
    } catch (problem) {
      if (!loading.aborted)
        announce(problem.title);
    }
    more.removeAttribute('aria-busy');
  }

  /* --- what is selected --- */

  function onToggle(id, is) {
    if (isAll) {
      isAll = false;
      rows.forEach((_, other) => chosen.add(other));
    }
    if (is)
      chosen.add(id);
    else
      chosen.delete(id);
    showChosen();
  }

  function selectLoaded(is) {
    isAll = false;
    chosen.clear();
    if (is)
      rows.forEach((_, id) => chosen.add(id));
    showChosen();
  }

  function chooseAll(is) {
    isAll = is;
    chosen.clear();
    showChosen();
  }

  function clear() {
    chooseAll(false);
    table.all.focus();
  }

  function showChosen() {
    rows.forEach((row, id) => row.choose(isAll || chosen.has(id)));
    const n = isAll ? rows.size : chosen.size;
    table.all.checked = rows.size > 0 && n === rows.size;
    table.all.indeterminate = n > 0 && n < rows.size;
    bulk.show({ isAll, filter, ids: [...chosen], matching: Math.max(matching, rows.size), loaded: rows.size });
  }

  function onEdit(id) {
    editLetter(rows.get(id).letter, { signal, announce, onDone: () => drop(id) });
  }

  function drop(id) {
    const row = rows.get(id);
    if (!row)
      return;
    row.element.remove();
    rows.delete(id);
    chosen.delete(id);
    if (rows.size === 0)
      fill(list, nothing(filter));
    showChosen();
  }

  /* --- news --- */

  function refreshSoon() {
    const wait = Math.max(REFRESH_SOON_MS, refreshedAt + REFRESH_PAUSE_MS - performance.now());
    refreshTimer ??= setTimeout(async () => {
      refreshedAt = performance.now();
      refreshTimer = null;
      await refresh().catch(() => {}); /* the connection's own state tells */
    }, wait);
  }

  async function refresh() {
    const asked = filter;
    const [letters, groups] = await Promise.all([get(listPath(asked), { signal }), loadCauses(signal)]);
    if (asked !== filter)
      return;
    showCauses(groups);
    if (rows.size === 0) {
      append(letters);
      return;
    }
    /* Of the rows that this page reaches, those that are not in it are not on hold any more. */
    const ids = new Set(letters.dead_letters.map(({ order }) => order.id));
    const isWhole = !letters.next;
    const oldest = letters.dead_letters.at(-1)?.order.created_at ?? '';
    for (const [id, { letter }] of [...rows])
      if (!ids.has(id) && (isWhole || letter.order.created_at > oldest))
        drop(id);
    const fresh = [...ids].filter((id) => !rows.has(id)).length;
    if (rows.size === 0)
      append(letters);
    else
      offerNews(fresh);
    showChosen();
  }

  function offerNews(n) {
    news.hidden = n === 0;
    const text = `${count(n, 'new dead letter', 'new dead letters')} – show`;
    if (news.hidden || news.textContent === text)
      return;
    fill(news, text);
    announce(count(n, 'new dead letter', 'new dead letters'));
  }

  function onMessage({ event }) {
    if (!event)
      return;
    lastSeq = event.seq;
    if (leaving.has(event.event_type) && rows.has(event.order_id))
      refreshSoon();
    if (event.event_type === 'stage_held' || leaving.has(event.event_type))
      refreshSoon();
  }

  const resume = () => (lastSeq === null ? '' : `?after=${lastSeq}`);
  reload().then(() => follow({
    signal,
    isFresh: lastSeq !== null, /* what came since comes with the connection */
    measuresLag: true,
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
  bulk.resume(route.query.get('job'));

  return {
    update(changed) {
      const wanted = filterOf(changed);
      if (JSON.stringify(wanted) === JSON.stringify(filter))
        return;
      filter = wanted;
      rows.clear();
      reload();
    },
  };
}

/* null: any. */
const filterOf = ({ query }) => ({ stage: query.get('stage'), error: query.get('error') });

const fits = (cause, { stage, error }) => (stage === null || cause.stage === stage) && (error === null || cause.error === error);

function hrefOf({ stage, error }) {
  const query = new URLSearchParams();
  if (stage !== null)
    query.set('stage', stage);
  if (error !== null)
    query.set('error', error);
  return `#/dead-letters${query.size ? `?${query}` : ''}`;
}

function listPath({ stage, error }, cursor) {
  const query = new URLSearchParams({ limit: PAGE });
  if (stage !== null)
    query.set('stage', stage);
  if (error !== null)
    query.set('error', error);
  if (cursor)
    query.set('cursor', cursor);
  return `/dead-letters?${query}`;
}

function nothing({ stage, error }) {
  const isFiltered = stage !== null || error !== null;
  return emptyState({
    sign: isFiltered ? 'search' : 'check',
    title: isFiltered ? 'Nothing is on hold for this cause' : 'No dead letters',
    text: isFiltered ? 'It may have been dealt with just now.' : 'An order that cannot go on by itself appears here at once.',
    action: isFiltered && h('a', { class: 'button', href: '#/dead-letters' }, 'See all dead letters'),
  });
}

/* --- causes --- */

function causeTable() {
  const body = h('tbody', { role: 'rowgroup' });
  const element = h(
    'section',
    { class: 'causes', 'aria-labelledby': 'causes-title', hidden: true },
    h('h2', { id: 'causes-title', class: 'visually-hidden' }, 'Causes'),
    h(
      'table',
      { class: 'causes-table', role: 'table' },
      h(
        'thead',
        { role: 'rowgroup' },
        h('tr', { role: 'row' }, ['Cause', 'Orders', 'First seen', 'Last seen'].map((label) => h('th', { scope: 'col', role: 'columnheader' }, label))),
      ),
      body,
    ),
  );
  let said = '';

  function show(groups, total, filter) {
    element.hidden = groups.length === 0;
    const next = JSON.stringify([groups, filter]);
    if (next === said)
      return;
    said = next;
    const focused = body.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
    const isAll = filter.stage === null && filter.error === null;
    const seen = (pick, name) => pick(...groups.map((cause) => Date.parse(cause[name])));
    const all = groups.length > 1 && causeRow({ href: '#/dead-letters', words: ['All causes'], n: total, isHere: isAll, first: seen(Math.min, 'first_seen'), last: seen(Math.max, 'last_seen') });
    fill(
      body,
      all,
      groups.map((cause) =>
        causeRow({
          href: hrefOf(cause),
          words: [humanise(cause.stage), cause.error],
          n: cause.count,
          isHere: !isAll && fits(cause, filter),
          first: cause.first_seen,
          last: cause.last_seen,
        }),
      ),
    );
    if (focused)
      body.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
  }

  return { element, show };
}

function causeRow({ href, words: [stage, error], n, isHere, first, last }) {
  const time = (at) => h('time', { datetime: new Date(at).toISOString(), title: fullTime(at) }, moment(at));
  const link = h('a', { class: 'order-link', href, 'aria-current': isHere && 'true' }, h('span', { class: 'cause-stage' }, stage), error && h('bdi', { class: 'cause-error' }, capital(error)));
  return h(
    'tr',
    { role: 'row', class: isHere && 'is-here' },
    h('th', { scope: 'row', role: 'rowheader' }, link),
    h('td', { role: 'cell', class: 'cause-count' }, whole(n)),
    h('td', { role: 'cell', class: 'cause-first' }, time(first)),
    h('td', { role: 'cell', class: 'cause-last' }, time(last)),
  );
}

/* --- the list --- */

function letterTable({ onAll }) {
  const body = h('tbody', { role: 'rowgroup' });
  const all = h('input', { type: 'checkbox', class: 'check', 'aria-label': 'Select all that are shown', onchange: () => onAll(all.checked) });
  const head = ['Order', 'Held by', 'Customer', 'Total', 'On hold since'];
  const element = h(
    'table',
    { class: 'letters', role: 'table' },
    h('caption', { class: 'visually-hidden' }, 'Orders on hold, newest first'),
    h(
      'thead',
      { role: 'rowgroup' },
      h(
        'tr',
        { role: 'row' },
        h('th', { role: 'columnheader', scope: 'col', class: 'letter-check' }, all),
        head.map((label) => h('th', { scope: 'col', role: 'columnheader' }, label)),
      ),
    ),
    body,
  );
  return { element, body, all };
}

function letterRow(letter, onToggle) {
  const { order, held } = letter;
  const box = h('input', {
    type: 'checkbox',
    class: 'check',
    'aria-label': `Select order ${shortId(order.id)}`,
    onchange: () => onToggle(order.id, box.checked),
  });
  const cell = (name, ...children) => h('td', { role: 'cell', class: `letter-${name}` }, children);
  const element = h(
    'tr',
    { role: 'row' },
    cell('check', box),
    h('th', { scope: 'row', role: 'rowheader', class: 'letter-id' }, h('a', { class: 'mono', href: `#/orders/${order.id}`, title: order.id }, shortId(order.id))),
    cell('held', held.map(heldText)),
    cell('customer', order.customer_email ? h('bdi', {}, order.customer_email) : '–'),
    cell('total', totalText(order)),
    cell('since', h('time', { datetime: order.updated_at, title: fullTime(order.updated_at) }, moment(order.updated_at))),
  );

  function choose(is) {
    box.checked = is;
    element.classList.toggle('is-chosen', is);
  }

  return { element, letter, box, choose };
}

function heldText({ name, undo, attempts, error }) {
  return h(
    'p',
    {},
    h('span', { class: 'cause-stage' }, undo && icon('undo'), undo ? `Undoing ${humanise(name).toLowerCase()}` : humanise(name)),
    h('bdi', { class: 'cause-error' }, capital(error ?? '')),
    h('span', { class: 'letter-attempts' }, count(attempts, 'attempt', 'attempts')),
  );
}

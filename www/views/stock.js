/* Stock and state: every value that Stageline keeps, what changed it, and changing it with a reason. The prefix and the
 * value that is looked at closely are in the URL: #/stock?prefix=stock/&key=stock/PROD-001. */
import { h, fill, setText } from '../dom.js';
import { get } from '../api.js';
import { follow } from '../live.js';
import { count, fullTime, moment, sentence, shortId, whole } from '../format.js';
import { adjustValue } from '../parts/adjust-value.js';
import { icon } from '../parts/icons.js';
import { liveChip } from '../parts/live-chip.js';
import { emptyState, problemState, skeleton } from '../parts/notice.js';

const PAGE = 100;
const CHANGES = 20;
const SEARCH_PAUSE_MS = 250;
const REFRESH_SOON_MS = 150;
const REFRESH_PAUSE_MS = 1_000;
const RELOAD_MS = 3_000;
const OWN = 'stageline/'; /* nobody else changes these */

export function open(root, { route, signal, announce, setTitle }) {
  const live = liveChip(announce, { showsLag: true });
  const search = searchField((prefix) => {
    history.replaceState(null, '', hrefOf({ prefix, key: null }));
    wanted = { prefix, key: null };
    reload();
  });
  const list = h('div', { class: 'stock-list' });
  const more = h('button', { type: 'button', class: 'button', onclick: loadMore }, 'Load more');
  const foot = h('div', { class: 'orders-foot', hidden: true }, more);
  const aside = h('div', { class: 'stock-aside' });
  const table = valueTable();
  const rows = new Map();
  const names = new Map();
  let wanted = wantedOf(route);
  let panel = null;
  let next = null;
  let load = new AbortController();
  let refreshTimer = null;
  let refreshedAt = 0;
  let reloadTimer = null;
  let lastSeq = null;

  setTitle('Stock and state');
  fill(
    root,
    h(
      'div',
      { class: 'view-head' },
      h('h1', { tabindex: -1 }, 'Stock and state'),
      h(
        'div',
        { class: 'view-tools' },
        live.chip,
        h('button', { type: 'button', class: 'button', 'aria-haspopup': 'dialog', onclick: () => adjust({ key: null }) }, icon('plus'), 'New value'),
      ),
    ),
    live.note,
    search.element,
    h('div', { class: 'stock-columns' }, h('div', {}, list, foot), aside),
  );

  function adjust(entry) {
    adjustValue(entry, { signal, announce, onDone: refreshSoon });
  }

  async function reload() {
    load.abort();
    load = new AbortController();
    clearTimeout(reloadTimer);
    next = null; /* known again with the answer */
    search.show(wanted.prefix);
    if (rows.size === 0 && !list.querySelector('.problem'))
      fill(list, skeleton('Loading the state', 5));
    const loading = AbortSignal.any([signal, load.signal]);
    try {
      const [answer, catalogue] = await Promise.all([get(listPath(wanted.prefix), { signal: loading }), get('/products', { signal: loading })]);
      lastSeq ??= answer.seq;
      catalogue.products.forEach(({ id, name }) => names.set(`stock/${id}`, name));
      rows.clear();
      table.body.replaceChildren();
      append(answer);
      showPanel();
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

  function append({ state, next: after }) {
    for (const [key, value] of Object.entries(state)) {
      if (rows.has(key)) {
        rows.get(key).show(value);
        continue;
      }
      const row = valueRow(key, names.get(key), wanted.prefix, adjust);
      row.show(value);
      rows.set(key, row);
      table.body.append(row.element);
    }
    next = after ?? null;
    foot.hidden = !next;
    fill(list, rows.size ? table.element : nothing(wanted.prefix));
    rows.forEach((row, key) => row.choose(key === wanted.key));
  }

  async function loadMore() {
    if (!next)
      return;
    const loading = AbortSignal.any([signal, load.signal]); /* a reload overtakes it */
    more.setAttribute('aria-busy', 'true');
    const before = rows.size;
    try {
      append(await get(listPath(wanted.prefix, next), { signal: loading }));
      announce(`${count(rows.size - before, 'more value', 'more values')} loaded`);
      [...rows.values()][before]?.link.focus();
    } catch (problem) {
      if (!loading.aborted)
        announce(problem.title);
    }
    more.removeAttribute('aria-busy');
  }

  function showPanel() {
    if (panel?.key === wanted.key)
      return;
    panel?.close();
    panel = wanted.key === null ? null : valuePanel(wanted.key, { name: names.get(wanted.key), prefix: wanted.prefix, signal, adjust });
    fill(aside, panel?.element);
    rows.forEach((row, key) => row.choose(key === wanted.key));
  }

  function refreshSoon() {
    const wait = Math.max(REFRESH_SOON_MS, refreshedAt + REFRESH_PAUSE_MS - performance.now());
    refreshTimer ??= setTimeout(async () => {
      refreshedAt = performance.now();
      refreshTimer = null;
      await refresh().catch(() => {}); /* the connection's own state tells */
    }, wait);
  }

  /* Page by page as far as it was loaded, so that what was deleted goes and what is new stands in its place. */
  async function refresh() {
    const { prefix } = wanted;
    const state = {};
    let after = null;
    do {
      const answer = await get(listPath(prefix, after), { signal });
      Object.assign(state, answer.state);
      after = answer.next ?? null;
    } while (after && Object.keys(state).length < rows.size);
    if (prefix !== wanted.prefix)
      return;
    const keys = Object.keys(state);
    const isSame = keys.length === rows.size && keys.every((key) => rows.has(key));
    if (!isSame) {
      const focused = document.activeElement?.closest?.('tr')?.dataset.key;
      rows.clear();
      table.body.replaceChildren();
      append({ state, next: after });
      rows.get(focused)?.link.focus();
    }
    keys.forEach((key) => rows.get(key).show(state[key]));
    panel?.refresh();
  }

  const resume = () => (lastSeq === null ? '' : `?after=${lastSeq}`);
  reload().then(() => follow({
    signal,
    isFresh: lastSeq !== null, /* what came since comes with the connection */
    measuresLag: true,
    socket: () => `/ws/events${resume()}`,
    stream: () => `/events${resume()}`,
    poll: refresh,
    onMessage: ({ event }) => {
      if (!event)
        return;
      lastSeq = event.seq;
      refreshSoon();
    },
    onUp: refreshSoon,
    onState: live.show,
  }));
  signal.addEventListener('abort', () => {
    clearTimeout(refreshTimer);
    clearTimeout(reloadTimer);
  });

  return {
    update(changed) {
      const had = wanted.prefix;
      wanted = wantedOf(changed);
      if (wanted.prefix !== had) {
        rows.clear();
        reload();
        return;
      }
      showPanel();
      (panel ? aside.querySelector('h2') : root.querySelector('h1')).focus();
    },
  };
}

const wantedOf = ({ query }) => ({ prefix: query.get('prefix') ?? '', key: query.get('key') });

function hrefOf({ prefix, key }) {
  const query = new URLSearchParams();
  if (prefix)
    query.set('prefix', prefix);
  if (key !== null)
    query.set('key', key);
  return `#/stock${query.size ? `?${query}` : ''}`;
}

function listPath(prefix, after) {
  const query = new URLSearchParams({ prefix, limit: PAGE });
  if (after)
    query.set('after', after);
  return `/state?${query}`;
}

function nothing(prefix) {
  return emptyState({
    sign: prefix ? 'search' : 'box',
    title: prefix ? 'No key starts like that' : 'Nothing is kept yet',
    text: prefix ? `Nothing found for “${prefix}”. Upper and lower case matter.` : 'The state of the pipeline file and what stages count appears here.',
    action: prefix && h('a', { class: 'button', href: '#/stock' }, 'See all values'),
  });
}

function searchField(onSearch) {
  const input = h('input', {
    type: 'search',
    class: 'input search-input',
    'aria-label': 'Keys that start with',
    placeholder: 'Keys that start with …',
    autocomplete: 'off',
    autocapitalize: 'off',
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
  const onsubmit = (event) => {
    event.preventDefault();
    search();
  };
  const element = h('div', { class: 'filters' }, h('form', { class: 'search', role: 'search', onsubmit }, icon('search'), input));
  const show = (prefix) => {
    if (input.value.trim() !== prefix)
      input.value = prefix;
  };
  return { element, show };
}

/* "1,240", or JSON as it is. */
const valueText = (value) => (typeof value === 'number' && Number.isInteger(value) ? whole(value) : JSON.stringify(value));

function valueTable() {
  const body = h('tbody', {});
  const element = h(
    'table',
    { class: 'values' },
    h('caption', { class: 'visually-hidden' }, 'Values, by key'),
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Key'), h('th', { scope: 'col' }, 'Value'), h('th', { scope: 'col' }, h('span', { class: 'visually-hidden' }, 'Change')))),
    body,
  );
  return { element, body };
}

/* A long key is broken behind its slashes rather than anywhere. */
const keyParts = (key) => key.split(/(?<=\/)/).flatMap((part, i) => (i ? [h('wbr'), part] : [part]));

function valueRow(key, name, prefix, adjust) {
  const link = h('a', { class: 'value-key', href: hrefOf({ prefix, key }) }, h('span', { class: 'mono' }, keyParts(key)), name && h('span', { class: 'value-name' }, name));
  const text = h('span', { class: 'value-text' });
  const sign = h('span', { class: 'pill tone-warn', hidden: true }, icon('alert'), 'Sold out');
  let value;
  const element = h(
    'tr',
    { 'data-key': key },
    h('th', { scope: 'row' }, link),
    h('td', { class: 'value-cell' }, sign, text),
    h(
      'td',
      { class: 'value-act' },
      !key.startsWith(OWN) && h('button', { type: 'button', class: 'button', 'aria-haspopup': 'dialog', 'aria-label': `Adjust ${key}`, onclick: () => adjust({ key, value }) }, 'Adjust'),
    ),
  );

  function show(next) {
    const isNews = value !== undefined && JSON.stringify(next) !== JSON.stringify(value);
    value = next;
    setText(text, valueText(next));
    sign.hidden = !(key.startsWith('stock/') && next === 0);
    if (isNews) {
      text.classList.remove('is-new');
      requestAnimationFrame(() => text.classList.add('is-new'));
    }
  }

  function choose(is) {
    element.classList.toggle('is-here', is);
    if (is)
      link.setAttribute('aria-current', 'true');
    else
      link.removeAttribute('aria-current');
  }

  return { element, link, show, choose };
}

/* One value closely: what it is, and what changed it, newest first. */
function valuePanel(key, { name, prefix, signal, adjust }) {
  const life = new AbortController();
  const closing = AbortSignal.any([signal, life.signal]);
  const value = h('p', { class: 'value-now' });
  const changes = h('div', {});
  const older = h('button', { type: 'button', class: 'button', hidden: true, onclick: loadOlder }, 'Look further back');
  const body = h('tbody', {});
  let current;
  let newest = null; /* seq of the newest change that is shown */
  let before = null; /* what the value was before the oldest one; undefined: not known */
  let next = null;

  const element = h(
    'section',
    { class: 'card value-panel', 'aria-labelledby': 'value-title' },
    h(
      'div',
      { class: 'panel-head' },
      h('div', {}, h('h2', { id: 'value-title', class: 'mono', tabindex: -1 }, key), name && h('p', { class: 'field-hint' }, name)),
      h('a', { class: 'button-icon', href: hrefOf({ prefix, key: null }), 'aria-label': 'Close', title: 'Close' }, icon('cross')),
    ),
    value,
    !key.startsWith(OWN) && h('button', { type: 'button', class: 'button button-primary', 'aria-haspopup': 'dialog', onclick: () => adjust({ key, value: current }) }, 'Adjust'),
    h('h3', {}, 'What changed it'),
    changes,
    older,
  );

  const look = (cursor) => get(`/state/history?${new URLSearchParams({ key, limit: CHANGES, ...(cursor && { cursor }) })}`, { signal: closing });

  async function refresh() {
    const answer = await look().catch((problem) => problem);
    if (closing.aborted)
      return;
    if (answer instanceof Error) {
      if (newest === null)
        fill(changes, problemState(answer, refresh));
      return;
    }
    current = answer.value ?? undefined;
    setText(value, answer.value === null ? 'There is no such value.' : valueText(answer.value));
    const first = answer.changes[0]?.event.seq ?? 0;
    if (first === newest)
      return;
    newest = first;
    before = answer.value;
    body.replaceChildren();
    add(answer);
  }

  function add(answer) {
    for (const change of answer.changes) {
      const after = before;
      before = 'delta' in change ? (typeof after === 'number' ? after - change.delta : undefined) : undefined;
      body.append(changeRow(change, after));
    }
    next = answer.next;
    older.hidden = !next;
    fill(changes, body.children.length ? changeTable(body) : h('p', { class: 'panel-none' }, next ? 'Nothing among the newest 100,000 events.' : 'Nothing.'));
  }

  async function loadOlder() {
    older.setAttribute('aria-busy', 'true');
    const answer = await look(next).catch(() => null);
    if (answer && !closing.aborted)
      add(answer);
    older.removeAttribute('aria-busy');
  }

  fill(changes, skeleton('Loading what changed it', 3));
  refresh();
  return { key, element, refresh, close: () => life.abort() };
}

function changeTable(body) {
  return h(
    'table',
    { class: 'value-changes' },
    h('thead', {}, h('tr', {}, ['Change', 'Then', 'Why'].map((label) => h('th', { scope: 'col' }, label)))),
    body,
  );
}

function changeRow({ event, ...change }, after) {
  const isAdd = 'delta' in change;
  const text = isAdd ? `${change.delta > 0 ? '+' : change.delta < 0 ? '−' : '±'}${whole(Math.abs(change.delta))}` : change.value === null ? 'deleted' : 'set';
  const tone = !isAdd ? 'idle' : change.delta < 0 ? 'idle' : 'good';
  const then = isAdd ? after : change.value;
  const why = event.event_type === 'state_adjusted' ? event.reason || event.message || 'The pipeline file' : sentence(event);
  return h(
    'tr',
    {},
    h('td', { class: `change-delta tone-${tone}` }, text),
    h('td', { class: 'change-then' }, then === undefined || then === null ? '–' : valueText(then)),
    h(
      'td',
      {},
      h('p', {}, h('bdi', {}, why)),
      h(
        'p',
        { class: 'panel-facts' },
        h('time', { datetime: event.timestamp, title: fullTime(event.timestamp) }, moment(event.timestamp)),
        event.order_id && [' · ', h('a', { class: 'mono', href: `#/orders/${event.order_id}` }, shortId(event.order_id))],
      ),
    ),
  );
}

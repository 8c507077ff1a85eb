/* One order, event by event: as it was after each, what is different from a moment before, and all that the journal
 * says. The link carries the two moments: ?at=SEQ and, when somebody chose it, &from=SEQ. */
import { h, fill, setText } from '../dom.js';
import { get } from '../api.js';
import { follow } from '../live.js';
import { clock, duration, fullTime, humanise, moment, sentence, shortId } from '../format.js';
import { attempts } from '../parts/attempts.js';
import { changesOf, changesTable } from '../parts/changes.js';
import { copyButton } from '../parts/copy-button.js';
import { icon } from '../parts/icons.js';
import { liveChip } from '../parts/live-chip.js';
import { emptyState, problemState, skeleton } from '../parts/notice.js';
import { statusPill } from '../parts/pill.js';
import { progress } from '../parts/progress.js';
import { momentText, timeSlider } from '../parts/time-slider.js';

const RELOAD_MS = 3_000;
const ANNOUNCE_MS = 400;

export function open(root, { route, signal, announce, setTitle }) {
  const [id] = route.params;
  const path = `/orders/${encodeURIComponent(id)}`;
  const past = new Map(); /* seq → promise of the order after that event */
  const page = pastPage(id, { signal, announce, onMove, onChoose });
  let events = [];
  let wanted = momentsOf(route.query);
  let round = 0;
  let timer;

  setTitle(`Order ${shortId(id)}, event by event`);
  fill(root, h('div', { class: 'card' }, hiddenHeading(id), skeleton('Loading the order', 5)));

  const orderAt = (index) => {
    if (index < 0)
      return Promise.resolve(null);
    const { seq } = events[index];
    if (!past.has(seq)) {
      const answer = get(`${path}?at=${seq}`, { signal }).then(({ order }) => order);
      answer.catch(() => past.delete(seq));
      past.set(seq, answer);
    }
    return past.get(seq);
  };

  /* Which events the link means: the last, and the one before it, unless it says so. */
  function indices() {
    const at = wanted.at === null ? events.length - 1 : Math.max(0, events.findLastIndex(({ seq }) => seq <= wanted.at));
    const from = wanted.from === null ? at - 1 : events.findLastIndex(({ seq }) => seq <= wanted.from);
    return { at, from: Math.min(from, at) };
  }

  async function show(isAsked = false) {
    const mine = ++round;
    const { from, at } = indices();
    page.showMoments(events, from, at);
    try {
      const [before, after] = await Promise.all([orderAt(from), orderAt(at)]);
      if (mine !== round)
        return;
      const changes = changesOf(before, after, events.slice(from + 1, at + 1));
      page.showOrder(after, events.slice(0, at + 1), changes, at === events.length - 1);
      if (isAsked)
        tellSoon(`${momentText(events, at)}. ${changes.length} different`);
    } catch (problem) {
      if (!signal.aborted && mine === round)
        page.showProblem(problem, show);
    }
  }

  function tellSoon(text) {
    clearTimeout(timer);
    timer = setTimeout(() => announce(text), ANNOUNCE_MS);
  }

  function move(from, at) {
    wanted = { at: events[at].seq, from };
    const query = new URLSearchParams({ at: wanted.at });
    if (from !== null)
      query.set('from', from);
    history.replaceState(null, '', `#/orders/${id}/events?${query}`);
    show(true);
  }

  function onMove(from, at, which) {
    const isChosen = which === 'from' || wanted.from !== null;
    move(isChosen ? (from < 0 ? 0 : events[from].seq) : null, at);
  }

  function onChoose(seq) {
    const at = events.findIndex((event) => event.seq === seq);
    move(wanted.from !== null && wanted.from > seq ? null : wanted.from, at);
  }

  function onKey(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    const isTaken = event.target.closest('input, textarea, select, [role="dialog"]');
    if (!(event.key in steps) || isTaken || event.altKey || event.ctrlKey || event.metaKey || !events.length)
      return;
    const { at } = indices();
    const next = Math.min(events.length - 1, Math.max(0, at + steps[event.key]));
    event.preventDefault();
    onChoose(events[next].seq);
  }

  async function refresh() {
    const answer = await get(path, { signal });
    if (answer.order.erased || answer.order.archived)
      past.clear(); /* what was shown of it is not there any more */
    events = answer.events;
    if (!page.element.isConnected)
      fill(root, page.element);
    await show();
  }

  function showProblem(problem) {
    if (problem.status === 404 || problem.status === 400) {
      fill(root, missing(id));
      return;
    }
    fill(root, h('div', {}, hiddenHeading(id), problemState(problem, start)));
    timer = setTimeout(start, RELOAD_MS);
  }

  async function start() {
    clearTimeout(timer);
    try {
      await refresh();
    } catch (problem) {
      if (!signal.aborted)
        showProblem(problem);
      return;
    }
    follow({
      signal,
      socket: () => `/ws${path}`,
      stream: () => '/events',
      poll: refresh,
      onMessage: ({ event }) => {
        if (event?.order_id === id && !events.some(({ seq }) => seq === event.seq))
          refresh().catch(() => {});
      },
      onUp: () => refresh().catch(() => {}),
      onState: page.showLive,
    });
  }

  document.addEventListener('keydown', onKey, { signal });
  signal.addEventListener('abort', () => clearTimeout(timer));
  start();
  return {
    update(next) {
      wanted = momentsOf(next.query);
      if (events.length)
        show(true);
    },
  };
}

function momentsOf(query) {
  const number = (name) => (/^\d{1,15}$/.test(query.get(name) ?? '') ? Number(query.get(name)) : null);
  return { at: number('at'), from: number('from') };
}

const hiddenHeading = (id) => h('h1', { class: 'visually-hidden', tabindex: -1 }, `Order ${shortId(id)}`);

function missing(id) {
  return emptyState({
    isPage: true,
    sign: 'search',
    title: 'There is no such order',
    text: `Nothing is known of ${id}. The link may be incomplete.`,
    action: h('a', { class: 'button', href: '#/orders' }, 'See all orders'),
  });
}

function pastPage(id, { signal, announce, onMove, onChoose }) {
  const live = liveChip(announce);
  const slider = timeSlider({ onMove });
  const when = h('p', { class: 'past-when' });
  const than = h('p', { class: 'past-than' });
  const state = h('div', { class: 'past-state' });
  const different = h('div', { class: 'past-different' });
  const table = eventTable(onChoose);
  const lanes = attempts();
  let nowMs = Date.now();
  const way = progress({ signal, now: () => nowMs });

  const card = (title, name, ...children) =>
    h('section', { class: 'card', 'aria-labelledby': name }, h('h2', { class: 'card-title', id: name }, title), children);

  const element = h(
    'div',
    { class: 'past' },
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
          h('a', { class: 'mono', href: `#/orders/${encodeURIComponent(id)}` }, id),
        ),
        h('h1', { tabindex: -1 }, 'Event by event'),
      ),
      h('div', { class: 'view-tools' }, live.chip, copyButton({ label: 'Copy link', text: () => location.href, announce })),
    ),
    live.note,
    h('section', { class: 'card past-slider', 'aria-label': 'Moment' }, when, slider.element, than),
    h('section', { class: 'card card-progress', 'aria-label': 'Progress at that moment' }, state, way.element),
    card('Timeline', 'past-timeline', lanes.element),
    h(
      'div',
      { class: 'past-columns' },
      card('What is different', 'past-different', different),
      card('Events', 'past-events', table.element),
    ),
  );

  function showMoments(events, from, at) {
    slider.show(events, from, at);
    setText(when, momentText(events, at));
    setText(than, `Compared with: ${momentText(events, from).replace(/^./, (c) => c.toLowerCase())}`);
    table.show(events, from, at);
  }

  /* `isLast`: nothing has happened since, so what goes on has lasted until now. */
  function showOrder(order, events, changes, isLast) {
    nowMs = Date.parse(events.at(-1).timestamp);
    lanes.show(order, events, isLast ? Math.max(nowMs, Date.now()) : nowMs);
    fill(state, statusPill(order.status), order.erased && erasedWord(order));
    way.show(order, events);
    fill(different, changesTable(changes));
  }

  const showProblem = (problem, onRetry) => fill(different, problemState(problem, onRetry));
  return { element, showMoments, showOrder, showProblem, showLive: live.show };
}

const erasedWord = () =>
  h('span', { class: 'pill tone-muted' }, icon('ban'), 'What it said is erased');

/* Rows stay in place, so that an open JSON stays open while time moves. */
function eventTable(onChoose) {
  const body = h('tbody');
  const element = h(
    'div',
    { class: 'past-table', role: 'group', 'aria-label': 'Table of events', tabindex: 0 },
    h(
      'table',
      { class: 'events' },
      h('thead', {}, h('tr', {}, ['Event', 'Time', 'What happened', 'After'].map((label) => h('th', { scope: 'col' }, label)))),
      body,
    ),
  );
  const rows = new Map();

  function show(events, from, at) {
    if (rows.size !== events.length || events.some(({ seq }) => !rows.has(seq)))
      build(events);
    events.forEach(({ seq }, i) => {
      const row = rows.get(seq);
      row.element.classList.toggle('is-past', i <= at);
      row.element.classList.toggle('is-between', i > from && i <= at);
      if (i === at)
        row.button.setAttribute('aria-current', 'true');
      else
        row.button.removeAttribute('aria-current');
    });
  }

  function build(events) {
    rows.clear();
    events.forEach((event, i) => rows.set(event.seq, eventRow(event, events[i - 1], onChoose)));
    fill(body, [...rows.values()].map((row) => row.element));
  }

  return { element, show };
}

function eventRow(event, previous, onChoose) {
  const button = h(
    'button',
    { type: 'button', class: 'events-choose mono', 'aria-label': `Show event ${event.seq}`, onclick: () => onChoose(event.seq) },
    String(event.seq),
  );
  const gap = previous ? Date.parse(event.timestamp) - Date.parse(previous.timestamp) : null;
  const facts = [humanise(event.event_type), event.stage && humanise(event.stage), event.attempt && `attempt ${event.attempt}`];
  const element = h(
    'tr',
    {},
    h('th', { scope: 'row' }, button),
    h('td', { class: 'events-time', title: fullTime(event.timestamp) }, h('time', { datetime: event.timestamp }, clockOrDay(event))),
    h(
      'td',
      {},
      h('p', { class: 'events-sentence' }, sentence(event)),
      h('p', { class: 'events-facts' }, facts.filter(Boolean).join(' · ')),
      h('details', {}, h('summary', {}, 'JSON'), h('pre', { tabindex: 0 }, JSON.stringify(event, null, 2))),
    ),
    h('td', { class: 'events-gap' }, gap === null ? '' : duration(gap)),
  );
  return { element, button };
}

const clockOrDay = ({ timestamp }) => (moment(timestamp).includes(',') ? moment(timestamp) : clock(timestamp));

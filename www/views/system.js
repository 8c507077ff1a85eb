/* The daemon itself: commit times, journal, memory, the head of the chain, and the generations that orders are still on
 * with what they wait for there. */
import { h, fill, setText } from '../dom.js';
import { get, post } from '../api.js';
import { follow } from '../live.js';
import { bytes, count, duration, fullTime, humanise, micros, moment, perSecond, shortId, whole } from '../format.js';
import { askWhy } from '../parts/ask-why.js';
import { chart, legend } from '../parts/chart.js';
import { copyButton } from '../parts/copy-button.js';
import { figure, showFigure } from '../parts/figure.js';
import { icon } from '../parts/icons.js';
import { liveChip } from '../parts/live-chip.js';
import { problemState, skeleton } from '../parts/notice.js';
import { seriesOf } from '../series.js';

const RELOAD_MS = 3_000;
/* What the samples do not tell is asked for so often. */
const LOOK_MS = 5_000;

export function open(root, { signal, announce, setTitle }) {
  const page = systemPage({ signal, announce, onMoved: look });
  let series = null;
  let sample = null;
  let timer;
  let lookedAt = 0;

  setTitle('System');
  fill(root, h('div', { class: 'card' }, h('h1', { class: 'visually-hidden', tabindex: -1 }, 'System'), skeleton('Loading the system', 5)));

  async function look() {
    lookedAt = performance.now();
    const [system, generations] = await Promise.all([
      get('/system', { signal }),
      get('/pipeline/generations', { signal }),
    ]);
    page.showSystem(system);
    page.showGenerations(generations.generations);
  }

  async function refresh() {
    const [history] = await Promise.all([get('/pipeline/history', { signal }), look()]);
    series = seriesOf(history);
    if (sample)
      series.add(sample);
    if (!page.element.isConnected)
      fill(root, page.element);
    page.showSeries(series);
  }

  function onMessage(message) {
    if (message.type !== 'sample')
      return;
    const isMoved = sample && sample.generation !== message.generation;
    sample = message;
    series?.add(message);
    if (series)
      page.showSeries(series);
    if (isMoved || performance.now() - lookedAt > LOOK_MS)
      look().catch(() => {});
  }

  async function start() {
    clearTimeout(timer);
    try {
      await refresh();
    } catch (problem) {
      if (signal.aborted)
        return;
      if (!root.querySelector('.problem'))
        fill(root, h('div', {}, h('h1', { class: 'visually-hidden', tabindex: -1 }, 'System'), problemState(problem, start)));
      timer = setTimeout(start, RELOAD_MS);
      return;
    }
    follow({
      signal,
      isFresh: true,
      measuresLag: true,
      socket: () => '/ws/pipeline',
      stream: () => '/pipeline/samples',
      poll: refresh,
      onMessage,
      onUp: () => refresh().catch(() => {}),
      onState: page.showLive,
    });
  }

  signal.addEventListener('abort', () => clearTimeout(timer));
  start();
}

const commitLines = [{ name: 'p50', token: '--accent', fill: true }, { name: 'p99', token: '--warn' }];
const eventLines = [{ name: 'Events', token: '--accent', fill: true }, { name: 'Commits', token: '--good' }];
const memoryLines = [{ name: 'Resident', token: '--accent', fill: true }];
const journalLines = [{ name: 'Journal', token: '--accent', fill: true }, { name: 'Write-ahead log', token: '--warn' }];

function systemPage({ signal, announce, onMoved }) {
  const live = liveChip(announce, { showsLag: true });
  const about = h('p', { class: 'lead' });
  const trouble = h('div', { hidden: true });
  const figures = { commit: figure('Commit'), journal: figure('Journal'), memory: figure('Memory'), watchers: figure('Watchers') };
  const charts = {
    commit: chart({ series: commitLines, unit: micros, signal }),
    events: chart({ series: eventLines, unit: perSecond, signal }),
    memory: chart({ series: memoryLines, unit: bytes, signal }),
    journal: chart({ series: journalLines, unit: bytes, signal }),
  };
  const head = h('code', { class: 'chain-head mono' });
  const headNote = h('p', { class: 'field-hint' });
  const generations = h('div', {});
  let said = '';

  const card = (id, title, ...children) =>
    h('section', { class: 'card', 'aria-labelledby': id }, h('h2', { class: 'card-title', id }, title), children);
  const drawn = (title, lines, name) => h('div', { class: 'chart-box' }, h('h3', {}, title), legend(lines), charts[name].element);

  const element = h(
    'div',
    { class: 'system' },
    h(
      'div',
      { class: 'view-head' },
      h('div', {}, h('h1', { tabindex: -1 }, 'System'), about),
      h('div', { class: 'view-tools' }, live.chip),
    ),
    live.note,
    trouble,
    h('section', { class: 'card', 'aria-label': 'Now' }, h('div', { class: 'figures' }, Object.values(figures).map((f) => f.element))),
    h(
      'section',
      { class: 'card', 'aria-labelledby': 'minutes-title' },
      h('h2', { class: 'card-title', id: 'minutes-title' }, 'The last five minutes'),
      h(
        'div',
        { class: 'system-charts' },
        drawn('Commit time, last minute', commitLines, 'commit'),
        drawn('Written', eventLines, 'events'),
        drawn('Memory', memoryLines, 'memory'),
        drawn('On disk', journalLines, 'journal'),
      ),
    ),
    card(
      'head-title',
      'Head of the chain',
      h('p', {}, head),
      headNote,
      h('p', { class: 'system-copy' }, copyButton({ label: 'Copy head', text: () => head.textContent, announce })),
    ),
    card('generations-title', 'Generations', generations),
  );

  function showSystem(system) {
    const { journal, memory } = system;
    fill(about, `Stageline ${system.version}, process ${system.pid}, since `, h('time', { datetime: system.started_at, title: fullTime(system.started_at) }, moment(system.started_at)), ` (${duration(Date.now() - Date.parse(system.started_at))})`);
    trouble.hidden = system.accepting || system.read_only;
    if (!trouble.hidden)
      fill(trouble, h('div', { class: 'notice tone-bad system-trouble' }, icon('alert'), h('div', {}, h('p', { class: 'notice-title' }, 'No order is accepted'), h('p', {}, system.trouble))));
    showFigure(figures.commit, micros(journal.commits.count ? journal.commits.p50_us : null), journal.commits.count ? `p99 ${micros(journal.commits.p99_us)}, ${whole(journal.commits.count)} since the start` : 'none since the start');
    showFigure(figures.journal, bytes(journal.bytes), `and ${bytes(journal.wal_bytes)} write-ahead log`);
    showFigure(figures.memory, bytes(memory.resident_bytes), `at most ${bytes(memory.peak_bytes)}`);
    showFigure(figures.watchers, whole(system.watchers), `${count(system.connections, 'connection', 'connections')}, ${whole(system.unanswered)} wait for a commit`);
    setText(head, journal.head ?? 'The journal is empty.');
    fill(headNote, `Event ${whole(journal.last_seq)} and its hash stand for the whole journal: note it elsewhere, and `, h('code', {}, 'stageline audit verify --head'), ' proves that nothing before it was changed.');
  }

  function showSeries(series) {
    const kib = (path) => series.of(path).map((n) => (n === null ? null : n * 1024));
    const show = (name, lists, unit, what) => charts[name].show(series.at, lists, `${what}, now ${lists.map((list) => unit(list.at(-1) ?? 0)).join(' and ')}`);
    show('commit', [series.of('journal.commit_p50_us'), series.of('journal.commit_p99_us')], micros, 'Commit time, p50 and p99');
    show('events', [series.rate('journal.events'), series.rate('journal.commits')], perSecond, 'Events and commits per second');
    show('memory', [kib('memory.rss_kib')], bytes, 'Memory');
    show('journal', [kib('journal.journal_kib'), kib('journal.wal_kib')], bytes, 'Journal and write-ahead log');
  }

  function showGenerations(list) {
    const next = JSON.stringify(list);
    if (next === said)
      return;
    said = next;
    fill(generations, list.map((generation) => generationItem(generation, move)));
  }

  function move({ generation, orders }) {
    askWhy({
      title: `Move ${count(orders, 'order', 'orders')} to the current generation?`,
      about: 'Each goes on where it stands, with the stages as the file says now. One that cannot, since a stage that it has passed is another now, stays where it is and is named.',
      action: 'Move',
      hint: 'It stays in the history of each order.',
      signal,
      send: (reason) => post('/pipeline/migrate', { from: generation, reason }, { signal }),
      onDone: (job) => {
        announce(job.finished ? `${count(job.done, 'order', 'orders')} moved, ${whole(job.refused)} refused` : `${count(job.matched, 'order is', 'orders are')} being moved`);
        onMoved().catch(() => {});
      },
    });
  }

  return { element, showSystem, showSeries, showGenerations, showLive: live.show };
}

function generationItem(generation, move) {
  const { generation: digest, current, orders, holding, looked_at: looked } = generation;
  const where = current
    ? 'Current: new orders begin on it.'
    : orders === 0
      ? 'No order is on it any more.'
      : holding.length
        ? `What keeps them${looked < orders ? `, of the ${whole(looked)} that were looked at` : ''}:`
        : 'They are moving.';
  return h(
    'div',
    { class: 'generation' },
    h(
      'div',
      { class: 'generation-head' },
      h('h3', { class: 'mono' }, digest),
      h('span', { class: `pill tone-${current ? 'good' : 'muted'}` }, icon(current ? 'check' : 'clock'), current ? 'Current' : 'Earlier'),
      h('span', { class: 'generation-orders' }, `${count(orders, 'order', 'orders')} not ended`),
      !current && orders > 0 && h('button', { type: 'button', class: 'button', 'aria-haspopup': 'dialog', onclick: () => move(generation) }, 'Move to current'),
    ),
    h('p', { class: 'generation-about' }, where),
    holding.length > 0 &&
      h(
        'ul',
        { class: 'generation-holding' },
        holding.map(({ stage, status, orders: n, why, sample }) =>
          h(
            'li',
            {},
            h('span', { class: 'generation-what' }, `${whole(n)} ${status} at ${humanise(stage)}: `),
            why,
            h('span', { class: 'generation-sample' }, sample.map((id) => [' ', h('a', { class: 'mono', href: `#/orders/${id}` }, shortId(id))])),
          ),
        ),
      ),
  );
}

/* The stages as a graph, laid out as the file says: from left to right, from top to bottom when narrow. */
import { h, svg, fill, setText } from '../dom.js';
import { duration, humanise, listed, micros, perSecond, stageIcon, whole } from '../format.js';
import { chart } from './chart.js';
import { layOut } from './graph.js';
import { icon } from './icons.js';
import { linePath } from './lines.js';

const LOUD_ERRORS = 0.05;
const FEWEST_ATTEMPTS = 3;
const LONG_WAIT_MS = 30_000;
const MINUTE = 60;

/* What an operator must know of a stage, the worst first: [{ tone, sign, text }]. Pure. */
export function alarmsOf({ live }, now, errorShare) {
  const trouble = live.trouble ?? live.processes?.trouble;
  const list = [
    now?.unhealthy && { tone: 'bad', sign: 'alert', text: trouble ? `Cannot run: ${trouble}` : 'Cannot run' },
    now?.served_by === 0 && { tone: 'bad', sign: 'offline', text: 'No worker takes its tasks' },
    now?.breaker === 'open' && { tone: 'bad', sign: 'ban', text: 'Breaker open: tasks wait' },
    now?.breaker === 'half_open' && { tone: 'warn', sign: 'retry', text: 'Breaker half open: probing' },
    now?.paused && { tone: 'warn', sign: 'pause', text: 'Paused' },
    errorShare >= LOUD_ERRORS && { tone: 'warn', sign: 'alert', text: `${percent(errorShare)} of attempts failed in a minute` },
    now?.oldest_ms > LONG_WAIT_MS && { tone: 'warn', sign: 'clock', text: `Oldest task waits since ${duration(now.oldest_ms)}` },
  ];
  return list.filter(Boolean);
}

export const percent = (share) => `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;

/* Attempts of the last minute without a proper answer, of all; 0 when there were hardly any. */
export function errorShareOf(series, name) {
  const attempts = series.sum(`stage:${name}.out`, MINUTE);
  return attempts < FEWEST_ATTEMPTS ? 0 : series.sum(`stage:${name}.errors`, MINUTE) / attempts;
}

/* Returns { element, show(pipeline, series, sample, chosen) }. */
export function stageGraph({ signal }) {
  const list = h('ol', { class: 'graph-stages' });
  const lines = svg('svg', { class: 'graph-lines', 'aria-hidden': 'true' });
  const frame = h('div', { class: 'graph-frame' }, lines, list);
  const element = h('section', { class: 'graph', 'aria-label': 'Stages' }, frame);
  const cards = new Map();
  let edges = [];
  let shape = '';

  function build(stages) {
    const plan = layOut(stages);
    edges = plan.edges;
    cards.forEach((card) => card.close());
    cards.clear();
    const hasBranches = [...plan.places.values()].some(({ lane }) => lane > 0);
    for (const stage of stages) {
      const before = edges.filter(({ to }) => to === stage.name).map(({ from }) => humanise(from));
      const card = stageCard(stage, hasBranches ? before : []);
      const { level, lane } = plan.places.get(stage.name);
      card.item.style.setProperty('--level', level + 1);
      card.item.style.setProperty('--lane', lane + 1);
      cards.set(stage.name, card);
    }
    fill(list, [...cards.values()].map(({ item }) => item));
  }

  function show(pipeline, series, sample, chosen) {
    const next = JSON.stringify(pipeline.stages.map(({ name, after }) => [name, after]));
    if (next !== shape)
      build(pipeline.stages);
    shape = next;
    for (const stage of pipeline.stages)
      cards.get(stage.name).show(stage, series, sample?.stages[stage.name], stage.name === chosen);
    draw();
  }

  function draw() {
    const box = frame.getBoundingClientRect();
    const isVertical = getComputedStyle(list).getPropertyValue('--is-vertical').trim() === '1';
    lines.replaceChildren(
      ...edges.map(({ from, to }) =>
        svg('path', { class: 'graph-line', d: linePath(cards.get(from).box(isVertical), cards.get(to).box(isVertical), box, isVertical) }),
      ),
    );
    const isScrolled = element.scrollWidth > element.clientWidth;
    if (isScrolled)
      element.tabIndex = 0;
    else
      element.removeAttribute('tabindex');
  }

  const observer = new ResizeObserver(draw);
  observer.observe(element);
  signal.addEventListener('abort', () => {
    observer.disconnect();
    cards.forEach((card) => card.close());
  });
  return { element, show };
}

/* `after`: what a list cannot show by its order. */
function stageCard({ name }, after) {
  const life = new AbortController();
  const link = h('a', { class: 'stage-card-link', href: `#/pipeline?stage=${encodeURIComponent(name)}` }, humanise(name));
  const head = h('div', { class: 'stage-card-head' }, h('span', { class: 'stage-card-sign' }, icon(stageIcon(name))), h('h2', {}, link), after.length > 0 && h('span', { class: 'stage-card-after' }, `after ${listed(after)}`));
  const flow = h('p', { class: 'stage-card-flow' });
  const line = chart({
    isSmall: true,
    signal: life.signal,
    unit: perSecond,
    series: [{ name: 'Out', token: '--accent', fill: true }, { name: 'Errors', token: '--bad' }],
  });
  const facts = h('dl', { class: 'stage-card-facts' });
  const alarms = h('ul', { class: 'stage-card-alarms' });
  const values = new Map();
  const item = h('li', { class: 'stage-card' }, head, alarms, flow, line.element, facts);
  let said = '';

  function fact(label, text) {
    if (!values.has(label)) {
      const value = h('dd', {});
      values.set(label, value);
      facts.append(h('div', {}, h('dt', {}, label), value));
    }
    setText(values.get(label), text);
  }

  function showAlarms(list) {
    const next = JSON.stringify(list);
    if (next === said)
      return;
    said = next;
    item.className = `stage-card${list.length ? ` is-loud tone-${list[0].tone}` : ''}`;
    fill(alarms, list.map(({ tone, sign, text }) => h('li', { class: `tone-${tone}` }, icon(sign), text)));
  }

  function show(stage, series, now, isChosen) {
    const of = (figure) => series.of(`stage:${name}.${figure}`);
    const last = (figure) => now?.[figure] ?? of(figure).at(-1) ?? null;
    const share = errorShareOf(series, name);
    const rates = [series.rate(`stage:${name}.out`), series.rate(`stage:${name}.errors`)];
    const { processes } = stage.live;
    showAlarms(alarmsOf(stage, now, share));
    if (isChosen)
      link.setAttribute('aria-current', 'true');
    else
      link.removeAttribute('aria-current');
    fill(flow, h('span', {}, perSecond(series.rateNow(`stage:${name}.in`))), ' in', h('span', { class: 'stage-card-arrow', 'aria-hidden': 'true' }, '→'), h('span', {}, perSecond(series.rateNow(`stage:${name}.out`))), ' out');
    line.show(series.at, rates, `${humanise(name)}: attempts per second in the last five minutes, up to ${perSecond(Math.max(0, ...rates[0]))}`);
    fact('Running', `${whole(last('running') ?? 0)} of ${whole(stage.in_flight)}`);
    fact('Waiting', waitingText(last('waiting') ?? 0, last('oldest_ms') ?? 0));
    fact('Errors', percent(share));
    fact('p50 / p99', `${micros(last('p50_us'))} / ${micros(last('p99_us'))}`);
    if (now && (now.served_by ?? 1) !== 1)
      fact('Workers', whole(now.served_by));
    if (processes?.crashes || processes?.restarts)
      fact('Crashes', `${whole(processes.crashes)}, ${whole(processes.restarts)} restarts`);
  }

  function box(isVertical) {
    const whole_ = item.getBoundingClientRect();
    if (isVertical)
      return whole_;
    const { top, height } = head.getBoundingClientRect();
    return { left: whole_.left, right: whole_.right, width: whole_.width, top, height, bottom: top + height };
  }

  return { item, show, box, close: () => life.abort() };
}

const waitingText = (n, oldestMs) => (n ? `${whole(n)}, ${duration(oldestMs)}` : 'none');

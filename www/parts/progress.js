/* The way of one order through its stages: a graph from left to right, from top to bottom when narrow. */
import { h, svg, fill, setText } from '../dom.js';
import { icon } from './icons.js';
import { layOut } from './graph.js';
import { linePath } from './lines.js';
import { capital, clock, duration, humanise, moment, stageIcon, stageWord } from '../format.js';

const TICK_MS = 100;
const reached = new Set(['done', 'skipped', 'undoing', 'undone', 'failed']);

/* Returns { element, show(order, events) }; keeps time until `signal` aborts. `now`: the moment that is shown. */
export function progress({ signal, now = Date.now }) {
  const list = h('ol', { class: 'progress-stages', 'aria-label': 'Progress' });
  const lines = svg('svg', { class: 'progress-lines', 'aria-hidden': 'true' });
  const element = h('div', { class: 'progress' }, lines, list);
  const nodes = new Map();
  let edges = [];
  let stages = [];
  let times = new Map();

  function show(order, events) {
    stages = order.stages ?? [];
    if (stages.length !== nodes.size || stages.some(({ name }) => !nodes.has(name)))
      build();
    times = stageTimes(stages, events);
    for (const stage of stages)
      showStage(nodes.get(stage.name), stage, times.get(stage.name), now());
    draw();
  }

  function build() {
    const plan = layOut(stages);
    edges = plan.edges;
    const lanes = [...plan.places.values()].map(({ lane }) => lane + 1);
    list.style.setProperty('--lanes', Math.max(1, ...lanes));
    nodes.clear();
    for (const stage of stages) {
      const node = stageNode(stage);
      const { level, lane } = plan.places.get(stage.name);
      node.item.style.setProperty('--level', level + 1);
      node.item.style.setProperty('--lane', lane);
      nodes.set(stage.name, node);
    }
    fill(list, [...nodes.values()].map(({ item }) => item));
  }

  function draw() {
    const frame = element.getBoundingClientRect();
    const isVertical = getComputedStyle(list).getPropertyValue('--is-vertical').trim() === '1';
    const words = new Map(stages.map(({ name, status }) => [name, status]));
    lines.replaceChildren(
      ...edges.map(({ from, to }) => {
        const a = nodes.get(from).disc.getBoundingClientRect();
        const b = nodes.get(to).disc.getBoundingClientRect();
        return svg('path', {
          class: `progress-line line-${lineWord(words.get(from), words.get(to))}`,
          d: linePath(a, b, frame, isVertical),
        });
      }),
    );
  }

  function tick() {
    for (const stage of stages) {
      const time = times.get(stage.name);
      if (stageWord(stage.status).isCurrent && time?.startedAt && !time.endedAt)
        setText(nodes.get(stage.name).time, timeText(stage, time, now()));
      if (stage.due_at)
        setText(nodes.get(stage.name).note, noteText(stage, now()));
    }
  }

  const observer = new ResizeObserver(() => draw());
  observer.observe(element);
  const timer = setInterval(tick, TICK_MS);
  signal.addEventListener('abort', () => {
    observer.disconnect();
    clearInterval(timer);
  });
  return { element, show };
}

function stageNode(stage) {
  const disc = h('span', { class: 'stage-disc' });
  const word = h('span', { class: 'stage-word' });
  const time = h('span', { class: 'stage-time' });
  const note = h('span', { class: 'stage-note' });
  const item = h(
    'li',
    { class: 'stage' },
    disc,
    h(
      'span',
      { class: 'stage-text' },
      h('span', { class: 'stage-name' }, humanise(stage.name)),
      h('span', { class: 'stage-state' }, word, time),
      note,
    ),
  );
  return { item, disc, word, time, note };
}

function showStage(node, stage, time, now) {
  const { label, tone, isCurrent, icon: sign } = stageWord(stage.status);
  if (node.item.dataset.status !== stage.status) {
    node.item.dataset.status = stage.status;
    node.item.className = `stage tone-${tone}`;
    fill(
      node.disc,
      icon(stageIcon(stage.name)),
      sign && h('span', { class: 'stage-badge' }, icon(sign)),
    );
  }
  if (isCurrent)
    node.item.setAttribute('aria-current', 'step');
  else
    node.item.removeAttribute('aria-current');
  setText(node.word, label);
  setText(node.time, timeText(stage, time, now));
  setText(node.note, noteText(stage, now));
}

function noteText({ status, error, attempt, due_at }, now) {
  const isAhead = due_at && Date.parse(due_at) > now;
  if (status === 'waiting')
    return isAhead ? `Until ${moment(due_at)}` : '';
  if (error && ['retrying', 'queued', 'running', 'undoing'].includes(status))
    return `${capital(error)}\nAttempt ${attempt} ${isAhead ? `at ${clock(due_at)}` : 'under way'}`;
  return ['failed', 'held'].includes(status) ? capital(error ?? '') : '';
}

/* When each stage began and ended: it begins when all before it are finished, with the order at first. */
function stageTimes(stages, events) {
  const created = events.find((event) => event.event_type === 'order_created');
  const ends = new Map();
  for (const event of events) {
    if (event.stage && isEnd(event) && !ends.has(event.stage))
      ends.set(event.stage, Date.parse(event.timestamp));
  }
  const times = new Map();
  for (const stage of stages) {
    const before = (stage.after ?? []).map((name) => ends.get(name));
    const first = created ? Date.parse(created.timestamp) : undefined;
    const startedAt = before.length ? Math.max(...before.map((end) => end ?? NaN)) : first;
    times.set(stage.name, { startedAt, endedAt: ends.get(stage.name) });
  }
  return times;
}

const isEnd = ({ status, event_type }) =>
  status === 'success' || status === 'failed' || event_type === 'stage_skipped';

function timeText(stage, time, now) {
  if (!time?.startedAt || stage.status === 'idle' || stage.status === 'skipped')
    return '';
  const isMoving = stageWord(stage.status).isCurrent && !time.endedAt;
  if (!isMoving && !time.endedAt)
    return '';
  return duration((time.endedAt ?? now) - time.startedAt);
}

function lineWord(from, to) {
  if (from === 'undone' || from === 'undoing')
    return 'undone';
  if (!reached.has(from) || from === 'failed')
    return 'idle';
  if (to === 'failed')
    return 'failed';
  if (to === 'idle')
    return 'idle';
  return ['queued', 'running'].includes(to) ? 'active' : 'done';
}

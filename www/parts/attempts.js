/* When what happened to an order, stage by stage: attempts, time in line, backoff, waits for answers, holds, undoing.
 * Long times in which nothing ran are squeezed, so that short attempts stay visible. */
import { h, fill } from '../dom.js';
import { clock, count, duration, humanise, stageIcon } from '../format.js';
import { icon } from './icons.js';

const kinds = {
  queue: { label: 'In line', what: 'in line' },
  run: { label: 'Attempt', what: 'attempt' },
  undo: { label: 'Undoing', what: 'undoing' },
  backoff: { label: 'Backoff', what: 'backoff' },
  wait: { label: 'Waits for an answer', what: 'waits for an answer' },
  hold: { label: 'On hold', what: 'on hold' },
};
const open = new Set(['queued', 'running', 'retrying', 'waiting', 'held', 'undoing']);
const outcomes = { success: 'good', undone: 'undo', failed: 'bad', retrying: 'warn', held: 'warn' };

/* [{ stage, kind, from, to, attempt, tone, isOpen }], times in ms, for stages and events of one order up to `now`. Pure. */
export function segmentsOf(stages, events, now) {
  const created = events.find(({ event_type: type }) => type === 'order_created');
  const ends = new Map();
  for (const { stage, status, event_type: type, timestamp } of events)
    if (stage && !ends.has(stage) && (status === 'success' || type === 'stage_skipped'))
      ends.set(stage, Date.parse(timestamp));
  const begin = created ? Date.parse(created.timestamp) : NaN;
  const readyAt = ({ after = [] }) => Math.max(begin, ...after.map((name) => ends.get(name) ?? NaN));
  return stages.flatMap((stage) => ofStage(stage, events.filter((event) => event.stage === stage.name), readyAt(stage), now));
}

function ofStage(stage, events, readyAt, now) {
  const list = [];
  let since = { kind: 'queue', at: readyAt }; /* what goes on between events */
  const add = (kind, from, to, more) => {
    if (to > from || kind === 'run' || kind === 'undo')
      list.push({ stage: stage.name, kind, from, to: Math.max(from, to), ...more });
  };

  /* What went on ends here; a backoff ends when the retry is due, the rest of the time was spent in line. */
  function close(at) {
    if (!since || Number.isNaN(since.at))
      return;
    if (since.kind === 'backoff') {
      add('backoff', since.at, Math.min(since.due, at));
      add('queue', since.due, at);
    } else {
      add(since.kind, since.at, at);
    }
  }

  for (const event of events) {
    const at = Date.parse(event.timestamp);
    const isLost = event.event_type === 'attempt_lost';
    if (event.attempt && (isLost || event.event_type === 'stage_waiting' || event.status in outcomes)) {
      const from = at - Math.max(0, event.duration_ms ?? 0);
      close(from);
      add(event.undo ? 'undo' : 'run', from, at, { attempt: event.attempt, tone: isLost ? 'warn' : (outcomes[event.status] ?? 'active') });
      since = null;
    } else if (since) {
      close(at);
      since = null;
    }
    if (event.status === 'retrying')
      since = { kind: 'backoff', at, due: Math.max(at, Date.parse(event.due_at) || at) };
    else if (event.status === 'held')
      since = { kind: 'hold', at };
    else if (event.event_type === 'stage_waiting')
      since = { kind: 'wait', at };
    else if (isLost || ['stage_released', 'stage_signalled'].includes(event.event_type))
      since = { kind: 'queue', at };
  }
  if (open.has(stage.status) && since) {
    const n = list.length;
    close(now);
    list.slice(n).forEach((segment, i, news) => {
      segment.isOpen = i === news.length - 1;
    });
  }
  return list;
}

/* time → 0…1, with the times in which nothing ran squeezed to a share of those in which something did. Pure. */
export function scaleOf(segments) {
  const edges = [...new Set(segments.flatMap(({ from, to }) => [from, to]))].sort((a, b) => a - b);
  const isBusy = (a, b) => segments.some(({ kind, from, to }) => (kind === 'run' || kind === 'undo') && from < b && to > a);
  const spans = edges.slice(1).map((b, i) => ({ a: edges[i], b, isBusy: isBusy(edges[i], b) }));
  const busy = spans.filter((span) => span.isBusy).reduce((sum, { a, b }) => sum + b - a, 0);
  const isLong = (span) => !span.isBusy && span.b - span.a > busy;
  const weights = spans.map((span) => (isLong(span) ? Math.max(1, busy / 2) : span.b - span.a));
  const total = weights.reduce((a, b) => a + b, 0) || 1;
  const starts = weights.map((_, i) => weights.slice(0, i).reduce((a, b) => a + b, 0) / total);
  const squeezed = spans.map((span, i) => ({ ...span, at: starts[i] + weights[i] / total / 2, isSqueezed: weights[i] < span.b - span.a })).filter((span) => span.isSqueezed);

  function place(time) {
    const i = spans.findIndex(({ b }) => time <= b);
    if (i < 0)
      return edges.length ? 1 : 0;
    const { a, b } = spans[i];
    return starts[i] + ((Math.max(a, time) - a) / (b - a)) * (weights[i] / total);
  }

  return { place, squeezed, from: edges[0], to: edges.at(-1) };
}

/* Returns { element, show(order, events, now) }. */
export function attempts() {
  const rows = h('ol', { class: 'lanes' });
  const legend = h('ul', { class: 'lanes-legend' });
  const ends = h('p', { class: 'lanes-ends' });
  const element = h('div', { class: 'attempts' }, legend, rows, ends);

  function show(order, events, now) {
    const stages = order.stages ?? [];
    const segments = segmentsOf(stages, events, now);
    const scale = scaleOf(segments);
    const used = Object.keys(kinds).filter((kind) => segments.some((segment) => segment.kind === kind));
    fill(legend, used.map((kind) => h('li', {}, h('span', { class: `lane-sign lane-${kind}`, 'aria-hidden': 'true' }), kinds[kind].label)));
    fill(rows, stages.map((stage) => lane(stage, segments.filter((segment) => segment.stage === stage.name), scale)));
    fill(ends, segments.length > 0 && [h('span', {}, clock(scale.from)), h('span', {}, `${duration(scale.to - scale.from)} in all`), h('span', {}, clock(scale.to))]);
  }

  return { element, show };
}

function lane({ name }, segments, scale) {
  const tries = segments.filter(({ kind }) => kind === 'run' || kind === 'undo');
  const took = tries.reduce((sum, { from, to }) => sum + to - from, 0);
  const breaks = scale.squeezed.map(({ at }) => {
    const mark = h('span', { class: 'lane-break' });
    mark.style.insetInlineStart = `${at * 100}%`;
    return mark;
  });
  return h(
    'li',
    { class: 'lane' },
    h('p', { class: 'lane-name' }, icon(stageIcon(name)), humanise(name)),
    h('div', { class: 'lane-track' }, h('div', { class: 'lane-breaks', 'aria-hidden': 'true' }, breaks), h('ul', {}, segments.map((segment) => bar(segment, scale)))),
    h('p', { class: 'lane-sum' }, tries.length ? `${count(tries.length, 'attempt', 'attempts')}, ${duration(took)}` : segments.length ? '' : 'not yet'),
  );
}

function bar({ kind, from, to, attempt, tone, isOpen }, scale) {
  const took = duration(to - from);
  const text = `${attempt && kind === 'run' ? `Attempt ${attempt}` : humanise(kinds[kind].what)}, ${took}${isOpen ? ' so far' : ''}, from ${clock(from)}`;
  const element = h('li', { class: `lane-bar lane-${kind}${tone ? ` tone-${tone}` : ''}`, title: text }, h('span', { class: 'visually-hidden' }, text));
  const start = scale.place(from);
  element.style.insetInlineStart = `${start * 100}%`;
  element.style.inlineSize = `${(scale.place(to) - start) * 100}%`;
  return element;
}

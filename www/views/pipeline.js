/* The pipeline as it is now: its stages as they stand in the file, each with its figures of the last five minutes. Quiet
 * while all is well. One stage at a time is looked at closely: #/pipeline?stage=NAME. */
import { h, fill, setText } from '../dom.js';
import { get } from '../api.js';
import { follow } from '../live.js';
import { perSecond, whole } from '../format.js';
import { chart, legend } from '../parts/chart.js';
import { liveChip } from '../parts/live-chip.js';
import { problemState, skeleton } from '../parts/notice.js';
import { reloadNotice } from '../parts/reload-notice.js';
import { figure, showFigure } from '../parts/figure.js';
import { stageGraph } from '../parts/stage-graph.js';
import { stagePanel } from '../parts/stage-panel.js';
import { workersPart } from '../parts/workers.js';
import { seriesOf } from '../series.js';

const RELOAD_MS = 3_000;

export function open(root, { route, signal, announce, setTitle }) {
  const page = pipelinePage({ signal, announce, onChanged: take });
  let series = null;
  let pipeline = null;
  let sample = null;
  let flags = '';
  let chosen = route.query.get('stage');
  let timer;

  setTitle('Pipeline');
  fill(root, h('div', { class: 'card' }, h('h1', { class: 'visually-hidden', tabindex: -1 }, 'Pipeline'), skeleton('Loading the pipeline', 5)));

  function take(next) {
    pipeline = next;
    show();
  }

  function show() {
    if (!pipeline || !series)
      return;
    const isFirst = !page.element.isConnected;
    if (isFirst)
      fill(root, page.element);
    page.show(pipeline, series, sample, chosen);
  }

  async function refresh() {
    const [now, history] = await Promise.all([
      get('/pipeline', { signal }),
      get('/pipeline/history', { signal }),
    ]);
    series = seriesOf(history);
    if (sample)
      series.add(sample);
    take(now);
  }

  function onMessage(message) {
    if (message.type !== 'sample')
      return;
    sample = message;
    series?.add(message);
    const next = flagsOf(message);
    if (flags && next !== flags)
      get('/pipeline', { signal }).then(take, () => {});
    flags = next;
    show();
  }

  async function start() {
    clearTimeout(timer);
    try {
      await refresh();
    } catch (problem) {
      if (signal.aborted)
        return;
      if (!root.querySelector('.problem'))
        fill(root, h('div', {}, h('h1', { class: 'visually-hidden', tabindex: -1 }, 'Pipeline'), problemState(problem, start)));
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
  return {
    update(changed) {
      chosen = changed.query.get('stage');
      show();
      page.focusChosen(chosen);
    },
  };
}

/* What GET /pipeline tells more of when it changes. */
const flagsOf = ({ generation, reloaded_at: reloadedAt, stages }) =>
  JSON.stringify([generation, reloadedAt, Object.entries(stages).map(([name, s]) => [name, s.current, s.paused, s.breaker, s.served_by, s.unhealthy])]);

function pipelinePage({ signal, announce, onChanged }) {
  const live = liveChip(announce, { showsLag: true });
  const about = h('p', { class: 'lead' });
  const figures = {
    accepted: figure('Accepted'),
    completed: figure('Completed'),
    in_flight: figure('In flight', { href: '#/orders?status=open' }),
    on_hold: figure('On hold', { href: '#/dead-letters' }),
  };
  const lines = [
    { name: 'Accepted', token: '--accent', fill: true },
    { name: 'Completed', token: '--good' },
    { name: 'Failed', token: '--bad' },
  ];
  const orders = chart({ series: lines, unit: perSecond, signal });
  const graph = stageGraph({ signal });
  const earlier = h('p', { class: 'pipeline-earlier', hidden: true });
  const reload = reloadNotice(announce);
  const workers = workersPart({ signal, announce, onChanged });
  const panels = h('div', { class: 'pipeline-panel' });
  let panel = null;

  const element = h(
    'div',
    { class: 'pipeline' },
    h(
      'div',
      { class: 'view-head' },
      h('div', {}, h('h1', { tabindex: -1 }, 'Pipeline'), about),
      h('div', { class: 'view-tools' }, live.chip),
    ),
    live.note,
    reload.element,
    h(
      'section',
      { class: 'card pipeline-orders', 'aria-label': 'Orders, last five minutes' },
      h('div', { class: 'figures' }, Object.values(figures).map((f) => f.element)),
      h('div', { class: 'chart-box' }, legend(lines), orders.element),
    ),
    graph.element,
    earlier,
    workers.element,
    panels,
  );

  function showOrders(series) {
    const rates = ['accepted', 'completed', 'failed'].map((name) => series.rate(`orders.${name}`));
    showFigure(figures.accepted, perSecond(series.rateNow('orders.accepted')), `${whole(series.sum('orders.accepted'))} in five minutes`);
    showFigure(figures.completed, perSecond(series.rateNow('orders.completed')), `${whole(series.sum('orders.failed'))} failed in five minutes`);
    showFigure(figures.in_flight, whole(series.of('orders.in_flight').at(-1) ?? 0), 'not ended yet');
    const held = series.of('orders.on_hold').at(-1) ?? 0;
    showFigure(figures.on_hold, whole(held), held ? 'wait for you' : 'nothing waits for you', held ? 'warn' : null);
    orders.show(series.at, rates, `Orders per second in the last five minutes: accepted up to ${perSecond(Math.max(0, ...rates[0]))}`);
  }

  function showEarlier(pipeline, sample) {
    const known = new Set(pipeline.stages.map(({ name }) => name));
    const others = Object.entries(sample?.stages ?? {}).filter(([name, s]) => !known.has(name) && (s.waiting || s.running));
    earlier.hidden = others.length === 0;
    setText(
      earlier,
      `Stages of earlier generations still at work: ${others.map(([name, s]) => `${name} (${whole(s.running)} running, ${whole(s.waiting)} waiting)`).join(', ')}.`,
    );
  }

  function showPanel(pipeline, series, sample, chosen) {
    const stage = pipeline.stages.find(({ name }) => name === chosen);
    if (!stage) {
      panel?.close();
      panel = null;
      fill(panels);
      return;
    }
    if (panel?.name !== chosen) {
      panel?.close();
      panel = stagePanel(chosen, { signal, announce, onChanged });
      fill(panels, panel.element);
    }
    panel.show(stage, series, sample?.stages[chosen]);
  }

  function show(pipeline, series, sample, chosen) {
    fill(about, h('bdi', {}, pipeline.name), ', generation ', h('span', { class: 'mono' }, pipeline.generation), ' · ', h('a', { href: '#/system' }, 'System'));
    reload.show(pipeline);
    workers.show(pipeline);
    showOrders(series);
    graph.show(pipeline, series, sample, chosen);
    showEarlier(pipeline, sample);
    showPanel(pipeline, series, sample, chosen);
  }

  function focusChosen(chosen) {
    if (chosen)
      panels.querySelector('h2')?.focus();
    else
      element.querySelector('h1').focus();
  }

  return { element, show, showLive: live.show, focusChosen };
}

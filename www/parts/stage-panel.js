/* One stage looked at closely: charts, policy, what went wrong last, and what can be done about it. */
import { h, fill } from '../dom.js';
import { get, post } from '../api.js';
import { duration, fullTime, humanise, micros, moment, perSecond, sentence, shortId, stageIcon, whole } from '../format.js';
import { askWhy } from './ask-why.js';
import { chart, legend } from './chart.js';
import { icon } from './icons.js';

const ERRORS_SHOWN = 8;

/* Returns { name, element, show(stage, series, now), close() }. `onChanged(pipeline)`: the answer of an action. */
export function stagePanel(name, { signal, announce, onChanged }) {
  const life = new AbortController();
  const closing = AbortSignal.any([signal, life.signal]);
  const path = `/pipeline/stages/${encodeURIComponent(name)}`;
  const charts = panelCharts(name, closing);
  const policy = h('dl', { class: 'policy' });
  const errors = h('div', { class: 'panel-errors' });
  const toggle = h('button', { type: 'button', class: 'button', 'aria-haspopup': 'dialog', onclick: ask });
  let isPaused = null;
  let shown = '';
  let seen = -1;

  const element = h(
    'section',
    { class: 'card panel', 'aria-labelledby': 'panel-title' },
    h(
      'div',
      { class: 'panel-head' },
      h('h2', { id: 'panel-title', tabindex: -1 }, icon(stageIcon(name)), humanise(name)),
      h(
        'div',
        { class: 'view-tools' },
        h('a', { class: 'button', href: `#/dead-letters?stage=${encodeURIComponent(name)}` }, icon('letters'), 'Dead letters'),
        toggle,
        h('a', { class: 'button', href: '#/pipeline' }, icon('cross'), 'Close'),
      ),
    ),
    charts.element,
    h(
      'div',
      { class: 'panel-columns' },
      h('div', {}, h('h3', {}, 'What went wrong last'), errors),
      h('div', {}, h('h3', {}, 'Policy'), policy),
    ),
  );

  function ask() {
    const doing = isPaused ? 'resume' : 'pause';
    askWhy({
      title: `${humanise(doing)} ${humanise(name)}?`,
      about: isPaused
        ? 'Its tasks go out again.'
        : 'No task goes out to it until somebody resumes it; orders wait, none fails. It stays paused over a restart.',
      action: humanise(doing),
      hint: 'It stays in the journal.',
      signal: closing,
      send: (reason) => post(`${path}/${doing}`, { reason }, { signal: closing }),
      onDone: (answer) => {
        announce(`${humanise(name)} is ${isPaused ? 'resumed' : 'paused'}`);
        onChanged(answer);
      },
    });
  }

  async function loadErrors() {
    try {
      const answer = await get(`${path}/errors?limit=${ERRORS_SHOWN}`, { signal: closing });
      showErrors(answer.errors);
    } catch {
      /* The connection's own state tells. */
    }
  }

  function showErrors(list) {
    if (!list.length) {
      fill(errors, h('p', { class: 'panel-none' }, 'Nothing among the newest 20,000 events.'));
      return;
    }
    fill(
      errors,
      h(
        'ul',
        { class: 'panel-list' },
        list.map((event) =>
          h(
            'li',
            {},
            h('p', {}, sentence(event)),
            h(
              'p',
              { class: 'panel-facts' },
              h('time', { datetime: event.timestamp, title: fullTime(event.timestamp) }, moment(event.timestamp)),
              event.attempt ? ` · attempt ${event.attempt} · ` : ' · ',
              h('a', { class: 'mono', href: `#/orders/${event.order_id}` }, shortId(event.order_id)),
            ),
          ),
        ),
      ),
    );
  }

  function show(stage, series, now) {
    const wanted = now?.paused ?? stage.live.paused;
    if (wanted !== isPaused) {
      isPaused = wanted;
      fill(toggle, icon(isPaused ? 'play' : 'pause'), isPaused ? 'Resume' : 'Pause');
    }
    charts.show(series);
    const next = JSON.stringify(policyOf(stage));
    if (next !== shown)
      fill(policy, policyOf(stage).map(([label, text]) => h('div', {}, h('dt', {}, label), h('dd', {}, text))));
    shown = next;
    const count = series.sum(`stage:${name}.errors`, 2) + series.sum(`stage:${name}.failed`, 2);
    if (seen < 0 || count > 0)
      loadErrors();
    seen = count;
  }

  return { name, element, show, close: () => life.abort() };
}

function panelCharts(name, signal) {
  const plans = [
    {
      title: 'Attempts per second',
      unit: perSecond,
      isRate: true,
      series: [{ name: 'Out', token: '--accent', of: 'out', fill: true }, { name: 'In', token: '--ink-3', of: 'in' }, { name: 'Errors', token: '--bad', of: 'errors' }],
    },
    {
      title: 'Time of an attempt, last minute',
      unit: micros,
      series: [{ name: 'p50', token: '--accent', of: 'p50_us' }, { name: 'p99', token: '--warn', of: 'p99_us' }],
    },
    {
      title: 'Tasks',
      unit: whole,
      series: [{ name: 'Running', token: '--accent', of: 'running', fill: true }, { name: 'Waiting', token: '--warn', of: 'waiting' }],
    },
  ];
  const made = plans.map((plan) => ({ ...plan, chart: chart({ series: plan.series, unit: plan.unit, signal }) }));
  const element = h(
    'div',
    { class: 'panel-charts' },
    made.map((plan) => h('div', { class: 'chart-box' }, h('h3', {}, plan.title), legend(plan.series), plan.chart.element)),
  );

  function show(series) {
    for (const plan of made) {
      const lists = plan.series.map(({ of }) => (plan.isRate ? series.rate : series.of)(`stage:${name}.${of}`));
      const ends = plan.series.map((line, i) => `${line.name} ${plan.unit(lists[i].at(-1))}`);
      plan.chart.show(series.at, lists, `${plan.title}, now: ${ends.join(', ')}`);
    }
  }

  return { element, show };
}

/* [[name, text]] of what the file says, in the words of the file's readers. */
function policyOf(stage) {
  const { retry, breaker, rate } = stage;
  const list = [
    ['Plugin', stage.plugin],
    ['Runs after', stage.after.length ? stage.after.map(humanise).join(', ') : 'the order is placed'],
    ['Workers', `${whole(stage.workers)} ${stage.isolation === 'process' ? 'processes' : 'threads'}, ${whole(stage.in_flight)} orders at once`],
    ['Timeout', duration(stage.timeout_ms)],
    ['Attempts', attemptsText(retry)],
    ['Then', stage.on_exhausted === 'fail' ? 'the order fails and is undone' : 'the order is on hold'],
    breaker && ['Breaker', `opens for ${duration(breaker.open_for_ms)} after ${breaker.failures} failures in ${duration(breaker.window_ms)}`],
    rate && ['Rate', `at most ${whole(rate.attempts)} per ${duration(rate.per_ms)}`],
    ['Undo', stage.irreversible ? 'cannot be undone' : stage.undo_event ? humanise(stage.undo_event) : 'nothing to undo'],
    ['Sandbox', sandboxText(stage)],
  ];
  return list.filter(Boolean);
}

function attemptsText({ attempts, backoff_ms: first, factor, max_ms: most }) {
  if (attempts === 1)
    return 'one';
  return `${attempts}, after ${duration(first)}, each wait ×${factor}, at most ${duration(most)}`;
}

function sandboxText({ isolation, sandbox }) {
  if (isolation !== 'process')
    return 'none: it runs in the daemon';
  if (sandbox === 'off')
    return 'off';
  const may = [sandbox.network && 'network', sandbox.programs && 'programs', ...sandbox.read.map((p) => `reads ${p}`), ...sandbox.write.map((p) => `writes ${p}`)];
  return may.filter(Boolean).join(', ') || 'nothing but computing';
}

/* Who runs the stages when Redis carries the tasks: how the bus is, and every worker with what it runs, what it cannot
 * and why. Nothing is shown where all runs in the daemon. */
import { h, fill } from '../dom.js';
import { get } from '../api.js';
import { count, humanise, listed, whole } from '../format.js';
import { icon } from './icons.js';

const LOOK_MS = 3_000;

/* An element for a view to place, and `show` for GET /pipeline, which is asked again as long as there is a bus. */
export function workersPart({ signal, announce, onChanged }) {
  const alarms = h('ul', { class: 'workers-alarms' });
  const list = h('ul', { class: 'workers-list' });
  const about = h('p', { class: 'lead' });
  const element = h(
    'section',
    { class: 'card workers', 'aria-labelledby': 'workers-title', hidden: true },
    h('div', { class: 'workers-head' }, h('h2', { id: 'workers-title' }, 'Workers'), about),
    alarms,
    list,
  );
  let shown = '';
  let loud = '';
  let timer = null;

  signal.addEventListener('abort', () => clearTimeout(timer));

  function look() {
    timer = null;
    get('/pipeline', { signal }).then(onChanged, lookLater);
  }

  /* The view shows itself more often than this looks. */
  function lookLater() {
    if (!signal.aborted)
      timer ??= setTimeout(look, LOOK_MS);
  }

  function show(pipeline) {
    const { bus } = pipeline;
    element.hidden = bus?.kind !== 'redis';
    if (element.hidden)
      return;
    lookLater();
    const next = JSON.stringify([bus, pipeline.stages.map(({ live }) => live.served_by)]);
    if (next === shown)
      return;
    shown = next;
    const said = alarmsOf(pipeline);
    fill(about, said.length ? '' : summaryOf(bus));
    fill(alarms, said.map((text) => h('li', { class: 'tone-bad' }, icon('alert'), text)));
    fill(list, bus.workers.map((worker) => workerItem(worker, pipeline.generation)));
    if (said.join() !== loud && said.length)
      announce(said.join('. '));
    loud = said.join();
  }

  return { element, show };
}

/* What an operator must know of bus and workers, in words. Pure. */
export function alarmsOf({ bus, stages }) {
  if (!bus.connected)
    return [`Redis does not answer${bus.trouble ? `: ${bus.trouble}` : ''}`];
  const deserted = stages.filter(({ live }) => live.served_by === 0).map(({ name }) => humanise(name));
  return [
    bus.trouble && `Redis: ${bus.trouble}`,
    deserted.length > 0 && `No worker takes tasks of ${listed(deserted)}: they wait in the journal`,
  ].filter(Boolean);
}

function summaryOf({ workers }) {
  const running = workers.flatMap(({ stages }) => stages).reduce((sum, stage) => sum + stage.running, 0);
  return `${count(workers.length, 'worker', 'workers')} through Redis, ${whole(running)} running`;
}

/* One of the daemon's own, or a `stageline worker` somewhere. */
function workerItem({ host, pid, version, coordinator, stages, cannot }, generation) {
  const trouble = [
    ...cannot.map(({ stage, why }) => ({ tone: 'bad', text: `Cannot run ${stage ? humanise(stage) : 'a generation'}: ${why}` })),
    ...stages.filter(({ clogged }) => clogged).map(({ name }) => ({ tone: 'warn', text: `${humanise(name)}: calls that do not come back take all its places` })),
    ...stages.filter(({ stalled }) => stalled).map(({ name }) => ({ tone: 'warn', text: `${humanise(name)}: no process of it can be started there` })),
  ];
  return h(
    'li',
    { class: 'worker' },
    h(
      'div',
      { class: 'worker-name' },
      h('strong', {}, h('bdi', {}, host)),
      h('span', {}, coordinator ? 'this daemon' : `process ${pid}`, `, version ${version}`),
    ),
    h('ul', { class: 'worker-stages', 'aria-label': `Stages of ${host}, process ${pid}` }, stagesOf(stages, generation).map(stageItem)),
    trouble.length > 0 && h('ul', { class: 'worker-trouble' }, trouble.map(({ tone, text }) => h('li', { class: `tone-${tone}` }, icon('alert'), text))),
  );
}

/* Earlier generations last; they are named where they run something. */
const stagesOf = (stages, generation) =>
  stages
    .map((stage) => ({ ...stage, isEarlier: stage.generation !== generation }))
    .filter(({ isEarlier, running }) => !isEarlier || running)
    .sort((a, b) => a.isEarlier - b.isEarlier || a.name.localeCompare(b.name));

const stageItem = ({ name, running, isEarlier }) =>
  h('li', { class: running ? 'is-running' : null }, humanise(name), isEarlier && ' (earlier generation)', h('span', {}, running ? `${whole(running)} running` : 'idle'));

/* What is done with dead letters: the bar of what is selected, the dialog with its dry run, and how far a job is. */
import { h, fill, setText } from '../dom.js';
import { get, post } from '../api.js';
import { count, shortId, whole } from '../format.js';
import { askWhy } from './ask-why.js';
import { icon } from './icons.js';

const POLL_MS = 500;
const IDS_SHOWN = 8;

const actions = {
  retry: {
    label: 'Retry',
    sign: 'retry',
    doing: 'Retrying',
    done: 'retried',
    about: 'The stage that holds each of them is tried again, with all its attempts. What fails again comes back here.',
  },
  skip: {
    label: 'Skip',
    sign: 'skip',
    doing: 'Skipping',
    done: 'skipped',
    about: 'The stage that holds each of them is left out, as if it had nothing to do, and the order goes on behind it.',
  },
  discard: {
    label: 'Discard',
    sign: 'ban',
    doing: 'Discarding',
    done: 'discarded',
    isDangerous: true,
    about: 'The orders fail, and what was done of them is undone. This cannot be taken back.',
  },
};

/* Returns { bar, progress, show(selection), resume(job) }.
 *   selection   { isAll, filter, ids, matching, loaded }: ids, or all that match the filter
 *   onEdit(id), onAll(), onClear(), onDone()  */
export function bulkActions({ signal, announce, onEdit, onAll, onClear, onDone }) {
  const text = h('p', { class: 'bulk-text', role: 'status' });
  const everything = h('button', { type: 'button', class: 'link', onclick: onAll });
  const edit = h('button', { type: 'button', class: 'button', 'aria-haspopup': 'dialog', onclick: () => onEdit(selection.ids[0]) }, icon('clipboard'), 'Correct');
  const buttons = Object.entries(actions).map(([name, { label, sign, isDangerous }]) =>
    h('button', { type: 'button', class: `button${isDangerous ? ' button-warn' : ''}`, 'aria-haspopup': 'dialog', onclick: () => ask(name) }, icon(sign), label),
  );
  const bar = h(
    'div',
    { class: 'bulk-bar', role: 'region', 'aria-label': 'Selected dead letters', hidden: true },
    h('div', { class: 'bulk-what' }, text, everything),
    h(
      'div',
      { class: 'bulk-buttons' },
      edit,
      buttons,
      h('button', { type: 'button', class: 'button-icon', 'aria-label': 'Select none', title: 'Select none', onclick: onClear }, icon('cross')),
    ),
  );
  const progress = h('div', { class: 'bulk-progress' });
  let selection = { isAll: false, ids: [], matching: 0, loaded: 0 };

  function show(next) {
    selection = next;
    const n = next.isAll ? next.matching : next.ids.length;
    bar.hidden = n === 0;
    setText(text, next.isAll ? `All ${whole(n)} that match are selected` : `${whole(n)} selected`);
    everything.hidden = next.isAll || next.ids.length < next.loaded || next.matching <= next.loaded;
    setText(everything, `Select all ${whole(next.matching)} that match`);
    edit.hidden = next.isAll || n !== 1;
  }

  function which() {
    if (!selection.isAll)
      return { ids: selection.ids };
    const { stage, error } = selection.filter;
    return { filter: { ...(stage !== null && { stage }), ...(error !== null && { error }) } };
  }

  function ask(name) {
    const action = actions[name];
    const chosen = which();
    const outcome = dryRun(name, chosen, signal);
    const rate = rateField();
    askWhy({
      title: `${action.label} ${selection.isAll ? `all ${whole(selection.matching)}` : count(selection.ids.length, 'order', 'orders')}?`,
      about: action.about,
      action: action.label,
      isDangerous: action.isDangerous,
      fields: [outcome.element, rate.element],
      hint: 'It stays in the history of each order.',
      signal,
      check: rate.check,
      send: (reason) => post(`/dead-letters/${name}`, { reason, ...chosen, ...rate.value() }, { signal }),
      onDone: (answer) => {
        onClear();
        watch(answer);
      },
    });
    outcome.run();
  }

  /* Shows a job until it has ended; its number is in the URL, so that a reload finds it again. */
  async function watch(answer) {
    let timer;
    const shown = jobNotice(() => {
      clearTimeout(timer);
      fill(progress);
      rememberJob(null);
    });
    fill(progress, shown.element);
    rememberJob(answer.job);

    const look = async (job) => {
      shown.show(job);
      onDone();
      if (job.finished) {
        announce(jobText(job));
        return;
      }
      timer = setTimeout(async () => {
        if (!signal.aborted && shown.element.isConnected)
          look(await get(`/dead-letters/jobs/${job.job}`, { signal }).catch(() => job));
      }, POLL_MS);
    };
    signal.addEventListener('abort', () => clearTimeout(timer));
    look(answer);
  }

  async function resume(job) {
    if (!/^\d+$/.test(job ?? ''))
      return;
    try {
      watch(await get(`/dead-letters/jobs/${job}`, { signal }));
    } catch {
      rememberJob(null); /* the daemon was started again since: it is over */
    }
  }

  return { bar, progress, show, resume };
}

function rememberJob(job) {
  const [path, text = ''] = location.hash.split('?');
  const query = new URLSearchParams(text);
  if (job)
    query.set('job', job);
  else
    query.delete('job');
  history.replaceState(null, '', `${path}${query.size ? `?${query}` : ''}`);
}

/* What would happen, asked of the daemon itself. */
function dryRun(name, chosen, signal) {
  const element = h('div', { class: 'dry-run', role: 'status' }, 'Asking what would happen…');

  async function run() {
    try {
      const answer = await post(`/dead-letters/${name}`, { reason: 'dry run', dry_run: true, ...chosen }, { signal });
      const more = answer.matched - Math.min(IDS_SHOWN, answer.ids.length);
      fill(
        element,
        h('p', {}, h('strong', {}, `${count(answer.matched, 'order', 'orders')} would be ${actions[name].done}.`), answer.capped && ' More match; these are the newest that one job takes.'),
        h(
          'p',
          { class: 'dry-run-ids' },
          answer.ids.slice(0, IDS_SHOWN).map((id) => [h('span', { class: 'mono', title: id }, shortId(id)), ' ']),
          more > 0 && `and ${whole(more)} more`,
        ),
      );
    } catch (problem) {
      if (!signal.aborted)
        fill(element, `What would happen is not known: ${problem.message}`);
    }
  }

  return { element, run };
}

function rateField() {
  const error = h('p', { class: 'field-error', id: 'rate-error', hidden: true });
  const input = h('input', {
    id: 'rate',
    class: 'input rate-input',
    inputmode: 'numeric',
    autocomplete: 'off',
    placeholder: 'as fast as it goes',
    maxlength: 6,
    'aria-describedby': 'rate-error',
    oninput: () => set(''),
  });

  function set(text) {
    error.hidden = !text;
    fill(error, text && icon('alert'), text);
    if (text)
      input.setAttribute('aria-invalid', 'true');
    else
      input.removeAttribute('aria-invalid');
  }

  function check() {
    const text = input.value.trim();
    const isFine = text === '' || (/^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= 100_000);
    set(isFine ? '' : 'A whole number from 1 to 100,000');
    if (!isFine)
      input.focus();
    return isFine ? '' : 'rate';
  }

  const element = h('div', { class: 'field' }, h('label', { class: 'field-label', for: 'rate' }, 'Orders per second'), input, error);
  const value = () => (input.value.trim() ? { rate: Number(input.value.trim()) } : {});
  return { element, check, value };
}

function jobNotice(onClose) {
  const title = h('p', { class: 'notice-title' });
  const bar = h('progress', { class: 'job-bar', 'aria-label': 'Progress of the job' });
  const more = h('p', {});
  const refusals = h('details', { hidden: true }, h('summary', {}, 'Those that were refused'), h('ul', {}));
  const sign = h('span', { class: 'notice-sign' });
  const element = h(
    'div',
    { class: 'notice' },
    sign,
    h('div', { class: 'job-text' }, title, bar, more, refusals),
    h('button', { type: 'button', class: 'button-icon', 'aria-label': 'Close', onclick: onClose }, icon('cross')),
  );
  let word = '';

  function show(job) {
    const tone = !job.finished ? 'active' : job.refused ? 'warn' : 'good';
    if (tone !== word)
      fill(sign, icon({ active: 'working', warn: 'alert', good: 'check' }[tone]));
    word = tone;
    element.className = `notice tone-${tone}`;
    setText(title, jobText(job));
    bar.max = Math.max(1, job.matched);
    bar.value = job.done + job.refused;
    bar.hidden = job.finished;
    setText(more, job.finished ? '' : `${whole(job.left)} left${job.refused ? `, ${whole(job.refused)} refused` : ''}`);
    refusals.hidden = !job.refusals?.length;
    if (!refusals.hidden)
      fill(refusals.lastChild, job.refusals.map(({ id, detail }) => h('li', {}, h('a', { class: 'mono', href: `#/orders/${id}` }, shortId(id)), ` ${detail}`)));
  }

  return { element, show };
}

function jobText({ action, finished, matched, done, refused }) {
  const words = actions[action] ?? { doing: 'Working', done: 'done' };
  if (!finished)
    return `${words.doing}: ${whole(done)} of ${whole(matched)}`;
  const what = `${count(done, 'order', 'orders')} ${words.done}`;
  return refused ? `${what}, ${whole(refused)} refused` : what;
}

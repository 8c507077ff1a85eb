/* The pipeline file was loaded anew and changed nothing: why, with places, for as long as that is the last word on it. */
import { h, fill } from '../dom.js';
import { clock, count } from '../format.js';
import { icon } from './icons.js';

const SHOWN_MAX = 8;

/* An element for a view to place, and `show` for GET /pipeline. */
export function reloadNotice(announce) {
  const element = h('section', { class: 'notice tone-bad reload-notice', 'aria-labelledby': 'reload-title', hidden: true });
  let shownAt = null;

  function show({ generation, last_reload: last }) {
    element.hidden = !last || last.ok;
    if (element.hidden || last.at === shownAt)
      return;
    shownAt = last.at;
    fill(
      element,
      icon('alert'),
      h('div', {}, h('h2', { id: 'reload-title' }, titleOf(last.errors)), about(last.at, generation), faults(last.errors)),
    );
    announce(titleOf(last.errors));
  }

  return { element, show };
}

const isInFile = ({ file }) => file !== undefined;

/* Without a place it was not the file: no disk, no memory. */
const titleOf = (errors) =>
  errors.some(isInFile) ? `The pipeline file was not taken: ${count(errors.length, 'fault', 'faults')}` : 'The pipeline could not be loaded anew';

const about = (at, generation) =>
  h('p', {}, `At ${clock(at)}. Nothing has changed: new orders still take generation `, h('span', { class: 'mono' }, generation), '.');

function faults(errors) {
  const more = errors.length - SHOWN_MAX;
  return h(
    'ul',
    {},
    errors.slice(0, SHOWN_MAX).map((fault) => h('li', {}, isInFile(fault) && h('span', { class: 'mono reload-place' }, placeOf(fault)), fault.detail)),
    more > 0 && h('li', {}, `${count(more, 'more', 'more')}; stageline check tells all of them`),
  );
}

const placeOf = ({ file, line, column }) => `${file.split('/').at(-1)}:${line}:${column}`;

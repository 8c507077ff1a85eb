/* What a view shows when it has nothing to show: empty, error, loading. */
import { h } from '../dom.js';
import { icon } from './icons.js';
import { clock } from '../format.js';

/* `isPage`: it is all there is, its title the heading of the page. */
export function emptyState({ sign, title, text, action, isPage = false }) {
  return h(
    'div',
    { class: 'empty' },
    h('span', { class: 'empty-sign' }, icon(sign)),
    isPage
      ? h('h1', { class: 'empty-title', tabindex: -1 }, title)
      : h('h2', { class: 'empty-title' }, title),
    text && h('p', {}, text),
    action,
  );
}

/* A Problem, with a button that tries again. */
export function problemState(problem, onRetry) {
  const state = emptyState({
    sign: problem.isUnreachable ? 'offline' : 'alert',
    title: problem.isUnreachable ? 'The server cannot be reached' : problem.title,
    text: problemText(problem),
    action: h('button', { class: 'button', type: 'button', onclick: onRetry }, 'Try again'),
  });
  state.classList.add('problem');
  return state;
}

export function problemText(problem) {
  if (problem.isUnreachable)
    return 'Check that Stageline is running and that you are connected.';
  const when = problem.retryAt ? ` Try again at ${clock(problem.retryAt)}.` : '';
  return `${problem.detail}${when}`.trim();
}

/* Grey bars while loading; `label` is what a screen reader hears. */
export function skeleton(label, rows) {
  return h(
    'div',
    { class: 'skeleton', role: 'status' },
    h('span', { class: 'visually-hidden' }, label),
    Array.from({ length: rows }, () => h('span', { class: 'skeleton-bar' })),
  );
}

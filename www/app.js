/* The shell: navigation, theme, announcements, and the router that opens one view at a time.
 *
 * A view is a module with open(root, context) that fills `root` and may return { update(route) }, called
 * when only the query changed. Everything a view starts must end when context.signal aborts. */
import { get } from './api.js';
import { h, fill } from './dom.js';
import { icon } from './parts/icons.js';
import { emptyState } from './parts/notice.js';
import * as deadLetters from './views/dead-letters.js';
import * as orderForm from './views/order-form.js';
import * as orderPast from './views/order-past.js';
import * as orders from './views/orders.js';
import * as pipeline from './views/pipeline.js';
import * as stock from './views/stock.js';
import * as system from './views/system.js';
import * as track from './views/track.js';

/* The first that matches is opened; those with `nav` stand in the navigation, in this order. */
const routes = [
  { pattern: /^\/$/, view: orderForm, nav: { label: 'New order', href: '#/', sign: 'plus' } },
  { pattern: /^\/orders$/, view: orders, nav: { label: 'Orders', href: '#/orders', sign: 'list' } },
  { pattern: /^\/pipeline$/, view: pipeline, nav: { label: 'Pipeline', href: '#/pipeline', sign: 'flow' } },
  { pattern: /^\/dead-letters$/, view: deadLetters, nav: { label: 'Dead letters', href: '#/dead-letters', sign: 'letters' } },
  { pattern: /^\/stock$/, view: stock, nav: { label: 'Stock', href: '#/stock', sign: 'box' } },
  { pattern: /^\/system$/, view: system, nav: { label: 'System', href: '#/system', sign: 'gauge' } },
  { pattern: /^\/orders\/([^/]+)$/, view: track, under: '#/orders' },
  { pattern: /^\/orders\/([^/]+)\/events$/, view: orderPast, under: '#/orders' },
];

const main = document.querySelector('#main');
const announcer = document.querySelector('#announcer');
const navigation = document.querySelector('.shell-nav');
let current = null;

function readRoute() {
  const [path, query = ''] = (location.hash.slice(1) || '/').split('?');
  for (const entry of routes) {
    const match = entry.pattern.exec(path);
    if (match)
      return { entry, path, query: new URLSearchParams(query), params: match.slice(1).map(decode) };
  }
  return { entry: null, path, query: new URLSearchParams(), params: [] };
}

function navigate() {
  if (location.hash === '#main')
    return; /* the skip link */
  const route = readRoute();
  markNavigation(route.entry);
  if (current?.path === route.path && current.handle?.update) {
    current.handle.update(route);
    return;
  }
  const isFirst = current === null;
  current?.controller.abort();
  current = { path: route.path, controller: new AbortController(), handle: null };
  openView(route, current);
  if (isFirst)
    return;
  scrollTo(0, 0);
  main.querySelector('h1')?.focus();
}

function openView(route, opened) {
  const root = h('div', { class: 'view' });
  fill(main, root);
  if (!route.entry) {
    setTitle('Not found');
    fill(root, notFound());
    return;
  }
  const context = { route, signal: opened.controller.signal, announce, setTitle };
  opened.handle = route.entry.view.open(root, context);
}

function notFound() {
  return emptyState({
    isPage: true,
    sign: 'search',
    title: 'There is no such page',
    text: 'The address may be mistyped.',
    action: h('a', { class: 'button', href: '#/orders' }, 'See all orders'),
  });
}

function markNavigation(entry) {
  const href = entry?.nav?.href ?? entry?.under;
  for (const link of navigation.querySelectorAll('a')) {
    const isHere = link.getAttribute('href') === href;
    link.classList.toggle('is-here', isHere);
    if (isHere && entry.nav)
      link.setAttribute('aria-current', 'page');
    else
      link.removeAttribute('aria-current');
  }
}

function setTitle(title) {
  document.title = `${title} · Stageline`;
}

/* Read out politely; the same sentence twice is read twice. */
function announce(sentence) {
  announcer.textContent = announcer.textContent === sentence ? `${sentence}\u00a0` : sentence;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/* A journal that is only looked at says so on every page. */
async function showReadOnly() {
  const health = await get('/health').catch(() => null);
  if (!health?.read_only)
    return;
  const until = Number(health.last_seq).toLocaleString('en');
  document
    .querySelector('.shell-header')
    .append(h('p', { class: 'shell-note' }, `Read-only: the journal up to event ${until}. Nothing can be changed here.`));
}

const darkSystem = matchMedia('(prefers-color-scheme: dark)');

function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === 'dark' : darkSystem.matches;
}

function themeButton() {
  const button = h('button', { type: 'button', class: 'button-icon', onclick: toggle });

  function toggle() {
    const wanted = isDark() ? 'light' : 'dark';
    const isSystems = wanted === (darkSystem.matches ? 'dark' : 'light');
    if (isSystems)
      delete document.documentElement.dataset.theme;
    else
      document.documentElement.dataset.theme = wanted;
    remember(isSystems ? null : wanted);
    show();
  }

  function show() {
    const label = isDark() ? 'Use the light theme' : 'Use the dark theme';
    button.setAttribute('aria-label', label);
    button.title = label;
    fill(button, icon(isDark() ? 'sun' : 'moon'));
  }

  darkSystem.addEventListener('change', show);
  show();
  return button;
}

/* null: what the system says. */
function remember(theme) {
  try {
    if (theme)
      localStorage.setItem('theme', theme);
    else
      localStorage.removeItem('theme');
  } catch {
    /* Storage is switched off: the choice lasts until the page closes. */
  }
}

fill(
  navigation,
  routes
    .filter(({ nav }) => nav)
    .map(({ nav }) => h('a', { href: nav.href, title: nav.label }, icon(nav.sign), h('span', {}, nav.label))),
);
fill(document.querySelector('.shell-tools'), themeButton());
document.querySelector('.skip-link').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
showReadOnly();
addEventListener('hashchange', navigate);
navigate();

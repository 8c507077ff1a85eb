/* A chart of the last minutes by Chart.js, which is loaded once and only where a chart is shown. Colours come from the
 * style sheet's tokens and follow the theme. */
import { h } from '../dom.js';
import { clock, whole } from '../format.js';

let library = null;

/* Resolves to the constructor, or null: the server has no Chart.js. */
function load() {
  library ??= import('/static/lib/chart.js').then(
    () => globalThis.Chart,
    () => null,
  );
  return library;
}

/* What a token of the style sheet means now. */
function colour(token) {
  const probe = h('span', { hidden: true });
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/* Returns { element, show(at, lists, label) }: times in ms, a list per series (null: not known), and what a screen
 * reader hears.
 *   series   [{ name, token, fill }]: `token` is a custom property, '--accent'
 *   unit     writes a value for people
 *   isSmall  no axes, no pointer: a line beside figures that say the same */
export function chart({ series, unit, isSmall = false, signal }) {
  const canvas = h('canvas', { role: 'img', 'aria-label': 'Chart' });
  const element = h('div', { class: `chart ${isSmall ? 'chart-small' : 'chart-large'}` }, canvas);
  let drawn = null;
  let last = null;

  function paint() {
    const [line, ink] = [colour('--line'), colour('--ink-3')];
    drawn.data.datasets.forEach((set, i) => {
      const own = colour(series[i].token);
      set.borderColor = own;
      set.backgroundColor = own.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.14)');
    });
    if (isSmall)
      return;
    for (const scale of Object.values(drawn.options.scales)) {
      scale.ticks.color = ink;
      scale.grid.color = line;
      scale.grid.borderColor = line;
    }
  }

  function update() {
    const { at, lists } = last;
    lists.forEach((list, i) => {
      drawn.data.datasets[i].data = list.map((y, k) => ({ x: at[k], y: y === null ? NaN : y }));
    });
    const end = at.at(-1) ?? 0;
    Object.assign(drawn.options.scales.x, { min: end - 300_000, max: end });
    drawn.update('none');
  }

  async function begin() {
    const Chart = await load();
    if (signal.aborted)
      return;
    if (!Chart) {
      element.classList.add('chart-none');
      if (!isSmall)
        element.replaceChildren(h('p', {}, 'No charts: Chart.js (libjs-chart.js) is not installed on the server.'));
      return;
    }
    drawn = new Chart(canvas, configuration(series, unit, isSmall));
    paint();
    if (last)
      update();
  }

  function show(at, lists, label) {
    last = { at, lists };
    if (canvas.getAttribute('aria-label') !== label)
      canvas.setAttribute('aria-label', label);
    if (drawn && element.isConnected)
      update();
  }

  function repaint() {
    if (!drawn)
      return;
    paint();
    drawn.update('none');
  }

  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint, { signal });
  const themes = new MutationObserver(repaint);
  themes.observe(document.documentElement, { attributeFilter: ['data-theme'] });
  signal.addEventListener('abort', () => {
    themes.disconnect();
    drawn?.destroy();
  });
  begin();
  return { element, show };
}

function configuration(series, unit, isSmall) {
  const axis = (more) => ({ type: 'linear', display: !isSmall, grid: { drawTicks: false }, ...more });
  return {
    type: 'line',
    data: {
      datasets: series.map(({ name, fill }) => ({
        label: name,
        data: [],
        fill: fill ? 'origin' : false,
        borderWidth: 1.5,
        pointRadius: 0,
        pointHitRadius: 12,
        tension: 0,
      })),
    },
    options: {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      normalized: true,
      parsing: false,
      events: isSmall ? [] : ['mousemove', 'mouseout', 'touchstart', 'touchmove'],
      interaction: { mode: 'index', intersect: false },
      layout: { padding: isSmall ? { top: 2, bottom: 1 } : 0 },
      scales: {
        x: axis({ ticks: { maxTicksLimit: 6, maxRotation: 0, padding: 6, callback: (ms) => clock(ms).slice(0, 5) } }),
        y: axis({ beginAtZero: true, grace: '8%', ticks: { maxTicksLimit: 5, padding: 8, callback: unit, precision: unit === whole ? 0 : undefined } }),
      },
      plugins: {
        legend: { display: false },
        tooltip: {
          displayColors: series.length > 1,
          callbacks: {
            title: ([item]) => (item ? clock(item.parsed.x) : ''),
            label: ({ dataset, parsed }) => ` ${dataset.label}: ${unit(parsed.y)}`,
          },
        },
      },
    },
  };
}

/* What the lines mean, for charts with several: [{ name, token }]. */
export function legend(series) {
  return h(
    'ul',
    { class: 'legend' },
    series.map(({ name, token }) => {
      const sign = h('span', { class: 'legend-sign', 'aria-hidden': 'true' });
      sign.style.background = `var(${token})`;
      return h('li', {}, sign, name);
    }),
  );
}

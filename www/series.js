/* The last five minutes as the daemon tells them: first whole, then a sample each second. Pure; no DOM. */

const parts = ['orders', 'journal', 'memory'];

/* `history`: the answer of GET /pipeline/history. Its lists are kept and grow at the end. */
export function seriesOf(history) {
  const { seconds, at_ms: at, span_ms: span } = history;
  const lists = new Map();

  const put = (path, list) => lists.set(path, list);
  for (const part of parts)
    Object.entries(history[part]).forEach(([name, list]) => put(`${part}.${name}`, list));
  for (const [stage, figures] of Object.entries(history.stages))
    Object.entries(figures).forEach(([name, list]) => put(`stage:${stage}.${name}`, list));

  /* Every list gets one more value, null where the sample says nothing. */
  function add(sample) {
    const time = Date.parse(sample.at);
    if (at.length && time <= at.at(-1))
      return;
    const news = new Map();
    for (const part of parts)
      Object.entries(sample[part]).forEach(([name, value]) => news.set(`${part}.${name}`, value));
    for (const [stage, figures] of Object.entries(sample.stages))
      Object.entries(figures).forEach(([name, value]) => {
        if (typeof value === 'number' || value === null)
          news.set(`stage:${stage}.${name}`, value);
      });
    for (const path of news.keys()) {
      if (!lists.has(path))
        put(path, at.map(() => null));
    }
    at.push(time);
    span.push(sample.span_ms);
    for (const [path, list] of lists)
      list.push(news.get(path) ?? null);
    while (at.length > seconds) {
      at.shift();
      span.shift();
      lists.forEach((list) => list.shift());
    }
  }

  const of = (path) => lists.get(path) ?? at.map(() => null);
  /* Counts become numbers per second. */
  const rate = (path) => of(path).map((n, i) => (n === null ? null : (n * 1000) / span[i]));
  /* The mean of the last seconds of a rate. */
  const rateNow = (path, last = 5) => {
    const list = of(path).slice(-last);
    const ms = span.slice(-last).reduce((a, b) => a + b, 0);
    return ms ? (list.reduce((a, b) => a + (b ?? 0), 0) * 1000) / ms : 0;
  };
  const sum = (path, last = seconds) => of(path).slice(-last).reduce((a, b) => a + (b ?? 0), 0);

  return { at, add, of, rate, rateNow, sum };
}

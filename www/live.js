/* The live connection of a view: WebSocket, else server-sent events, else polling.
 *
 * connecting → live → reconnecting → live …, and offline when nothing has answered for a while.
 * A transport is given up for the next one only when the server itself answers: a server that is down
 * says nothing about proxies that break WebSockets. */

const BACKOFF_FIRST_MS = 300;
const BACKOFF_MAX_MS = 10_000;
const OPEN_TIMEOUT_MS = 8_000;
const OFFLINE_AFTER_MS = 20_000;
const REFUSALS_BEFORE_NEXT = 2;
const POLL_MS = 2_000;
const CHECK_MS = 20_000;
const BEHIND_MS = 2_000;

const transports = [openSocket, openStream, openPolling];

/* Follows until `signal` aborts.
 *   socket(), stream()  the paths to connect to, asked for at each attempt (to resume with ?after=)
 *   poll()              fetches and delivers by itself; rejects when there is no answer
 *   onMessage(message)  one parsed message of the socket or the stream
 *   onUp()              connected, for the first time or again: what was missed must be fetched
 *   isFresh             connecting for the first time misses nothing: onUp() is called from the second time on
 *   onState(state)      { name, behindMs, lagMs, since }: `since` is when the connection was lost, or null
 *   measuresLag         tell onState() of each lag that was measured, not only of long ones */
export function follow(options) {
  const link = {
    options,
    level: 0,
    failures: 0,
    refusals: 0,
    isUp: false,
    isFresh: options.isFresh ?? false,
    close: () => {},
    timer: 0,
    calm: 0,
    lostAt: null,
    state: null,
    leastLag: Infinity,
    behindMs: 0,
    tripMs: 0,
    lagMs: null,
  };
  const { signal } = options;
  if (signal.aborted)
    return;
  const check = setInterval(() => checkServer(link), CHECK_MS);
  addEventListener('online', () => hurry(link), { signal });
  document.addEventListener('visibilitychange', () => hurry(link), { signal });
  signal.addEventListener('abort', () => {
    clearInterval(check);
    clearTimeout(link.timer);
    clearTimeout(link.calm);
    link.close();
  });
  say(link, 'connecting');
  connect(link);
}

function connect(link) {
  const { signal } = link.options;
  link.timer = 0; /* nothing to hurry while this is under way */
  if (signal.aborted)
    return;
  let isOver = false;
  let opened = false;
  const giveUp = setTimeout(() => down(), OPEN_TIMEOUT_MS);

  function up() {
    if (isOver || opened)
      return;
    opened = true;
    clearTimeout(giveUp);
    Object.assign(link, { isUp: true, failures: 0, refusals: 0, lostAt: null, behindMs: 0 });
    say(link, 'live');
    if (!link.isFresh)
      link.options.onUp?.();
    link.isFresh = false;
    if (link.options.measuresLag)
      measureTrip(link);
  }

  function down() {
    if (isOver)
      return;
    isOver = true;
    clearTimeout(giveUp);
    closeTransport();
    link.isUp = false;
    if (!signal.aborted)
      lost(link, opened);
  }

  function message(text) {
    if (isOver)
      return;
    const parsed = parse(text);
    if (parsed === undefined)
      return;
    measureLag(link, parsed.event?.timestamp ?? parsed.at);
    link.options.onMessage?.(parsed);
  }

  const closeTransport = transports[link.level](link.options, { up, down, message });
  link.close = () => {
    isOver = true;
    clearTimeout(giveUp);
    closeTransport();
  };
  link.drop = down;
}

async function lost(link, wasOpen) {
  link.lostAt ??= new Date();
  link.isFresh = false; /* something may have happened since */
  link.failures++;
  const isGone = Date.now() - link.lostAt > OFFLINE_AFTER_MS || !navigator.onLine;
  say(link, isGone && !wasOpen ? 'offline' : 'reconnecting');

  if (wasOpen) {
    link.level = 0;
  } else if (await serverAnswers(link)) {
    link.refusals++;
    if (link.refusals >= REFUSALS_BEFORE_NEXT && link.level < transports.length - 1) {
      link.level++;
      link.refusals = 0;
      link.failures = 0;
    }
  }
  if (!link.options.signal.aborted)
    link.timer = setTimeout(() => connect(link), backoff(link.failures));
}

/* Exponential, with the upper half random so that many browsers do not return at once. */
function backoff(failures) {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.max(0, failures - 1));
  return ceiling / 2 + Math.random() * (ceiling / 2);
}

/* Something suggests that it may work now: do not wait for the backoff. */
function hurry(link) {
  if (document.hidden)
    return;
  if (link.isUp) {
    checkServer(link);
  } else if (link.timer) {
    clearTimeout(link.timer);
    link.timer = setTimeout(() => connect(link), 0);
  }
}

/* A connection can die unseen (sleep, a lost route). */
async function checkServer(link) {
  if (link.isUp && !document.hidden && !(await serverAnswers(link)) && link.isUp)
    link.drop();
}

async function serverAnswers(link) {
  try {
    const timeout = AbortSignal.timeout(OPEN_TIMEOUT_MS);
    const signal = AbortSignal.any([link.options.signal, timeout]);
    await fetch('/health', { cache: 'no-store', signal });
    return true;
  } catch {
    return false;
  }
}

/* How much later than the quickest message this one came: independent of how the clocks are set. The quickest one took
 * half of the quickest way to the server and back. */
function measureLag(link, at) {
  const time = Date.parse(at);
  if (Number.isNaN(time))
    return;
  const lag = Date.now() - time;
  link.leastLag = Math.min(link.leastLag, lag);
  const behind = lag - link.leastLag;
  const shown = behind > BEHIND_MS ? behind : 0;
  const isNews = Math.round(shown / 1000) !== Math.round(link.behindMs / 1000);
  link.lagMs = behind + link.tripMs;
  if (isNews)
    link.behindMs = shown;
  clearTimeout(link.calm);
  if (shown)
    link.calm = setTimeout(() => caughtUp(link), BEHIND_MS);
  if (isNews || link.options.measuresLag)
    say(link, link.state);
}

/* A message came late, and none has come since: nothing waits behind it. */
function caughtUp(link) {
  link.behindMs = 0;
  say(link, link.state);
}

async function measureTrip(link) {
  const begin = performance.now();
  if (await serverAnswers(link))
    link.tripMs = (performance.now() - begin) / 2;
}

function say(link, name) {
  link.state = name;
  const { behindMs, lagMs, lostAt: since } = link;
  link.options.onState?.({ name, behindMs, lagMs, since });
}

/* Each transport calls up() once, message() with text, down() at its end; it returns its close. */

function openSocket({ socket }, { up, down, message }) {
  const url = new URL(socket(), location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  let connection;
  try {
    connection = new WebSocket(url);
  } catch {
    queueMicrotask(down);
    return () => {};
  }
  connection.onopen = up;
  connection.onmessage = ({ data }) => message(data);
  connection.onclose = down;
  return () => {
    connection.onclose = null;
    connection.close();
  };
}

function openStream({ stream }, { up, down, message }) {
  const source = new EventSource(stream());
  source.onopen = up;
  source.onmessage = ({ data }) => message(data);
  source.onerror = down; /* reconnecting is ours: the path may have to change */
  return () => source.close();
}

function openPolling({ poll }, { up, down }) {
  let timer;
  const tick = async () => {
    try {
      await poll();
      up();
      timer = setTimeout(tick, POLL_MS);
    } catch {
      down();
    }
  };
  timer = setTimeout(tick, 0);
  return () => clearTimeout(timer);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

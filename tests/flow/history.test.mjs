// The last five minutes, second by second: kept by the daemon, told live by WebSocket and server-sent events.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import WebSocket from 'ws';
import { metric, scrape } from '../lib/metrics.mjs';
import { finished, getJson } from '../lib/orders.mjs';
import { onHold, placeScripted, send, startScripted, stageOf } from '../lib/scripted.mjs';
import { until } from '../lib/until.mjs';

let s;
before(async () => { s = await startScripted({ first: {}, second: {} }); });
after(async () => assert.equal(await s.stop(), 0));

const sum = (list) => list.reduce((a, b) => a + (b ?? 0), 0);
const history = () => getJson(s, '/pipeline/history');

test('what_happened_is_in_the_history_second_by_second', async () => {
  for (let i = 0; i < 5; i++)
    await finished(s, await placeScripted(s, i ? {} : { first: 'rd', second: 'f' }));
  await onHold(s, await placeScripted(s, { second: 'rrr' }));
  const h = await until('it to be counted', async () => {
    const seen = await history();
    return sum(seen.orders.accepted) === 6 && seen.orders.on_hold.at(-1) === 1 && seen;
  });
  assert.equal(h.seconds, 300);
  assert.equal(sum(h.orders.completed), 4);
  assert.equal(sum(h.orders.failed), 1);
  assert.equal(sum(h.journal.events), 27);
  assert.ok(sum(h.journal.commits) > 0 && h.journal.commit_p99_us.at(-1) > 0);
  assert.ok(h.memory.rss_kib.at(-1) > 1000);
  assert.deepEqual(Object.keys(h.stages).sort(), ['first', 'second']);
  const { first, second } = h.stages;
  assert.equal(sum(first.errors), 1);
  assert.equal(sum(second.errors), 3);
  assert.equal(sum(second.failed), 1);
  assert.equal(sum(first.out), 8, '6 runs, one of them twice, and an undo');
  assert.equal(sum(first.in), 8);
  assert.ok(first.p50_us.at(-1) <= first.p99_us.at(-1));
  for (const list of [h.span_ms, h.orders.accepted, h.journal.wal_kib, first.waiting])
    assert.equal(list.length, h.at_ms.length);
  for (let i = 1; i < h.at_ms.length; i++)
    assert.ok(h.at_ms[i] > h.at_ms[i - 1]);
});

test('a_sample_comes_at_once_and_each_second_and_a_pause_is_in_the_next', async () => {
  const socket = new WebSocket(`${s.url.replace('http', 'ws')}/ws/pipeline`);
  const samples = [];
  socket.on('message', (text) => samples.push(JSON.parse(text)));
  await until('two samples', () => samples.length >= 2);
  assert.ok(samples.every(({ type, at, generation }) => type === 'sample' && Date.parse(at) && /^[0-9a-f]{16}$/.test(generation)));
  assert.equal(metric((await scrape(s)).text, 'stageline_watchers'), 1);
  await send(s, '/pipeline/stages/second/pause', { reason: 'to see it' });
  await until('the pause', () => samples.at(-1).stages.second.paused);
  assert.deepEqual(Object.keys(samples.at(-1).stages).sort(), ['first', 'second']);
  const { breaker, served_by: n, unhealthy, running } = samples.at(-1).stages.second;
  assert.deepEqual([breaker, n, unhealthy, running], ['closed', 1, false, 0]);
  assert.equal((await stageOf(s, 'second')).live.trouble, null, 'nothing is wrong with it');
  await send(s, '/pipeline/stages/second/resume', { reason: 'seen' });
  await until('the end of it', () => !samples.at(-1).stages.second.paused);
  socket.close();
  await until('nobody to follow', async () => metric((await scrape(s)).text, 'stageline_watchers') === 0);
});

test('the_same_comes_as_server_sent_events', async () => {
  const stop = new AbortController();
  const answer = await fetch(`${s.url}/pipeline/samples`, { signal: stop.signal });
  assert.match(answer.headers.get('content-type'), /^text\/event-stream/);
  let text = '';
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.split('\n\n').length > 2)
      break;
  }
  stop.abort();
  const [first, second] = text.split('\n\n').map((block) => block && JSON.parse(block.replace(/^data: /, '')));
  assert.ok(second.at > first.at);
});

test('the_daemon_tells_of_itself', async () => {
  const system = await getJson(s, '/system');
  const { last_seq: last } = await getJson(s, '/stats');
  assert.match(system.version, /^\d+\.\d+/);
  assert.equal(system.pid, s.pid);
  assert.ok(Date.parse(system.started_at) <= Date.now() + 1000);
  assert.ok(system.memory.resident_bytes > 1e6 && system.memory.peak_bytes >= system.memory.resident_bytes);
  assert.match(system.journal.head, new RegExp(`^${last}:[0-9a-f]{64}$`));
  assert.equal(system.journal.last_seq, last);
  assert.ok(system.journal.bytes > 0 && system.journal.commits.count > 0 && system.journal.commits.p99_us > 0);
  assert.deepEqual([system.accepting, system.trouble, system.read_only], [true, null, false]);
});

test('what_went_wrong_at_a_stage_is_told_newest_first', async () => {
  const errors = async (path) => (await getJson(s, `/pipeline/stages/${path}`)).errors;
  const all = await errors('second/errors');
  assert.deepEqual(all.map((e) => e.event_type), ['stage_held', 'stage_retrying', 'stage_retrying', 'stage_failed']);
  assert.ok(all.every((e, i) => e.stage === 'second' && e.order_id && (!i || e.seq < all[i - 1].seq)));
  assert.equal((await errors('second/errors?limit=2')).length, 2);
  assert.deepEqual((await errors('first/errors')).map((e) => e.event_type), ['stage_retrying']);
  assert.equal((await fetch(`${s.url}/pipeline/stages/none/errors`)).status, 404);
  assert.equal((await fetch(`${s.url}/pipeline/stages/first/errors?limit=0`)).status, 400);
});

test('it_begins_anew_with_the_daemon_and_a_watcher_is_sent_away_politely', async () => {
  const socket = new WebSocket(`${s.url.replace('http', 'ws')}/ws/pipeline`);
  await new Promise((done) => socket.once('message', done));
  const closed = new Promise((done) => socket.once('close', done));
  await s.restart();
  assert.equal(await closed, 1001);
  const h = await history();
  assert.ok(h.at_ms.length < 300);
  assert.equal(sum(h.orders.accepted), 0);
  assert.equal(h.orders.on_hold.at(-1), 1);
});

// Following the journal where it is not easy: long, slow, damaged, replaced.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import WebSocket from 'ws';
import { allFinished, finished, getJson, order, place } from '../lib/orders.mjs';
import { fastPipeline, hostFile, plenty } from '../lib/pipeline.mjs';
import { placeScripted, startScripted } from '../lib/scripted.mjs';
import { startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function placeMany(s, n) {
  for (let i = 0; i < n; i += 50)
    await Promise.all(Array.from({ length: 50 }, () => place(s, order({ 'PROD-002': 1 }))));
  await allFinished(s);
}

// The ids of a stream by a client that reads `chunk` bytes at a time; also its text.
function readSlowly(s, path, headers = '') {
  const socket = connect(s.port, '127.0.0.1');
  const got = { text: '', isClosed: false, end: () => socket.destroy(),
    ids: () => [...got.text.matchAll(/^id: (\d+)$/gm)].map((m) => Number(m[1])) };
  socket.setEncoding('utf8').on('error', () => {}).on('close', () => { got.isClosed = true; });
  socket.on('data', (chunk) => {
    got.text += chunk.replace(/\r\n[0-9a-f]+\r\n/g, '');
    socket.pause();
    setTimeout(() => socket.resume(), 1);
  });
  socket.on('connect', () => socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${headers}\r\n`));
  return got;
}

test('a_slow_reader_gets_a_long_history_whole', { timeout: 120_000 }, async () => {
  // Less may wait for a client than one page of the journal takes.
  const s = await startStageline({ config: hostFile('limits: {backlog: 16KiB}\n'),
    pipeline: fastPipeline({ stock: plenty }) });
  await placeMany(s, 300);
  const { last_seq: last } = await getJson(s, '/stats');
  const slow = readSlowly(s, '/events?after=0');
  const messages = [];
  const socket = new WebSocket(`${s.url.replace('http', 'ws')}/ws/events?after=0`);
  socket.on('message', (data) => messages.push(JSON.parse(data).event.seq));
  await until('the whole history', () => slow.isClosed || slow.text.includes(`"seq":${last},`) || slow.text.includes(`"seq":${last}}`),
    { deadline: 60_000, detail: () => slow.text.slice(-300) });
  assert.ok(!slow.isClosed, 'it was dropped');
  await until('the same by WebSocket', () => messages.at(-1) === last, { detail: () => `${messages.length} of ${last}` });
  assert.deepEqual(messages, Array.from({ length: last }, (_, i) => i + 1));
  // And it goes on live.
  const { id } = await place(s);
  const { events } = await finished(s, id);
  await until('what happens next', () => messages.at(-1) === events.at(-1).seq);
  slow.end();
  socket.terminate();
  assert.equal(await s.stop(), 0);
});

// Each order tries a thousand times.
test('a_follower_catches_up_on_50_000_events_while_more_happen', { timeout: 180_000 }, async () => {
  const s = await startScripted({ one: { workers: 8, retry: { attempts: 1000, backoff: '1ms', factor: 1, max: '1ms', jitter: 0 } } });
  for (let i = 0; i < 51; i++)
    await placeScripted(s, { one: 'r' });
  await allFinished(s, 90_000, true);
  const { last_seq: last } = await getJson(s, '/stats');
  assert.ok(last > 50_000, `${last} events`);

  const seen = [];
  const socket = new WebSocket(`${s.url.replace('http', 'ws')}/ws/events?after=0`);
  socket.on('message', (data) => seen.push(JSON.parse(data).event.seq));
  const stop = new AbortController();
  const streamed = [];
  const stream = fetch(`${s.url}/events?after=20000`, { signal: stop.signal }).then(async ({ body }) => {
    let rest = '';
    for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      streamed.push(...lines.filter((line) => line.startsWith('id: ')).map((line) => Number(line.slice(4))));
    }
  }).catch(() => {});
  const { events } = await finished(s, await placeScripted(s));
  const end = events.at(-1).seq;
  await until('both to have caught up', () => seen.at(-1) === end && streamed.at(-1) === end,
    { deadline: 60_000, detail: () => `${seen.length} and ${streamed.length} of ${end}` });
  assert.deepEqual([seen.length, seen[0], seen.every((seq, i) => seq === i + 1)], [end, 1, true]);
  assert.deepEqual([streamed.length, streamed[0], streamed.every((seq, i) => seq === 20001 + i)], [end - 20000, 20001, true]);
  stop.abort();
  socket.terminate();
  await stream;
  assert.equal(await s.stop(), 0);
});

test('who_has_seen_more_than_there_is_goes_on_from_here', { timeout: 60_000 }, async () => {
  const s = await startStageline({ pipeline: fastPipeline() });
  await finished(s, (await place(s)).id);
  const { last_seq: last } = await getJson(s, '/stats');
  const stream = readSlowly(s, '/events', 'Last-Event-ID: 999999\r\n');
  const messages = [];
  const socket = new WebSocket(`${s.url.replace('http', 'ws')}/ws/events?after=999999`);
  socket.on('message', (data) => messages.push(JSON.parse(data)));
  await until('both to be told', () => /event: reset/.test(stream.text) && messages.length === 1, { detail: () => stream.text });
  assert.deepEqual(messages, [{ type: 'reset', last_seq: last }]);
  const { events } = await finished(s, (await place(s)).id);
  const seqs = events.map((e) => e.seq);
  await until('what happens next', () => messages.length === 1 + seqs.length);
  assert.deepEqual(messages.slice(1).map((m) => m.event.seq), seqs);
  await until('the same in the stream', () => stream.ids().at(-1) === seqs.at(-1), { detail: () => stream.text });
  assert.deepEqual(stream.ids(), [last, ...seqs]);
  stream.end();
  socket.terminate();
  assert.equal(await s.stop(), 0);
});

for (const [where, of] of [['in_the_middle', () => 5], ['at_the_end', (last) => last]])
  test(`readers_step_over_an_event_${where}_that_is_damaged`, { timeout: 60_000 }, async () => {
    const s = await startStageline({ pipeline: fastPipeline() });
    const { events } = await finished(s, (await place(s)).id);
    const last = events.at(-1).seq, damaged = of(last);
    assert.equal(await s.stop(), 0);
    execFileSync('sqlite3', [join(s.dataDir, 'journal.sqlite'), `UPDATE events SET payload = x'00' WHERE seq = ${damaged}`]);
    await s.restart();
    const stream = readSlowly(s, '/events?after=0');
    const socket = new WebSocket(`${s.url.replace('http', 'ws')}/ws/events?after=0`);
    const seen = [];
    socket.on('message', (data) => seen.push(JSON.parse(data).event.seq));
    const sound = Array.from({ length: last }, (_, i) => i + 1).filter((seq) => seq !== damaged);
    await until('what can be read', () => seen.length === sound.length && stream.ids().length === sound.length,
      { detail: () => JSON.stringify([seen, stream.ids()]) });
    // And both go on live.
    const { events: more } = await finished(s, (await place(s)).id);
    await until('what happens next', () => seen.at(-1) === more.at(-1).seq && stream.ids().at(-1) === more.at(-1).seq);
    const all = [...sound, ...more.map((e) => e.seq)];
    assert.deepEqual([seen, stream.ids()], [all, all]);
    stream.end();
    socket.terminate();
    assert.equal(await s.stop(), 0);
  });

test('watchers_that_come_and_go_in_bursts_do_no_harm', { timeout: 120_000 }, async () => {
  const s = await startStageline({ pipeline: fastPipeline({ latency: '5ms', stock: plenty }) });
  const url = s.url.replace('http', 'ws');
  const placing = placeMany(s, 100);
  let over = false;
  placing.finally(() => { over = true; });
  const { id } = await place(s);
  await Promise.all(Array.from({ length: 20 }, async (_, k) => {
    while (!over) {
      const sockets = Array.from({ length: 5 }, (__, i) => new WebSocket(
        `${url}${(i + k) % 3 ? `/ws/orders/${id}` : '/ws/events?after=0'}`).on('error', () => {}));
      await pause(k * 3);
      sockets.forEach((w) => w.terminate());
    }
  }));
  await placing;
  await until('nobody to be left', async () => (await getJson(s, '/stats')).watchers === 0,
    { deadline: 25_000, detail: async () => JSON.stringify(await getJson(s, '/stats')) });
  assert.equal(await s.stop(), 0);
});

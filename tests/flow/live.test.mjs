// Watching: WebSockets and server-sent events, from the journal, live and resumable.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import WebSocket from 'ws';
import { fastPipeline } from '../lib/pipeline.mjs';
import { finished, order, place } from '../lib/orders.mjs';
import { startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

let s;

before(async () => { s = await startStageline({ pipeline: fastPipeline({ latency: '20ms' }) }); });
after(async () => assert.equal(await s.stop(), 0));

// { messages, closed: Promise of the code, socket }
function watch(path, options) {
  const socket = new WebSocket(`${s.url.replace('http', 'ws')}${path}`, options);
  const messages = [];
  socket.on('message', (data, isBinary) => messages.push(isBinary ? data : JSON.parse(data)));
  const closed = new Promise((done) => { socket.on('close', done).on('error', () => {}); });
  const opened = new Promise((done, fail) => {
    socket.on('open', done).on('unexpected-response', (_, answer) => fail(answer.statusCode)).on('error', fail);
  });
  opened.catch(() => {});
  return { socket, messages, closed, opened };
}

// Reads server-sent events until `count` are there.
async function read(path, count, headers = {}) {
  const stop = new AbortController();
  const answer = await fetch(`${s.url}${path}`, { headers, signal: stop.signal });
  assert.match(answer.headers.get('content-type'), /^text\/event-stream/);
  const events = [];
  let text = '';
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const blocks = text.split('\n\n');
    text = blocks.pop();
    for (const block of blocks) {
      const field = (name) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(block)?.[1];
      if (field('data'))
        events.push({ id: field('id'), ...JSON.parse(field('data')) });
    }
    if (events.length >= count)
      break;
  }
  stop.abort();
  return events.slice(0, count);
}

test('a_watcher_is_told_at_once_and_at_every_change', async () => {
  // An order may be over before its watcher has come; one of them is not.
  for (let told = []; told.length < 3;) {
    const { id } = await place(s, order({ 'PROD-001': 1 }));
    const w = watch(`/ws/orders/${id}`);

    await until('the end to be told', () => w.messages.at(-1)?.order.status === 'completed');
    assert.ok(w.messages.every((m) => m.type === 'status_update' && m.order.id === id));
    const { events } = await finished(s, id);
    const from = w.messages[0].order.last_seq;
    told = w.messages.filter((m) => m.event).map((m) => m.event.seq);
    assert.deepEqual(told, events.map((e) => e.seq).filter((seq) => seq > from));
    w.socket.close();
  }
});

test('a_watcher_of_a_finished_order_is_told_how_it_ended', async () => {
  const { id } = await place(s);
  await finished(s, id);
  const w = watch(`/ws/orders/${id}`);
  await until('the first message', () => w.messages.length);
  assert.equal(w.messages[0].order.status, 'completed');
  w.socket.close();
});

test('an_unknown_order_cannot_be_watched', async () => {
  const w = watch('/ws/orders/01890000-0000-7000-8000-000000000000');
  const end = await Promise.race([w.opened.then(() => w.closed, (status) => status), w.closed]);
  assert.ok([404, 1008].includes(end), `ended with ${end}`);
});

test('a_watcher_from_a_foreign_page_is_refused', async () => {
  const { id } = await place(s);
  const w = watch(`/ws/orders/${id}`, { origin: 'https://evil.example' });
  await assert.rejects(w.opened, (status) => status === 403);
});

test('a_ping_is_answered_and_a_close_is_returned', async () => {
  const { id } = await place(s);
  const w = watch(`/ws/orders/${id}`);
  await w.opened;
  const pong = new Promise((done) => { w.socket.on('pong', (data) => done(String(data))); });
  w.socket.ping('hello');
  assert.equal(await pong, 'hello');
  w.socket.close(1000);
  assert.equal(await w.closed, 1000);
});

test('a_message_that_is_too_long_closes_with_1009', async () => {
  const { id } = await place(s);
  const w = watch(`/ws/orders/${id}`);
  await w.opened;
  w.socket.send('x'.repeat(100_000));
  assert.equal(await w.closed, 1009);
});

test('the_journal_can_be_watched_over_a_websocket', async () => {
  const w = watch('/ws/events');
  await w.opened;
  const { id } = await place(s);
  const mine = () => w.messages.filter((m) => (m.event ?? m).order_id === id).map((m) => (m.event ?? m).event_type);
  await until('all its events', () => mine().includes('order_completed'));
  assert.deepEqual(mine(), ['order_created', 'order_validated', 'payment_processed', 'inventory_reserved',
    'shipment_created', 'order_completed']);
  w.socket.close();
});

test('a_stream_resumes_after_the_last_event_that_was_seen', async () => {
  const { events } = await finished(s, (await place(s)).id);
  const rest = events.slice(2);

  const byHeader = await read('/events', rest.length, { 'Last-Event-ID': String(events[1].seq) });
  assert.deepEqual(byHeader.map((e) => e.seq), rest.map((e) => e.seq));
  assert.deepEqual(byHeader.map((e) => Number(e.id)), rest.map((e) => e.seq));
  const byQuery = await read(`/events?after=${events[1].seq}`, rest.length);
  assert.deepEqual(byQuery, byHeader);
});

test('a_stream_goes_on_with_what_happens_next', async () => {
  const { events } = await finished(s, (await place(s)).id);
  const reading = read(`/events?after=${events.at(-1).seq}`, 6);
  const { id } = await place(s);
  assert.deepEqual([...new Set((await reading).map((e) => e.order_id))], [id]);
});

test('a_restart_closes_watchers_and_they_can_come_back', async () => {
  const { id } = await place(s);
  const w = watch(`/ws/orders/${id}`);
  await w.opened;
  await s.restart();
  assert.ok([1001, 1006, 1012].includes(await w.closed));
  const again = watch(`/ws/orders/${id}`);
  await until('news after the restart', () => again.messages.at(-1)?.order.status === 'completed');
  again.socket.close();
});

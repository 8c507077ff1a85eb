// `stageline orders place`, `signal` and `watch`: placing an order, answering a stage, seeing it move.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { finished, look, order, place } from '../lib/orders.mjs';
import { placeScripted, stageIs, startScripted } from '../lib/scripted.mjs';
import { binary, runStageline, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const nobody = '01890a5d-ac96-774b-bcce-b302099a8057';
let s;

before(async () => { s = await startScripted({ one: {}, two: { timeout: '60s' }, three: {} }); });
after(async () => assert.equal(await s.stop(), 0));

const stageline = (...args) => runStageline(args, { env: { STAGELINE_URL: s.url }, deadline: 30_000 });
const lines = (text) => text.trim().split('\n').map((line) => JSON.parse(line));

function file(json) {
  const name = join(temporaryFolder(), 'body.json');
  writeFileSync(name, JSON.stringify(json));
  return name;
}

// A watch that goes on: { text(), errors(), interrupt, ended }.
function watching(...args) {
  const child = spawn(binary, ['orders', 'watch', ...args], { env: { ...process.env, STAGELINE_URL: s.url } });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => { out += chunk; });
  child.stderr.setEncoding('utf8').on('data', (chunk) => { err += chunk; });
  return { text: () => out, errors: () => err, interrupt: () => child.kill('SIGINT'),
    ended: new Promise((done) => { child.on('close', (code) => done(code)); }) };
}

async function waiting() {
  const id = await placeScripted(s, { two: 'w' });
  await stageIs(s, id, 'two', 'waiting');
  return id;
}

test('place_prints_the_id_of_the_order', async () => {
  const { code, out, err } = await stageline('orders', 'place', '--file', file(order()));
  assert.equal(code, 0, err);
  assert.match(err, /accepted/);
  assert.equal((await finished(s, out.trim())).order.status, 'completed');
});

test('place_takes_what_show_printed', async () => {
  const { id } = await place(s);
  await finished(s, id);
  const { out } = await stageline('orders', 'show', id, '--json');
  const again = await stageline('orders', 'place', '--file', file(JSON.parse(out)));
  assert.equal(again.code, 0, again.err);
  assert.notEqual(again.out.trim(), id);
});

test('place_tells_every_fault_of_an_order', async () => {
  const { code, out, err } = await stageline('orders', 'place', '--file', file({ items: 3 }));
  assert.deepEqual([code, out], [1, '']);
  assert.match(err, /\/customer_email: is missing/);
  assert.match(err, /\/items: must be a list/);
});

test('watch_tells_all_events_of_an_order_and_ends_with_it', async () => {
  const id = await waiting();
  const watch = watching(id);
  await until('what was until now', () => watch.text().includes('stage_waiting'));
  const signal = await stageline('orders', 'signal', id, 'two', '--file', file({ approved: true }));
  assert.equal(signal.code, 0, signal.err);
  assert.match(signal.err, /has its answer/);
  assert.equal(await watch.ended, 0, watch.errors());
  assert.deepEqual(lines(watch.text()), (await look(s, id)).events);
});

test('watch_exits_with_1_when_an_order_did_not_complete', async () => {
  const ids = [await placeScripted(s), await placeScripted(s, { one: 'f' })];
  const { code, out } = await stageline('orders', 'watch', ...ids);
  assert.equal(code, 1);
  assert.deepEqual(new Set(lines(out).map((e) => e.order_id)), new Set(ids));
  assert.equal((await stageline('orders', 'watch', nobody)).code, 1);
});

test('watch_of_everything_ends_by_sigint', async () => {
  const watch = watching();
  const ids = [];
  await until('an order that it tells of', async () => {
    ids.push(await placeScripted(s));
    await finished(s, ids.at(-1));
    return ids.some((id) => watch.text().includes(id));
  });
  watch.interrupt();
  assert.equal(await watch.ended, 0, watch.errors());
});

test('watch_goes_on_where_it_was_when_the_daemon_comes_back', async () => {
  const id = await waiting();
  const watch = watching(id);
  await until('what was until now', () => watch.text().includes('stage_waiting'));
  await s.restart();
  await until('the loss to be told', () => /trying again/.test(watch.errors()));
  assert.equal((await stageline('orders', 'signal', id, 'two', '--file', file({}))).code, 0);
  assert.equal(await watch.ended, 0, watch.errors());
  assert.deepEqual(lines(watch.text()), (await look(s, id)).events);
});

test('a_daemon_that_is_too_busy_when_watch_comes_back_is_waited_for', async (t) => {
  const event = (seq) => `data: ${JSON.stringify({ seq, order_id: nobody, event_type: 'order_created' })}\n\n`;
  const answers = [[200, event(1)], [503, '{}'], [200, event(2)]];
  const asked = [];
  const daemon = createServer((request, answer) => {
    const [status, body] = answers[asked.push(request.url) - 1] ?? [404, ''];
    answer.writeHead(status).end(body);
  });
  await new Promise((done) => { daemon.listen(0, '127.0.0.1', done); });
  t.after(() => daemon.close());
  const watch = watching('--url', `http://127.0.0.1:${daemon.address().port}`);
  assert.equal(await watch.ended, 1);
  assert.deepEqual(lines(watch.text()).map(({ seq }) => seq), [1, 2], watch.errors());
  assert.deepEqual(asked, ['/events', '/events?after=1', '/events?after=1', '/events?after=2']);
  assert.match(watch.errors(), /trying again\n.*trying again\n.*\(404\)\n$/);
});

test('a_daemon_that_is_too_busy_when_watch_begins_is_told', async (t) => {
  const daemon = createServer((_, answer) => { answer.writeHead(503).end('{"detail": "as many watch as may"}'); });
  await new Promise((done) => { daemon.listen(0, '127.0.0.1', done); });
  t.after(() => daemon.close());
  const watch = watching('--url', `http://127.0.0.1:${daemon.address().port}`);
  assert.equal(await watch.ended, 1);
  assert.equal(watch.errors(), 'stageline: error: as many watch as may (503)\n');
});

test('watch_interrupted_before_the_end_says_so', async () => {
  const id = await waiting();
  const watch = watching(id);
  await until('it to follow', async () => (await (await fetch(`${s.url}/stats`)).json()).watchers > 0);
  watch.interrupt();
  assert.equal(await watch.ended, 130);
  await stageline('orders', 'cancel', id, '--reason', 'the test is over');
});

test('a_terminal_shows_a_line_per_order', async () => {
  const ids = [await placeScripted(s), await placeScripted(s)];
  const { status, stdout } = spawnSync('script', ['-qec', `'${binary}' orders watch ${ids.join(' ')}`, '/dev/null'],
    { encoding: 'utf8', timeout: 30_000, env: { ...process.env, STAGELINE_URL: s.url, COLUMNS: '120', TERM: 'xterm' } });
  assert.equal(status, 0, stdout);
  const last = stdout.split('\u001b[J').at(-1).replace(/\u001b\[\d*m/g, '').trim().split(/\r?\n/);
  assert.match(last[0], /^ORDER +TIME +EVENT +STATUS/);
  assert.deepEqual(last.slice(1).map((line) => line.split(' ')[0]).sort(), ids.sort());
  for (const line of last.slice(1))
    assert.match(line, /order_completed +success/);
});

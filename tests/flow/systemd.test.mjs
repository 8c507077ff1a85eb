// Under a service manager: readiness, the watchdog, and a socket that stays while the daemon restarts.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { manage } from '../lib/manager.mjs';
import { look, order, place } from '../lib/orders.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { until } from '../lib/until.mjs';

let m;
before(async () => { m = await manage({ pipeline: fastPipeline(), listen: '127.0.0.1:1' }); });
after(() => m.close());

const feedings = () => m.notified().filter((line) => line === 'WATCHDOG=1').length;

test('a_connection_from_before_the_start_is_answered', async () => {
  const early = fetch(`${m.url}/health`);
  await m.start();
  assert.equal((await early).status, 200);
  assert.ok(m.notified().some((line) => line.startsWith('STATUS=http://')), m.notified().join('\n'));
  assert.match(m.logs(), /listen: 127\.0\.0\.1:1 is not used/);
});

test('the_watchdog_is_fed_while_the_daemon_lives_and_not_while_it_stands_still', async () => {
  const n = feedings();
  await until('three feedings', () => feedings() >= n + 3);
  m.kill('SIGSTOP');
  let seen = -1;
  await until('no more feedings', () => feedings() === seen || (seen = feedings(), false), { step: 700 });
  m.kill('SIGCONT');
  await until('feedings again', () => feedings() > seen);
});

test('the_watchdog_starves_while_the_sequencer_alone_stands_still', async () => {
  await m.hold('sequencer');
  let seen = -1;
  await until('no more feedings', () => feedings() === seen || (seen = feedings(), false), { step: 700 });
  assert.equal((await fetch(`${m.url}/livez`)).status, 200);
  m.release();
  await until('feedings again', () => feedings() > seen);
});

test('the_watchdog_starves_while_the_net_loop_alone_stands_still', async () => {
  await m.hold('stageline');
  let seen = -1;
  await until('no more feedings', () => feedings() === seen || (seen = feedings(), false), { step: 700 });
  await assert.rejects(fetch(`${m.url}/livez`, { signal: AbortSignal.timeout(300) }), { name: 'TimeoutError' });
  m.release();
  await until('feedings again', () => feedings() > seen);
});

test('a_connection_from_before_a_stop_has_its_first_request_answered', async () => {
  const early = connect(m.port, '127.0.0.1');
  await new Promise((done) => { early.once('connect', done); });
  assert.equal((await fetch(`${m.url}/livez`)).status, 200); // so the daemon has accepted that one, too
  m.kill('SIGSTOP');
  const stop = m.end('SIGTERM'); // heard when it goes on, together with the request
  await new Promise((done) => { early.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n', done); });
  m.kill('SIGCONT');
  const answer = await new Promise((done, fail) => { early.once('data', (bytes) => done(String(bytes))).once('error', fail).once('end', () => fail(new Error('closed'))); });
  assert.match(answer, /^HTTP\/1\.1 200 /);
  assert.equal((await stop).status, 0);
  await m.start();
});

test('whoever_connects_during_a_restart_waits_and_is_answered', async () => {
  const { id } = await place(m, order());
  const stop = m.end('SIGTERM');
  const { status } = await stop;
  assert.equal(status, 0);
  assert.ok(m.notified().includes('STOPPING=1'));
  const waiting = place(m, order());
  await m.start();
  const later = await waiting;
  for (const one of [id, later.id])
    await until('the order to end', async () => (await look(m, one)).order.status === 'completed');
});

// GET /metrics: what Prometheus reads, after orders of every kind.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { metric, promtool, samples, scrape } from '../lib/metrics.mjs';
import { finished, order, place, post } from '../lib/orders.mjs';
import { onHold, placeScripted, send, startScripted } from '../lib/scripted.mjs';
import { until } from '../lib/until.mjs';

const retry = { attempts: 2, backoff: '5ms', jitter: 0 };
let s, held;

before(async () => {
  s = await startScripted({ first: { retry, breaker: { failures: 50, window: '30s', open_for: '1s' } },
    second: { retry, irreversible: true } });
  await finished(s, await placeScripted(s));
  await finished(s, await placeScripted(s, { first: 'rd', second: 'f' }));
  held = await placeScripted(s, { first: 'rr' });
  await onHold(s, held);
});
after(async () => { await s.stop(); });

test('promtool_has_nothing_to_say_about_it', async () => {
  const { type, text } = await scrape(s);
  assert.equal(type, 'text/plain; version=0.0.4; charset=utf-8');
  assert.deepEqual(promtool(['check', 'metrics'], { input: text }), { status: 0, output: '' });
});

test('promtool_is_one_that_complains', () => {
  assert.notEqual(promtool(['check', 'metrics'], { input: '# TYPE a_total gauge\na_total 1\n' }).status, 0);
});

test('attempts_are_counted_by_stage_direction_and_verdict', async () => {
  const { text } = await scrape(s);
  const attempts = (stage, direction, verdict) => metric(text, 'stageline_stage_attempts_total', { stage, direction, verdict });
  assert.equal(attempts('first', 'run', 'done'), 2);
  assert.equal(attempts('first', 'run', 'retry'), 3);
  assert.equal(attempts('first', 'undo', 'done'), 1);
  assert.equal(attempts('second', 'run', 'done'), 1);
  assert.equal(attempts('second', 'run', 'fail'), 1);
});

test('times_of_runs_and_waits_have_as_many_values_as_attempts', async () => {
  const { text } = await scrape(s);
  for (const name of ['run', 'wait'])
    assert.equal(metric(text, `stageline_stage_${name}_seconds_count`, { stage: 'first' }), 6);
  const buckets = samples(text).filter((x) => x.name === 'stageline_stage_run_seconds_bucket' && x.labels.stage === 'first');
  assert.equal(buckets.at(-1).labels.le, '+Inf');
  for (let i = 1; i < buckets.length; i++) {
    assert.ok(buckets[i].value >= buckets[i - 1].value, 'cumulative');
    assert.ok(buckets[i].labels.le === '+Inf' || Number(buckets[i].labels.le) > Number(buckets[i - 1].labels.le), 'bounds rise');
  }
});

test('orders_dead_letters_and_the_journal_are_there', async () => {
  const { text } = await scrape(s);
  assert.equal(metric(text, 'stageline_orders_accepted_total'), 3);
  assert.equal(metric(text, 'stageline_orders_finished_total', { status: 'completed' }), 1);
  assert.equal(metric(text, 'stageline_orders_finished_total', { status: 'failed' }), 1);
  assert.equal(metric(text, 'stageline_orders_on_hold'), 1);
  assert.equal(metric(text, 'stageline_dead_letters', { stage: 'first' }), 1);
  const age = metric(text, 'stageline_dead_letters_oldest_seconds', { stage: 'first' });
  assert.ok(age > 0 && age < 600, `${age} s`);
  assert.ok(metric(text, 'stageline_journal_bytes', { file: 'main' }) > 0);
  assert.ok(metric(text, 'stageline_journal_bytes', { file: 'wal' }) > 0);
  const commits = metric(text, 'stageline_journal_commit_seconds_count');
  assert.equal(metric(text, 'stageline_journal_batch_events_count'), commits);
  assert.equal(metric(text, 'stageline_journal_batch_events_sum'), metric(text, 'stageline_journal_events_total'));
  assert.equal(metric(text, 'stageline_stage_breaker', { stage: 'first', state: 'closed' }), 1);
  assert.equal(metric(text, 'stageline_bus_connected', { bus: process.env.STAGELINE_BUS ?? 'memory' }), 1);
  assert.equal(metric(text, 'stageline_accepting'), 1);
});

test('requests_are_counted_by_route_and_code_and_no_order_is_named', async () => {
  assert.equal((await post(s, '{')).status, 400);
  assert.equal((await fetch(`${s.url}/nowhere/${held}`)).status, 404);
  const { text } = await scrape(s);
  const requests = (route, code) => metric(text, 'stageline_http_requests_total', { route, code });
  assert.equal(requests('/orders', '400'), 1);
  assert.equal(requests('', '404'), 1);
  assert.ok(requests('/orders/{id}', '200') > 0);
  assert.ok(!text.includes(held), 'an order id is a label');
});

test('watchers_and_pauses_are_seen_at_once', async () => {
  const socket = new (await import('ws')).WebSocket(`${s.url.replace('http', 'ws')}/ws/orders/${held}`);
  await new Promise((done) => socket.once('message', done));
  assert.equal(metric((await scrape(s)).text, 'stageline_watchers'), 1);
  socket.close();
  await send(s, '/pipeline/stages/first/pause', { reason: 'to see it' });
  await until('the pause', async () => metric((await scrape(s)).text, 'stageline_stage_paused', { stage: 'first' }) === 1);
  await send(s, '/pipeline/stages/first/resume', { reason: 'seen' });
});

test('counts_go_on_over_a_reload_and_a_stage_that_is_gone_has_no_breaker', async () => {
  const { writeFileSync, readFileSync } = await import('node:fs');
  const text = readFileSync(s.pipeline, 'utf8').split('\n').filter((line) => !line.includes('second')).join('\n');
  writeFileSync(s.pipeline, text);
  assert.equal((await fetch(`${s.url}/pipeline/reload`, { method: 'POST' })).status, 200);
  await finished(s, (await place(s, order())).id);
  const after_ = (await scrape(s)).text;
  assert.equal(metric(after_, 'stageline_stage_attempts_total', { stage: 'first', direction: 'run', verdict: 'done' }), 3);
  assert.equal(metric(after_, 'stageline_stage_attempts_total', { stage: 'second', direction: 'run', verdict: 'done' }), 1);
  assert.throws(() => metric(after_, 'stageline_stage_breaker', { stage: 'second', state: 'closed' }));
});

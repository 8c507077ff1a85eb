// What the operators' client shows, on the command line: the pipeline live and as it was, a stage's errors, what changed a
// value, the catalogue, the daemon itself; and an order that is placed once however often it is sent.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { cliOf } from '../lib/cli.mjs';
import { finished, getJson, order, place } from '../lib/orders.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { onHold, placeScripted, scriptedPipeline, send, startScripted } from '../lib/scripted.mjs';
import { binary, runStageline, startStageline, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

let s, shop;

before(async () => {
  s = await startScripted({ zero: {}, one: {}, two: {} }, { state: { 'stock/PROD-002': 3 } });
  shop = await startStageline({ pipeline: fastPipeline() });
});
after(async () => {
  assert.equal(await s.stop(), 0);
  assert.equal(await shop.stop(), 0);
});

const at = (daemon, ...args) => runStageline(args, { env: { STAGELINE_URL: daemon.url }, deadline: 30_000 });
const { stageline, ok } = cliOf(() => s, { deadline: 30_000 });

const rows = (text) => text.trimEnd().split('\n').map((line) => line.trim().split(/ {2,}/));
const value = (text, label) => rows(text).find(([name]) => name === label)?.[1];

// `pipeline watch` while it runs: { text(), errors(), interrupt(), ended }.
function watching(...args) {
  const child = spawn(binary, ['pipeline', 'watch', ...args], { env: { ...process.env, STAGELINE_URL: s.url } });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => { out += chunk; });
  child.stderr.setEncoding('utf8').on('data', (chunk) => { err += chunk; });
  return { errors: () => err, interrupt: () => child.kill('SIGINT'),
    samples: () => out.split('\n').slice(0, -1).map((line) => JSON.parse(line)),
    ended: new Promise((done) => { child.on('close', (code) => done(code)); }) };
}

test('watch_tells_each_second_what_the_pipeline_does', async () => {
  const watch = watching();
  await until('a sample', () => watch.samples().length > 0);
  await finished(s, await placeScripted(s));
  await until('the order in it', () => watch.samples().some(({ orders }) => orders.completed > 0));
  await send(s, '/pipeline/stages/two/pause', { reason: 'to see it' });
  await until('the pause', () => watch.samples().at(-1).stages.two.paused);
  await send(s, '/pipeline/stages/two/resume', { reason: 'seen' });
  watch.interrupt();
  assert.equal(await watch.ended, 0, watch.errors());
  assert.equal(watch.samples().at(-1).type, 'sample');
});

// After a reload the stages are asked for anew.
test('watch_waits_for_a_daemon_that_is_too_busy_to_say_what_the_new_stages_are', async (t) => {
  const pipeline = (generation) => [200, JSON.stringify({ generation, stages: [] })];
  const answers = { '/pipeline': [pipeline('a'), [503, '{}'], pipeline('b')],
    '/pipeline/samples': [[200, `data: ${JSON.stringify({ type: 'sample', generation: 'b' })}\n\n`],
      [404, '{"detail": "no more"}']] };
  const asked = [];
  const daemon = createServer((request, answer) => {
    asked.push(request.url);
    const [status, body] = answers[request.url].shift();
    answer.writeHead(status).end(body);
  });
  await new Promise((done) => { daemon.listen(0, '127.0.0.1', done); });
  t.after(() => daemon.close());
  const watch = watching('--url', `http://127.0.0.1:${daemon.address().port}`);
  assert.equal(await watch.ended, 1);
  assert.equal(watch.samples().length, 1, watch.errors());
  assert.deepEqual(asked, ['/pipeline', '/pipeline/samples', '/pipeline', '/pipeline', '/pipeline/samples']);
  assert.match(watch.errors(), /no more \(404\)\n$/);
});

test('watch_goes_on_when_the_daemon_comes_back', async () => {
  const watch = watching('--json');
  await until('a sample', () => watch.samples().length > 0);
  await s.restart();
  await until('the loss to be told', () => /trying again/.test(watch.errors()));
  const had = watch.samples().length;
  await until('more of them', () => watch.samples().length > had);
  watch.interrupt();
  assert.equal(await watch.ended, 0, watch.errors());
});

// The last picture that was drawn at a terminal of 110 columns, when it was interrupted after `ms`.
function picture(ms, ...args) {
  const command = `stty cols 110 rows 30; timeout -s INT ${ms / 1000} '${binary}' ${args.join(' ')}`;
  const { stdout } = spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8', timeout: 30_000,
    env: { ...process.env, STAGELINE_URL: s.url, TERM: 'xterm' } });
  assert.match(stdout, /\x1b\[\d+A\r\x1b\[J/, 'it is drawn in place');
  return stdout.split('\x1b[J').at(-1).replace(/\x1b\[\d*m/g, '').replace(/\^C/, '').trim().split(/\r?\n/);
}

test('a_terminal_shows_a_line_per_stage_as_the_file_has_them', async () => {
  await ok('pipeline', 'pause', 'one', '--reason', 'to see it');
  const lines = picture(4000, 'pipeline', 'watch');
  await ok('pipeline', 'resume', 'one', '--reason', 'seen');
  assert.match(lines[0], /^TIME +ACCEPTED\/S +COMPLETED\/S/);
  assert.match(lines[3], /^STAGE +STATE +/);
  assert.deepEqual(lines.slice(4).map((line) => line.split(/ +/).slice(0, 2)), [['zero', 'runs'], ['one', 'paused'], ['two', 'runs']]);
  for (const line of lines)
    assert.ok(line.length <= 110, line);
});

test('watch_shows_the_stages_of_a_new_generation', async () => {
  const own = await startScripted({ one: {}, two: {} });
  const out = join(temporaryFolder(), 'typescript');
  const child = spawn('script', ['-qfec', `stty cols 110 rows 30; exec '${binary}' pipeline watch --url ${own.url}`, out],
    { stdio: ['pipe', 'ignore', 'ignore'], env: { ...process.env, TERM: 'xterm' } });
  const ended = new Promise((done) => { child.on('close', done); });
  const screen = () => (existsSync(out) ? readFileSync(out, 'utf8') : '').split('\x1b[J').at(-1);
  await until('the stages', () => /\ntwo /.test(screen()));
  writeFileSync(own.pipeline, readFileSync(scriptedPipeline({ two: {}, nine: {}, one: {} })));
  assert.equal((await at(own, 'reload')).code, 0);
  await until('the new ones, as the file has them', () => /\ntwo [^]*\nnine [^]*\none /.test(screen()));
  child.kill('SIGTERM');
  await ended;
  assert.equal(await own.stop(), 0);
});

test('history_shows_the_last_seconds_of_all_and_of_a_stage', async () => {
  await onHold(s, await placeScripted(s, { one: 'rrr' }));
  const sum = (text, column) => {
    const [head, ...lines] = rows(text);
    return lines.reduce((n, line) => n + Number(line[head.indexOf(column)]), 0);
  };
  const text = await until('the errors to be counted', async () => {
    const { out } = await ok('pipeline', 'history', 'one');
    return sum(out, 'ERRORS') === 3 && out;
  });
  assert.deepEqual(rows(text)[0].slice(0, 5), ['TIME', 'IN', 'OUT', 'ERRORS', 'FAILED']);
  const { out } = await ok('pipeline', 'history', '--limit', '2');
  assert.equal(rows(out).length, 3);
  assert.equal(rows(out)[2][rows(out)[0].indexOf('ON HOLD')], '1');
  assert.deepEqual(rows(out)[0].slice(7), ['EVENTS', 'COMMITS', 'COMMIT P50 US', 'COMMIT P99 US', 'JOURNAL KIB', 'WAL KIB', 'MEMORY KIB']);
  const json = JSON.parse((await ok('pipeline', 'history', '--json')).out);
  assert.equal(json.at_ms.length, json.orders.accepted.length);
  const none = await stageline('pipeline', 'history', 'nine');
  assert.deepEqual([none.code, none.out], [1, '']);
  assert.match(none.err, /know no stage nine/);
});

test('show_tells_all_of_one_stage', async () => {
  const { out } = await ok('pipeline', 'show', 'one');
  const { stages, name, generation } = await getJson(s, '/pipeline');
  const one = stages.find((stage) => stage.name === 'one');
  assert.deepEqual(rows(out)[0], ['STAGE', 'one']);
  const flat = (object, before_) => Object.entries(object).flatMap(([key, v]) => (
    v && typeof v === 'object' && !Array.isArray(v) ? flat(v, `${before_}${key} `) : [[`${before_}${key}`, v]]));
  assert.deepEqual(rows(out).slice(1).map(([label]) => label), flat(one, '').map(([label]) => label));
  for (const label of ['plugin', 'timeout_ms', 'retry attempts', 'on_exhausted', 'isolation', 'live breaker', 'live served_by'])
    assert.equal(value(out, label), `${flat(one, '').find(([l]) => l === label)[1]}`, label);
  assert.equal(JSON.parse((await ok('pipeline', 'show', 'one', '--json')).out).name, 'one');
  assert.equal((await stageline('pipeline', 'show', 'nine', '--json')).code, 1);
  const none = await stageline('pipeline', 'show', 'nine');
  assert.deepEqual([none.code, none.out], [1, '']);
  assert.match(none.err, /no stage nine/);
  assert.match((await ok('pipeline', 'show')).err, new RegExp(`^Pipeline ${name}, generation ${generation}$`, 'm'));
});

test('errors_shows_what_went_wrong_at_a_stage', async () => {
  const id = await placeScripted(s, { two: 'rd' });
  await finished(s, id);
  const { out } = await ok('pipeline', 'errors', 'two', '--limit', '1');
  const { errors } = await getJson(s, '/pipeline/stages/two/errors?limit=1');
  assert.deepEqual(rows(out), [['TIME', 'ORDER', 'EVENT', 'ATTEMPT', 'MESSAGE'],
    [errors[0].timestamp.replace(/\.\d+/, ''), id, 'stage_retrying', '1', errors[0].message]]);
  assert.equal((await stageline('pipeline', 'errors', 'nine')).code, 1);
});

test('an_order_shows_which_attempt_it_was_and_how_long_it_took', async () => {
  const id = await placeScripted(s, { two: 'rd' });
  const { events, order: whole } = await finished(s, id);
  const done = events.find((e) => e.event_type === 'two_done');
  const { out } = await ok('orders', 'show', id);
  assert.match(out, /^ *SEQ +TIME +EVENT +STATUS +STAGE +ATTEMPT +MS +MESSAGE/m);
  assert.match(out, new RegExp(`^ *${done.seq} .* two_done +success +two +2 +${done.duration_ms}(?: |$)`, 'm'));
  const took = Date.parse(whole.completed_at) - Date.parse(whole.created_at);
  assert.ok(Math.abs(Number(value(out, 'took ms')) - took) <= 1, out);
});

test('history_of_a_value_shows_what_changed_it_and_what_it_was_then', async () => {
  await ok('state', 'adjust', 'stock/PROD-002', '--delta', '5', '--reason', 'delivery');
  await ok('state', 'adjust', 'stock/PROD-002', '--delta', '-2', '--reason', 'broken');
  const { out, err } = await ok('state', 'history', 'stock/PROD-002', '--limit', '2');
  const [head, ...lines] = rows(out);
  assert.deepEqual(head, ['TIME', 'CHANGE', 'THEN', 'EVENT', 'ORDER', 'WHY']);
  assert.deepEqual(lines.map((line) => line.slice(1)), [['-2', '6', 'state_adjusted', 'broken'], ['+5', '8', 'state_adjusted', 'delivery']]);
  const cursor = /--cursor (\d+)/.exec(err)[1];
  const older = await ok('state', 'history', 'stock/PROD-002', '--limit', '2', '--cursor', cursor);
  assert.deepEqual(rows(older.out)[1].slice(1, 3), ['set', '3']);
  await ok('state', 'adjust', 'notes/a b&c', '--value', '{"n":1}', '--reason', 'a note');
  await ok('state', 'adjust', 'notes/a b&c', '--value', 'null', '--reason', 'no longer');
  assert.deepEqual(rows((await ok('state', 'history', 'notes/a b&c')).out).slice(1).map((line) => line[1]), ['deleted', 'set']);
  assert.deepEqual(JSON.parse((await ok('state', 'history', 'stock/PROD-002', '--json')).out),
    await getJson(s, '/state/history?key=stock%2FPROD-002'));
});

test('products_are_those_that_can_be_ordered', async () => {
  const { products } = await getJson(shop, '/products');
  const { out } = await at(shop, 'orders', 'products');
  assert.deepEqual(rows(out), [['PRODUCT', 'NAME', 'PRICE'], ...products.map(({ id, name, price }) => [id, name, String(price)])]);
});

test('an_order_sent_twice_with_a_key_is_placed_once', async () => {
  const file = join(temporaryFolder(), 'order.json');
  writeFileSync(file, JSON.stringify(order()));
  const args = ['orders', 'place', '--file', file, '--idempotency-key', 'basket-4711'];
  const first = await at(shop, ...args);
  assert.equal(first.code, 0, first.err);
  assert.equal((await at(shop, ...args)).out, first.out);
  assert.notEqual((await at(shop, ...args.slice(0, 4))).out, first.out, 'without the key it is another');
  writeFileSync(file, JSON.stringify(order({ 'PROD-001': 1 })));
  const other = await at(shop, ...args);
  assert.deepEqual([other.code, other.out], [1, '']);
  assert.match(other.err, /422/);
  assert.equal((await at(shop, ...args.slice(0, 5), 'a\r\nX: b')).code, 2);
});

test('system_shows_what_the_client_shows', async () => {
  await finished(shop, (await place(shop)).id);
  const [system, { out }] = [await getJson(shop, '/system'), await at(shop, 'system', 'show')];
  assert.equal(value(out, 'process'), String(shop.pid));
  assert.equal(value(out, 'head of the chain'), system.journal.head);
  assert.equal(value(out, 'journal'), system.journal.path);
  assert.ok(Number(value(out, 'memory bytes')) > 1_000_000);
  assert.ok(Number(value(out, 'commit p99 us')) >= Number(value(out, 'commit p50 us')) && Number(value(out, 'commits')) > 0);
  for (const label of rows(out).slice(1).map(([name]) => name).filter((name) => name !== 'trouble'))
    assert.ok(value(out, label), label);
});

test('the_head_of_the_chain_is_whole_on_a_narrow_terminal', async () => {
  const { out } = await runStageline(['system', 'show'], { env: { STAGELINE_URL: shop.url, COLUMNS: '60' } });
  assert.match(value(out, 'head of the chain'), /^\d+:[0-9a-f]{64}$/);
});

test('stats_are_the_counts_of_the_daemon', async () => {
  const { out } = await at(shop, 'system', 'stats');
  const stats = await getJson(shop, '/stats');
  assert.deepEqual(rows(out).slice(1).map(([name]) => name), Object.keys(stats));
  for (const name of ['accepted', 'completed', 'on_hold', 'last_seq'])
    assert.equal(value(out, name), String(stats[name]));
});

test('health_is_told', async () => {
  const well = await at(shop, 'system', 'health');
  assert.equal(well.code, 0);
  assert.equal(value(well.out, 'status'), 'healthy');
  const server = createServer((req, res) => res.end('{}'));
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const other = await at({ url: `http://127.0.0.1:${server.address().port}` }, 'system', 'health');
  server.close();
  assert.deepEqual([other.code, other.out], [1, '']);
  assert.match(other.err, /tells no health/);
});

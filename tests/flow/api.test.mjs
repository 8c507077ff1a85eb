// The documents of the API are true: they pass their linters, and every route, every status and every message that they name
// is provoked and has the shape that they promise.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import test, { after, before } from 'node:test';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import Ajv from 'ajv';
import WebSocket from 'ws';
import { asyncApi, openApi } from '../lib/api.mjs';
import { halfRequest } from '../lib/half.mjs';
import { finished, order, place } from '../lib/orders.mjs';
import { onHold, placeScripted, stageIs, startScripted } from '../lib/scripted.mjs';
import { until } from '../lib/until.mjs';

const reason = 'to see what it answers';
const nobody = '01890a5d-ac96-774b-bcce-b302099a8057';
let s, api, live;

before(async () => {
  s = await startScripted({ one: {}, two: { timeout: '60s' }, three: {} }, { state: { 'stock/PROD-002': 5 } });
  api = await openApi(s);
  live = await asyncApi(s);
});
after(async () => { if (s.isRunning) await s.stop(); });

const waiting = async () => {
  const id = await placeScripted(s, { two: 'w' });
  await stageIs(s, id, 'two', 'waiting');
  return id;
};
const held = async (script = 'rrrd') => {
  const id = await placeScripted(s, { one: script });
  await onHold(s, id);
  return id;
};

// A connection to a WebSocket, or the status that refused it.
async function watch(path, headers = {}) {
  const socket = new WebSocket(`${s.url.replace('http', 'ws')}${path}`, { headers });
  const messages = [];
  socket.on('message', (data) => messages.push(JSON.parse(data)));
  const refused = once(socket, 'unexpected-response').then(async ([, answer]) => {
    let text = '';
    for await (const chunk of answer)
      text += chunk;
    return { status: answer.statusCode, type: answer.headers['content-type'], text };
  }, () => {});
  socket.on('error', () => {});
  const { status, type, text } = await Promise.race([refused, once(socket, 'open').then(() => ({ status: 101, type: '', text: '' }))]);
  return { status, type, text, messages, end: () => socket.terminate() };
}

// --- the documents themselves ---

test('the_documents_pass_the_linter', async () => {
  // A job is a number, so that no path is ambiguous: /dead-letters/jobs/edit is none.
  const config = await createConfig({ extends: ['recommended-strict'], rules: { 'no-ambiguous-paths': 'off' } });
  for (const [name, { document }] of Object.entries({ openapi: api, asyncapi: live })) {
    const problems = await lintFromString({ source: JSON.stringify(document), absoluteRef: `/${name}.json`, config });
    assert.deepEqual(problems.map((p) => `${p.ruleId}: ${p.message} ${p.location[0].pointer}`), [], name);
  }
});

test('the_messages_are_a_valid_asyncapi_document', () => {
  const schema = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0.json');
  const ajv = new Ajv({ strict: false, validateFormats: false, meta: false, validateSchema: false });
  assert.ok(ajv.validate(schema, live.document), ajv.errorsText());
  assert.ok(!ajv.validate(schema, { ...live.document, channels: { wrong: { adress: '/' } } }), 'the schema finds what is wrong');
});

test('both_name_the_same_websockets', () => {
  const sockets = api.operations.filter(({ operation }) => operation.responses[101]).map(({ path }) => path);
  assert.deepEqual(Object.values(live.document.channels).map((c) => c.address).sort(), sockets.sort());
});

// --- what every route refuses ---

test('no_route_takes_a_query_that_is_not_utf_8', async () => {
  for (const { name } of api.operations)
    await api.expect(400, name, { query: '?x=%zz' });
});

test('no_post_is_taken_from_another_origin_or_too_large', async () => {
  for (const { name } of api.operations.filter(({ method }) => method === 'POST')) {
    await api.expect(403, name, { headers: { Origin: 'http://evil.example' } });
    await api.expect(413, name, { body: 'a'.repeat(70_000) });
  }
});

test('every_body_is_json_of_the_right_shape', async () => {
  for (const { name, operation } of api.operations.filter(({ operation: o }) => o.requestBody)) {
    await api.expect(415, name, { body: '{}', headers: { 'Content-Type': 'text/plain' } });
    await api.expect(400, name, { body: '{' });
    if (operation.requestBody.content['application/json'].schema.$ref !== '#/components/schemas/Signal')
      await api.expect(422, name, { body: '{}' });
  }
});

test('nothing_is_found_where_nothing_is', async () => {
  const bodies = { edit: { reason, order: order() }, signals: {}, migrate: { reason, from: '0123456789abcdef' } };
  for (const { name, method, operation } of api.operations.filter(({ operation: o }) => o.responses[404] && !o.responses[101]))
    await api.expect(404, name, {
      ...(method === 'POST' ? { body: bodies[/edit|signals|migrate/.exec(name)?.[0]] ?? { reason } } : {}),
      ...(operation.responses[200].content['application/json']?.schema.$ref === '#/components/schemas/State' ? { query: '?at=999999' } : {}) });
});

// --- what they do ---

test('orders', async () => {
  const placed = await api.expect(200, 'POST /orders', { body: order() });
  await finished(s, placed.id);
  await api.expect(200, 'GET /orders');
  await api.expect(200, 'GET /orders', { query: '?limit=1&status=completed' });
  const id = await waiting();
  await api.expect(409, 'POST /orders/{id}/erase', { id, body: { reason } });
  await api.expect(409, 'POST /orders/{id}/signals/{stage}', { id, stage: 'one', body: {} });
  const headers = { 'Idempotency-Key': 'once' };
  await api.expect(200, 'POST /orders/{id}/signals/{stage}', { id, stage: 'two', body: { approved: true }, headers });
  await api.expect(422, 'POST /orders/{id}/signals/{stage}', { id, stage: 'two', body: { approved: false }, headers });
  await finished(s, id);
  await api.expect(200, 'POST /orders/{id}/erase', { id, body: { reason } });
  await api.expect(200, 'GET /orders/{id}', { id });
  const other = await waiting();
  await api.expect(200, 'POST /orders/{id}/cancel', { id: other, body: { reason } });
  await api.expect(409, 'POST /orders/{id}/cancel', { id: other, body: { reason } });
});

test('dead_letters', async () => {
  const ids = [await held(), await held(), await held('rrr')];
  await api.expect(200, 'GET /dead-letters');
  await api.expect(200, 'GET /dead-letters', { query: '?group=cause' });
  for (const action of ['retry', 'skip', 'discard']) {
    await api.expect(200, `POST /dead-letters/${action}`, { body: { reason, filter: {}, dry_run: true } });
    await api.expect(200, `POST /dead-letters/${action}`, { body: { reason, ids: [ids.pop(), nobody] } });
    const { job } = await api.expect(202, `POST /dead-letters/${action}`, { body: { reason, filter: { stage: 'nowhere' }, rate: 5 } });
    await api.expect(200, 'GET /dead-letters/jobs/{job}', { job });
  }
  const id = await held('rrr');
  await api.expect(200, 'POST /dead-letters/{id}/edit', { id, body: { reason, order: order() } });
  await finished(s, id);
  await api.expect(409, 'POST /dead-letters/{id}/edit', { id, body: { reason, order: order() } });
});

test('the_pipeline_and_its_generations', async () => {
  await api.expect(200, 'GET /pipeline');
  await api.expect(200, 'GET /pipeline/history');
  await api.expect(200, 'GET /pipeline/stages/{name}/errors', { name: 'one' });
  for (const action of ['pause', 'resume']) {
    await api.expect(200, `POST /pipeline/stages/{name}/${action}`, { name: 'three', body: { reason } });
    await api.expect(409, `POST /pipeline/stages/{name}/${action}`, { name: 'three', body: { reason } });
  }
  const id = await waiting();
  const text = readFileSync(s.pipeline, 'utf8');
  const from = (await api.expect(200, 'GET /pipeline')).generation;
  writeFileSync(s.pipeline, `${text}what: is this\n`);
  await api.expect(422, 'POST /pipeline/reload');
  await api.expect(200, 'GET /pipeline');
  writeFileSync(s.pipeline, `${text}# changed\n`);
  await api.expect(200, 'POST /pipeline/reload');
  await api.expect(200, 'GET /pipeline/generations');
  await api.expect(200, 'POST /pipeline/migrate', { body: { reason, from, dry_run: true } });
  await api.expect(202, 'POST /pipeline/migrate', { body: { reason, from, rate: 100 } });
  await api.expect(200, 'POST /orders/{id}/cancel', { id, body: { reason } });
});

test('the_state_the_daemon_and_the_client', async () => {
  await api.expect(200, 'GET /state', { query: '?prefix=stock/' });
  await api.expect(200, 'GET /state', { query: '?at=1' });
  await api.expect(200, 'POST /state/adjust', { body: { reason, key: 'stock/PROD-002', delta: 1 } });
  await api.expect(409, 'POST /state/adjust', { body: { reason, key: 'stock/PROD-002', delta: -1000 } });
  await api.expect(200, 'GET /state/history', { query: '?key=stock/PROD-002' });
  for (const path of ['/products', '/stats', '/system', '/metrics', '/health', '/livez', '/readyz', '/openapi.json', '/asyncapi.json'])
    await api.expect(200, `GET ${path}`);
  for (const [name, request] of [['GET /', {}], ['GET /static/{file}', { file: 'app.js' }]]) {
    const { status, headers } = await api.call(name, request);
    assert.equal(status, 200);
    await api.expect(304, name, { ...request, headers: { 'If-None-Match': headers.get('etag') } });
  }
});

// --- what goes on ---

test('server_sent_events', async () => {
  assert.match(await api.expect(200, 'GET /events', { query: '?after=0' }), /^retry: \d+\n/);
  const [, sample] = /^data: (.*)\n\n$/.exec(await api.expect(200, 'GET /pipeline/samples'));
  live.check('/ws/pipeline', JSON.parse(sample));
});

test('messages_of_the_websockets', async () => {
  const id = await waiting();
  const one = await watch(`/ws/orders/${id}`);
  const all = await watch('/ws/events?after=0');
  const reset = await watch('/ws/events?after=999999');
  const samples = await watch('/ws/pipeline');
  const noted = { '/ws/orders/{id}': one, '/ws/events': all, '/ws/pipeline': samples };
  for (const [path, { status, type, text }] of Object.entries(noted))
    api.note(`GET ${path}`, status, type, text);
  await api.expect(200, 'POST /orders/{id}/signals/{stage}', { id, stage: 'two', body: {} });
  const { order: { last_seq: last } } = await finished(s, id);
  await until('every message', () => one.messages.at(-1)?.order.status === 'completed' && all.messages.at(-1)?.event?.seq >= last
    && reset.messages.length && samples.messages.length);
  noted['/ws/events'] = { messages: [...all.messages, ...reset.messages] };
  for (const [path, { messages }] of Object.entries(noted))
    for (const message of messages)
      live.check(path, message);
  for (const socket of [one, all, reset, samples])
    socket.end();
  assert.deepEqual(live.missing(), []);
});

test('websockets_are_refused_with_reasons', async () => {
  const id = await waiting();
  for (const { name, path } of api.operations.filter(({ operation }) => operation.responses[101])) {
    const { status, type, text } = await watch(path.replace('{id}', id), { Origin: 'http://evil.example' });
    assert.equal(status, 403);
    api.note(name, status, type, text);
    await api.expect(426, name, { id });
  }
  await api.expect(404, 'GET /ws/orders/{id}');
  await api.expect(200, 'POST /orders/{id}/cancel', { id, body: { reason } });
});

// --- the end ---

test('503_while_it_stops', async () => {
  await place(s);
  const halves = {
    'POST /orders': halfRequest(s, '/orders', JSON.stringify(order())),
    'GET /health': halfRequest(s, '/health'),
    'GET /readyz': halfRequest(s, '/readyz'),
  };
  await Promise.all(Object.values(halves).map((half) => half.started));
  const stopped = s.stop();
  await until('the stop to be under way', () => /stopping/.test(s.logs()), { step: 1 });
  for (const half of Object.values(halves))
    half.finish();
  assert.equal(await stopped, 0);
  for (const [name, half] of Object.entries(halves)) {
    const [head, body] = (await half.answer).split('\r\n\r\n');
    assert.match(head, /^HTTP\/1\.1 503 /);
    api.note(name, 503, /^Content-Type: ([^;\r]*)/im.exec(head)[1], body);
  }
});

test('every_status_that_is_named_was_provoked', () => assert.deepEqual(api.missing(), []));

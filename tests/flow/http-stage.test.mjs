// The http stage against services that answer, refuse, break off, hang and lie.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { allFinished, allOrders, finished, order, place, state } from '../lib/orders.mjs';
import { pipelineFile } from '../lib/pipeline.mjs';
import { ofType, onHold, send, stageIs, types } from '../lib/scripted.mjs';
import { startService } from '../lib/service.mjs';
import { until } from '../lib/until.mjs';
import { freePort, runStageline, serveArgs, startStageline, temporaryFolder } from '../lib/stageline.mjs';

const bytes = Buffer.from('stageline-test-secret-of-32-byte');
const older = Buffer.from('an-older-secret-of-24-bytes!');
const secret = `whsec_${bytes.toString('base64')}`;
const retry = { attempts: 3, backoff: '5ms', factor: 2, max: '20ms', jitter: 0 };
let service, s;

const file = (name, text) => {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};

function pipeline(config, { after: last = '', ...policy } = {}) {
  return pipelineFile(['pipeline: orders', 'state: {stock/gift: 10}', `defaults: ${JSON.stringify({ timeout: '10s', retry })}`,
    'stages:', `  - ${JSON.stringify({ name: 'pay', plugin: 'http', status: 'paying', event: 'paid', undo_event: 'paid_back',
      ...policy, config })}`, last].join('\n'));
}

const declines = `  - ${JSON.stringify({ name: 'last', plugin: 'payment', undo_event: 'undone_last', config: { decline_rate: 1 } })}`;

before(async () => {
  service = await startService();
  s = await startStageline({ pipeline: pipeline({ url: service.url, undo_url: `${service.url}/undo?token=hidden`,
    secret_file: file('secret', `${secret}\nwhsec_${older.toString('base64')}\n`), headers: ['X-Shop: Zoë’s'],
    headers_file: file('headers', 'Authorization: Bearer open sesame\n\nX-More: yes\r\n'),
    timeout: '400ms', max_answer: '100KiB' }) });
});
after(async () => assert.equal(await s.stop(), 0));

const placed = async (answers, changes = {}, at = s) => (
  await place(at, order({ 'PROD-002': 1 }, { service: { run: answers }, ...changes }))).id;
const ended = async (answers, at = s) => finished(at, await placed(answers, {}, at));

// The message of the only attempt that went wrong before one that did not.
async function trouble(answer) {
  const whole = await ended([answer, { status: 200 }]);
  assert.equal(whole.order.status, 'completed');
  assert.equal(ofType(whole, 'stage_retrying').length, 1);
  return ofType(whole, 'stage_retrying')[0].message;
}

test('a_request_is_a_signed_cloud_event', async () => {
  const id = await placed([{}], { note: 'für „Ann“\n' });
  const whole = await finished(s, id);
  const [request] = service.of(id);
  const { headers, event } = request;
  const key = `${id}:pay:run`;

  assert.deepEqual([request.method, request.path], ['POST', '/stage']);
  assert.equal(headers['content-type'], 'application/cloudevents+json; charset=utf-8');
  assert.deepEqual([event.specversion, event.id, event.source, event.type, event.subject, event.datacontenttype],
    ['1.0', key, '/stages/pay', 'stageline.stage.run', id, 'application/json']);
  assert.match(event.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.ok(Math.abs(Date.parse(event.time) - Date.now()) < 60_000);
  const { order: sent, results, ...rest } = event.data;
  assert.deepEqual(rest, { stage: 'pay', direction: 'run', attempt: 1, idempotency_key: key });
  assert.deepEqual([sent.id, sent.note, sent.total_amount, results], [id, 'für „Ann“\n', 29.99, {}]);
  assert.equal(headers['idempotency-key'], key);
  assert.match(headers.traceparent, new RegExp(`^00-${id.replaceAll('-', '')}-[0-9a-f]{16}-01$`));
  assert.equal(Buffer.from(headers['x-shop'], 'latin1').toString(), 'Zoë’s');
  assert.deepEqual([headers.authorization, headers['x-more']], ['Bearer open sesame', 'yes']);
  assert.equal(headers['webhook-id'], key);
  const signed = `${key}.${headers['webhook-timestamp']}.${request.text}`;
  assert.equal(headers['webhook-signature'], [bytes, older].map((k) => (
    `v1,${createHmac('sha256', k).update(signed).digest('base64')}`)).join(' '));
  assert.equal(ofType(whole, 'paid')[0].message, `POST ${service.url}: 200 OK`);
});

test('message_data_and_effects_of_the_answer_are_taken', async () => {
  const whole = await ended([{ body: { message: 'Captured ü', data: { reference: 'R-1', fee: 0.35, list: [1, null] },
    effects: [{ add: 'stock/gift', delta: -2, floor: 0 }, { put: 'last/payment', value: { by: 'us' } }, { delete: 'nothing' }] } }]);
  const [paid] = ofType(whole, 'paid');
  assert.equal(paid.message, 'Captured ü');
  assert.deepEqual(paid.metadata, { reference: 'R-1', fee: 0.35, list: [1, null] });
  assert.deepEqual(await state(s, 'last/'), { 'last/payment': { by: 'us' } });
  assert.equal((await state(s, 'stock/'))['stock/gift'], 8);
});

test('an_effect_below_its_floor_fails_with_the_shortage_of_the_answer', async () => {
  const whole = await ended([{ body: { effects: [{ add: 'stock/gift', delta: -100, floor: 0 }], shortage: 'No gifts left' } }]);
  assert.equal(whole.order.status, 'failed');
  assert.equal(ofType(whole, 'stage_failed')[0].message, 'No gifts left');
  assert.equal((await state(s, 'stock/'))['stock/gift'], 8);
});

test('2xx_without_json_is_done', async () => {
  for (const answer of [{ status: 204 }, { status: 201, body: 'fine', headers: { 'Content-Type': 'text/plain' } },
    { body: '{}', headers: { 'Content-Type': 'application/problem+json' } }, { status: 299, body: '' }])
    assert.equal((await ended([answer])).order.status, 'completed', JSON.stringify(answer));
});

test('an_answer_that_is_not_as_agreed_is_a_passing_trouble', async () => {
  const post = `POST ${service.url}: 200 OK, but`;
  assert.equal(await trouble({ body: '{"message":' }), `${post} its body is no JSON`);
  assert.equal(await trouble({ body: '[1]' }), `${post} its JSON is no object`);
  assert.equal(await trouble({ body: '{} {}' }), `${post} its body is no JSON`);
  assert.equal(await trouble({ body: { data: 7 } }), `${post} its data is no object, or too large`);
  assert.equal(await trouble({ act: 'fat' }), `${post} its data is no object, or too large`);
  assert.equal(await trouble({ body: { effects: {} } }), `${post} its effects are no list`);
  for (const effect of [{}, 7, { add: 'a' }, { add: 'a', delta: 0.5 }, { add: 'a', delta: 1, floor: 'x' }, { put: 'a' },
    { add: '', delta: 1 }, { delete: 'k'.repeat(300) }, { add: 'a', delta: 1e300 }])
    assert.equal(await trouble({ body: { effects: [{ delete: 'x' }, effect] } }),
      `${post} its effect 2 is no add, put or delete, or out of bounds`, JSON.stringify(effect));
});

test('409_and_422_are_a_final_no_with_the_words_of_the_service', async () => {
  const no = async (answer) => {
    const whole = await ended([answer]);
    assert.equal(whole.order.status, 'failed');
    return ofType(whole, 'stage_failed')[0].message;
  };
  const problem = { 'Content-Type': 'application/problem+json' };
  assert.equal(await no({ status: 409, body: { title: 'Declined', detail: 'Card\n expired' }, headers: problem }), 'Card expired');
  assert.equal(await no({ status: 422, body: { title: 'Declined' }, headers: problem }), 'Declined');
  assert.equal(await no({ status: 422, body: { message: 'Not for you' } }), 'Not for you');
  assert.equal(await no({ status: 409 }), `POST ${service.url}: 409 Conflict`);
  assert.equal(await no({ status: 409, body: '\xff<html>', headers: { 'Content-Type': 'text/html' } }), `POST ${service.url}: 409 Conflict`);
});

test('429_and_503_are_tried_again_when_they_say', async () => {
  const inTwo = () => new Date(Date.now() + 2500).toUTCString();
  for (const [status, after_, least] of [[429, '1', 1000], [503, inTwo(), 1000]]) {
    const whole = await ended([{ status, headers: { 'Retry-After': after_ } }, {}]);
    const [again] = ofType(whole, 'stage_retrying');
    const waited = Date.parse(ofType(whole, 'paid')[0].timestamp) - Date.parse(again.timestamp);
    assert.match(again.message, status === 429 ? /: 429 Too Many Requests$/ : /: 503 Service Unavailable$/);
    assert.ok(waited >= least - 50 && waited < 4000, `${status}: ${waited} ms`);
  }
});

test('every_other_status_is_tried_again_and_says_what_it_was', async () => {
  for (const [status, words] of [[400, 'Bad Request'], [401, 'Unauthorized'], [404, 'Not Found'], [418, 'I\'m a Teapot'],
    [500, 'Internal Server Error'], [502, 'Bad Gateway']])
    assert.equal(await trouble({ status }), `POST ${service.url}: ${status} ${words}`);
  assert.equal(await trouble({ status: 500, body: { detail: 'disk\tfull' } }),
    `POST ${service.url}: 500 Internal Server Error: disk full`);
});

test('attempts_that_are_used_up_put_the_order_on_hold', async () => {
  const whole = await onHold(s, await placed([{ status: 500 }]));
  assert.match(ofType(whole, 'stage_held')[0].message, /500 Internal Server Error/);
  assert.deepEqual(service.of(whole.order.id).map((r) => r.event.data.attempt), [1, 2, 3]);
  assert.equal(new Set(service.of(whole.order.id).map((r) => r.headers['idempotency-key'])).size, 1);
});

test('a_redirect_is_not_followed', async () => {
  const elsewhere = await startService();
  for (const status of [301, 302, 307, 308])
    assert.match(await trouble({ status, headers: { Location: elsewhere.url } }),
      new RegExp(`: ${status} [^,]*, a redirect to ${elsewhere.url}, which is not followed$`));
  assert.equal(elsewhere.requests.length, 0);
  elsewhere.close();
});

test('what_breaks_hangs_or_floods_is_tried_again_and_named', async () => {
  assert.equal(await trouble({ act: 'hang' }), `POST ${service.url}: no answer within 400 ms`);
  // On a connection that was used before, libcurl itself tries again: the service may just have closed it.
  const dropped = await ended([{ act: 'drop' }, { act: 'drop' }, {}]);
  assert.match(ofType(dropped, 'stage_retrying')[0].message, /: the connection was closed without an answer/);
  assert.match(await trouble({ act: 'half' }), /: the connection (was closed|broke) before the end of the answer/);
  assert.equal(await trouble({ act: 'huge' }), `POST ${service.url}: the answer is larger than 102400 bytes`);
  assert.match(await trouble({ act: 'headers' }), /: the answer is larger than/);
  assert.match(await trouble({ act: 'garbage' }), /: the answer is not HTTP/);
});

test('202_waits_for_a_signal_and_asks_again_with_it', async () => {
  const id = await placed([{ status: 202, body: { message: 'A clerk looks at it' } }, { status: 500 }, { body: { message: 'Approved' } }]);
  const waiting = await stageIs(s, id, 'pay', 'waiting');
  assert.equal(ofType(waiting, 'stage_waiting')[0].message, 'A clerk looks at it');
  const due = Date.parse(waiting.order.stages[0].due_at) - Date.now();
  assert.ok(due > 23 * 3600_000 && due < 25 * 3600_000, 'a day is the default');
  assert.equal((await send(s, `/orders/${id}/signals/pay`, { by: 'Ann' })).status, 200);
  assert.equal(ofType(await finished(s, id), 'paid')[0].message, 'Approved');
  const [first, ...later] = service.of(id);
  assert.equal(first.event.data.signal, undefined);
  assert.deepEqual(later.map((r) => r.event.data.signal), [{ by: 'Ann' }, { by: 'Ann' }]);
  assert.notEqual(later[0].headers['idempotency-key'], first.headers['idempotency-key']);
  assert.equal(later[1].headers['idempotency-key'], later[0].headers['idempotency-key']);
});

test('undo_goes_to_its_own_url_without_a_word_of_its_query', async () => {
  const t = await startStageline({ pipeline: pipeline({ url: service.url, undo_url: `${service.url}/undo?token=hidden` },
    { after: declines }) });
  const { id } = await place(t, order({}, { service: { run: [{ body: { data: { reference: 'R-7' } } }],
    undo: [{ status: 500 }, { body: { message: 'Given back', effects: [{ add: 'given/back', delta: 1 }] } }] } }));
  const whole = await finished(t, id);
  assert.equal(whole.order.status, 'failed');
  assert.equal(ofType(whole, 'paid_back')[0].message, 'Given back');
  assert.equal((await state(t, 'given/'))['given/back'], 1);
  const undos = service.of(id).slice(1);
  assert.deepEqual(undos.map((r) => [r.path, r.event.type, r.event.data.direction, r.event.data.attempt]),
    [1, 2].map((n) => ['/stage/undo?token=hidden', 'stageline.stage.undo', 'undo', n]));
  assert.deepEqual(undos[0].event.data.results, { pay: { reference: 'R-7' } });
  assert.equal(undos[0].headers['idempotency-key'], `${id}:pay:undo`);
  assert.doesNotMatch(JSON.stringify(whole), /hidden/);
  assert.equal(await t.stop(), 0);
});

test('a_service_that_is_not_there_is_tried_again_until_it_is', async () => {
  const url = `http://ann:sesame@127.0.0.1:${await freePort()}/pay?k=sesame`;
  const t = await startStageline({ pipeline: pipeline({ url }) });
  const whole = await onHold(t, (await place(t)).id);
  const shown = url.replace('ann:sesame@', '').replace('?k=sesame', '');
  assert.equal(ofType(whole, 'stage_retrying')[0].message, `POST ${shown}: could not connect: Connection refused`);
  assert.doesNotMatch(t.logs() + JSON.stringify(whole), /sesame/);
  assert.equal(await t.stop(), 0);
});

test('a_certificate_counts_only_when_it_is_trusted', async () => {
  const folder = temporaryFolder();
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-keyout', key, '-out', cert, '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });
  const tls = await startService({ tls: { key: readFileSync(key), cert: readFileSync(cert) } });

  const distrusts = await startStageline({ pipeline: pipeline({ url: tls.url }) });
  const whole = await onHold(distrusts, (await place(distrusts)).id);
  assert.match(ofType(whole, 'stage_retrying')[0].message, /: its certificate is refused: .*self.signed/);
  assert.equal(tls.requests.length, 0);
  assert.equal(await distrusts.stop(), 0);

  const trusts = await startStageline({ pipeline: pipeline({ url: tls.url, ca_file: cert }) });
  assert.equal((await finished(trusts, (await place(trusts)).id)).order.status, 'completed');
  assert.equal(await trusts.stop(), 0);

  const other = await startStageline({ pipeline: pipeline({ url: tls.url.replace('127.0.0.1', 'localhost'), ca_file: cert }) });
  const refused = await onHold(other, (await place(other)).id);
  assert.match(ofType(refused, 'stage_retrying')[0].message, /: its certificate is refused: /);
  assert.equal(await other.stop(), 0);
});

test('what_is_wrong_with_the_config_is_said_at_the_start', async () => {
  const wrong = async (config, ...words) => {
    const listen = `127.0.0.1:${await freePort()}`;
    const { code, err } = await runStageline(serveArgs({ pipeline: pipeline(config), dataDir: temporaryFolder(), listen }));
    assert.notEqual(code, 0);
    for (const word of words)
      assert.match(err, word);
  };
  await wrong({ url: 'ftp://example.com/' }, /url must begin with http:\/\/ or https:\/\//);
  await wrong({ url: 'file:///etc/passwd' }, /url must begin with http/);
  await wrong({ url: 'http://' }, /url: /);
  await wrong({ url: 'http://a/', undo_url: 'gopher://a/' }, /undo_url must begin with/);
  await wrong({ url: 'http://a/', secret: 'whsec_c2hvcnQ=' }, /secret: a secret is 'whsec_' and base64 of 24 to 64 bytes/);
  await wrong({ url: 'http://a/', secret_file: '/nowhere' }, /secret_file '\/nowhere': No such file/);
  await wrong({ url: 'http://a/', secret, secret_file: '/nowhere' }, /not both/);
  await wrong({ url: 'http://a/', ca_file: '/nowhere' }, /ca_file '\/nowhere': No such file/);
  await wrong({ url: 'http://a/', headers: ['no colon'] }, /headers: item 1 is not 'Name: value'/);
  await wrong({ url: 'http://a/', headers: ['A: b', 'C: d\r\nE: f'] }, /headers: item 2/);
  await wrong({ url: 'http://a/', headers_file: file('headers', 'A: b\nno colon\n') }, /headers_file '.*': line 2 is not/);
  await wrong({ url: 'http://a/', headers_file: file('headers', 'A: b\n'.repeat(5000)) }, /is not a text of at most 8192 bytes/);
  await wrong({}, /url/);
});

const threadsOf = (pid) => readdirSync(`/proc/${pid}/task`).length;

test('a_thousand_orders_share_fifty_connections_and_one_thread', async () => {
  const slow = await startService({ always: { status: 200, delay: 20 } });
  const t = await startStageline({ pipeline: pipeline({ url: slow.url, in_flight: 50, timeout: '30s' }, { timeout: '60s' }) });
  await send(t, '/pipeline/stages/pay/pause', { reason: 'to start all at once' });
  for (let i = 0; i < 20; i++)
    await Promise.all(Array.from({ length: 50 }, () => place(t)));
  const start = performance.now();
  await send(t, '/pipeline/stages/pay/resume', { reason: 'now' });
  let threads = 0;
  const watch = setInterval(() => { threads = Math.max(threads, threadsOf(t.pid)); }, 20);
  await allFinished(t);
  const ms = performance.now() - start;
  clearInterval(watch);
  const orders = await allOrders(t);
  assert.deepEqual([orders.length, new Set(orders.map((o) => o.status))], [1000, new Set(['completed'])]);
  assert.equal(slow.requests.length, 1000);
  assert.ok(slow.most <= 50 && slow.most >= 40, `${slow.most} at once`);
  assert.ok(slow.sockets <= 50, `${slow.sockets} connections`);
  assert.ok(threads < 25, `${threads} threads`);
  console.log(`# 1000 orders, 50 in flight, 20 ms each: ${ms.toFixed(0)} ms, ${slow.sockets} connections, ${threads} threads`);
  assert.ok(ms < 6000, `${ms} ms`);
  assert.equal(await t.stop(), 0);
  slow.close();
});

test('an_attempt_whose_time_is_up_leaves_nothing_behind', async () => {
  const t = await startStageline({ pipeline: pipeline({ url: service.url, timeout: '300ms' }, { timeout: '100ms' }) });
  const { id } = await place(t, order({}, { service: { run: [{ delay: 200 }, {}] } }));
  const whole = await finished(t, id);
  assert.equal(ofType(whole, 'stage_retrying')[0].message, 'no answer within 100 ms');
  assert.deepEqual(types(whole), ['order_created', 'stage_retrying', 'paid', 'order_completed']);
  assert.equal(await t.stop(), 0);
});

test('what_waits_too_long_for_its_turn_is_not_sent', async () => {
  const hanging = await startService({ always: { act: 'hang' } });
  const t = await startStageline({ pipeline: pipeline({ url: hanging.url, timeout: '200ms', in_flight: 1 }, { timeout: '30s' }) });
  const ids = await Promise.all(Array.from({ length: 10 }, async () => (await place(t)).id));
  const wholes = await Promise.all(ids.map((id) => onHold(t, id)));
  const messages = wholes.flatMap((whole) => ofType(whole, 'stage_retrying')).map((e) => e.message);
  assert.ok(messages.some((m) => /: not sent within 200 ms: in_flight \(1\) others were under way/.test(m)), messages.join('\n'));
  assert.ok(hanging.requests.length < 30, `${hanging.requests.length} of 30 attempts`);
  assert.equal(await t.stop(), 0);
  hanging.close();
});

test('after_kill_9_the_same_question_is_asked_again', async () => {
  const t = await startStageline({ pipeline: pipeline({ url: service.url, timeout: '30s' }, { timeout: '60s' }) });
  const { id } = await place(t, order({}, { service: { run: [{ act: 'hang' }, { body: { message: 'At last' } }] } }));
  await until('the request to be under way', () => service.of(id).length === 1);
  await t.kill();
  await t.restart();
  assert.equal(ofType(await finished(t, id), 'paid')[0].message, 'At last');
  assert.equal(new Set(service.of(id).map((r) => r.headers['idempotency-key'])).size, 1);
  assert.equal(await t.stop(), 0);
});

test('a_stop_does_not_wait_for_a_service_that_hangs', async () => {
  const hanging = await startService({ always: { act: 'hang' } });
  const t = await startStageline({ pipeline: pipeline({ url: hanging.url, timeout: '60s', in_flight: 1 }, { timeout: '90s' }) });
  for (let i = 0; i < 5; i++)
    await place(t);
  await until('a request to be under way', () => hanging.requests.length === 1);
  const start = performance.now();
  assert.equal(await t.stop(), 0);
  assert.ok(performance.now() - start < 5000);
  hanging.close();
});

// What the server refuses, and how: problem+json with every fault, before anything is promised.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import test, { after, before } from 'node:test';
import { fastPipeline } from '../lib/pipeline.mjs';
import { getJson, order, place, post } from '../lib/orders.mjs';
import { startStageline } from '../lib/stageline.mjs';

let s;

before(async () => { s = await startStageline({ pipeline: fastPipeline() }); });
after(async () => assert.equal(await s.stop(), 0));

async function problem(answer, status) {
  const text = await answer.text();
  assert.equal(answer.status, status, text);
  assert.match(answer.headers.get('content-type'), /^application\/problem\+json/);
  const body = JSON.parse(text);
  assert.equal(body.status, status);
  for (const name of ['type', 'title', 'detail'])
    assert.equal(typeof body[name], 'string', name);
  return body;
}

// Sends bytes as they are; what came back until the server closed or a whole answer was there.
function raw(text) {
  return new Promise((done, fail) => {
    const socket = connect(s.port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    const end = () => { socket.destroy(); done(answer); };
    socket.setTimeout(10_000, end);
    socket.on('data', (chunk) => {
      answer += chunk;
      const head = /^[^]*?\r\n\r\n/.exec(answer)?.[0];
      const length = Number(/content-length: (\d+)/i.exec(head ?? '')?.[1] ?? NaN);
      if (head && answer.length >= head.length + length)
        end();
    });
    socket.on('close', end).on('error', (error) => (answer ? end() : fail(error)));
  });
}

const pointers = (body) => body.errors.map((e) => e.pointer).sort();

test('422_lists_every_fault_with_its_pointer', async () => {
  const body = await problem(await post(s, { customer_email: 7,
    items: [{ product_id: 'PROD-001', name: 'Laptop', quantity: 'two', price: 1 }, { product_id: 1 }, 'x'],
    total_amount: '12' }), 422);
  const at = pointers(body);

  for (const pointer of ['/customer_email', '/items/0/quantity', '/items/1/product_id', '/items/1/quantity',
    '/items/1/price', '/items/2', '/total_amount'])
    assert.ok(at.some((p) => p === pointer), `${pointer} is not among ${at}`);
  assert.ok(body.errors.every((e) => e.detail.length > 0));
});

for (const [name, body, pointer] of [
  ['an_empty_object', {}, '/items'],
  ['items_that_are_no_list', order({}, { items: {} }), '/items'],
  ['a_name_that_stageline_sets_itself', order({ 'PROD-002': 1 }, { status: 'completed' }), '/status'],
  ['an_item_that_is_null', order({}, { items: [null] }), '/items/0'],
  ['a_price_with_three_digits', order({}, { items: [{ product_id: 'A', name: 'A', quantity: 1, price: 1.001 }] }),
    '/items/0/price'],
  ['a_quantity_of_one_and_a_half', order({}, { items: [{ product_id: 'A', name: 'A', quantity: 1.5, price: 1 }] }),
    '/items/0/quantity'],
  ['a_total_beyond_all_money', order({ 'PROD-002': 1 }, { total_amount: 1e300 }), '/total_amount'],
]) {
  test(`422_for_${name}`, async () => {
    const answer = await problem(await post(s, body), 422);
    assert.ok(pointers(answer).includes(pointer), JSON.stringify(answer.errors));
  });
}

for (const [name, body] of [
  ['something_else', 'hello'], ['a_list', '[]'], ['a_number', '7'], ['nothing', ''], ['half_an_object', '{"customer_email":'],
  ['more_after_the_object', `${JSON.stringify(order())}x`], ['bytes_that_are_not_utf8', new Uint8Array([0x22, 0xff, 0x22])],
  ['depth_without_end', '['.repeat(20_000)],
]) {
  test(`400_for_${name}_instead_of_json`, async () => {
    await problem(await post(s, body), 400);
  });
}

test('422_for_a_name_given_twice', async () => {
  const answer = await problem(await post(s, JSON.stringify(order()).replace('{', '{"total_amount":1,')), 422);
  assert.deepEqual(pointers(answer), ['/total_amount']);
});

test('404_for_an_unknown_order_and_for_an_unknown_path', async () => {
  await problem(await fetch(`${s.url}/orders/01890000-0000-7000-8000-000000000000`), 404);
  await problem(await fetch(`${s.url}/orders/no-id-at-all`), 404);
  await problem(await fetch(`${s.url}/nothing/here`), 404);
  await problem(await fetch(`${s.url}/static/nothing.js`), 404);
});

test('405_names_what_is_allowed', async () => {
  const answer = await fetch(`${s.url}/orders`, { method: 'DELETE' });
  await problem(answer, 405);
  assert.match(answer.headers.get('allow'), /GET/);
  assert.match(answer.headers.get('allow'), /POST/);
});

test('413_for_a_body_over_64_kib', async () => {
  await problem(await post(s, order({}, { customer_email: 'a'.repeat(70_000) })), 413);
});

test('413_is_said_before_the_body_is_sent', async () => {
  const answer = await raw('POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
    + 'Content-Length: 99999999\r\n\r\n');
  assert.match(answer, /^HTTP\/1\.1 413 /);
});

test('415_for_a_body_of_another_type', async () => {
  await problem(await post(s, order(), { 'Content-Type': 'text/plain' }), 415);
});

test('a_charset_beside_the_type_is_fine', async () => {
  await place(s, order(), { 'Content-Type': 'application/json; charset=utf-8' });
});

test('431_for_headers_without_measure', async () => {
  const answer = await raw(`GET /health HTTP/1.1\r\nHost: localhost\r\nX-Large: ${'a'.repeat(100_000)}\r\n\r\n`);
  assert.match(answer, /^HTTP\/1\.1 431 /);
  assert.match(answer, /application\/problem\+json/i);
});

for (const [name, request] of [
  ['two_lengths', 'POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}'],
  ['a_length_and_chunks',
    'POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a_length_that_is_no_number', 'POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}'],
  ['a_space_before_the_colon', 'GET /health HTTP/1.1\r\nHost : a\r\n\r\n'],
  ['no_host', 'GET /health HTTP/1.1\r\n\r\n'],
]) {
  test(`400_and_close_for_${name}`, async () => {
    assert.match(await raw(request), /^HTTP\/1\.1 400 /);
  });
}

test('a_refused_order_leaves_no_trace', async () => {
  const { accepted } = await getJson(s, '/stats');
  await post(s, order({}, { items: 7 }));
  await post(s, 'no');
  assert.equal((await getJson(s, '/stats')).accepted, accepted);
});

test('health_livez_and_readyz_say_yes', async () => {
  const health = await getJson(s, '/health');
  assert.equal(health.status, 'healthy');
  assert.equal(health.event_bus, 'connected');
  assert.ok(Number.isInteger(health.active_orders));
  assert.equal((await fetch(`${s.url}/livez`)).status, 200);
  assert.equal((await fetch(`${s.url}/readyz`)).status, 200);
});

test('products_are_the_catalogue_of_the_file', async () => {
  const { products } = await getJson(s, '/products');
  assert.deepEqual(products.map((p) => [p.id, p.name, p.price]), [['PROD-001', 'Laptop', 999.99],
    ['PROD-002', 'Mouse', 29.99], ['PROD-003', 'Keyboard', 79.99], ['PROD-004', 'Monitor', 299.99]]);
});

test('the_client_is_served_with_type_and_etag', async () => {
  const page = await fetch(`${s.url}/`);
  assert.equal(page.status, 200);
  assert.match(page.headers.get('content-type'), /^text\/html/);
  assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
  assert.doesNotMatch(page.headers.get('content-security-policy'), /unsafe-inline/);

  const script = await fetch(`${s.url}/static/app.js`);
  assert.match(script.headers.get('content-type'), /javascript/);
  const again = await fetch(`${s.url}/static/app.js`, { headers: { 'If-None-Match': script.headers.get('etag') } });
  assert.equal(again.status, 304);
});

for (const path of ['/static/../meson.build', '/static/%2e%2e/meson.build', '/static/..%2fmeson.build',
  '/static//etc/passwd', '/static/%00', '/static/.git']) {
  test(`nothing_outside_the_folder_is_served_at_${path}`, async () => {
    assert.match(await raw(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`), /^HTTP\/1\.1 40[04] /);
  });
}

test('head_answers_like_get_without_the_body', async () => {
  const answer = await fetch(`${s.url}/products`, { method: 'HEAD' });
  assert.equal(answer.status, 200);
  assert.equal(await answer.text(), '');
});

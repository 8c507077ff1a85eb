/* Pages stay live: over restarts, and without WebSocket. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launchBrowser, openPage } from '../lib/browser.mjs';
import { finished, look, order, place } from '../lib/orders.mjs';
import { send } from '../lib/scripted.mjs';
import { startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

let server, browser;
before(async () => {
  server = await startStageline();
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const connection = /net::ERR_|WebSocket connection/;
const stateOf = (page, word) => page.locator('.live-chip', { hasText: word });

async function track(t, { id }, options) {
  const page = await openPage(t, browser, options);
  await page.goto(`${server.url}/#/orders/${id}`);
  return page;
}

for (const [how, end] of [
  ['a stop', () => server.stop()],
  ['a kill -9', () => server.kill()],
]) {
  test(`the_tracking_page_says_so_and_goes_on_by_itself_after_${how}`, async (t) => {
    const placed = await place(server, order({ 'PROD-001': 1 }));
    const page = await track(t, placed, { allow: connection });
    await stateOf(page, 'Live').waitFor();
    await page.locator('.history-item').first().waitFor();

    await end();
    await stateOf(page, 'Reconnecting').waitFor();
    await page.getByText('the connection was lost').waitFor();
    await server.restart();

    await stateOf(page, 'Live').waitFor();
    await page.getByRole('heading', { level: 1, name: 'Order complete' }).waitFor();
    const { events } = await look(server, placed.id);
    await page.locator('.history-item').nth(events.length - 1).waitFor();
    const seqs = await page
      .locator('.history-item')
      .evaluateAll((items) => items.map(({ dataset }) => Number(dataset.seq)));
    assert.deepEqual(seqs, events.map(({ seq }) => seq).reverse());
  });
}

test('without_WebSocket_the_page_follows_by_server_sent_events', async (t) => {
  const page = await openPage(t, browser);
  await page.addInitScript(() => {
    window.WebSocket = class {
      constructor() {
        setTimeout(() => this.onclose?.(), 0);
      }
      close() {}
    };
  });
  const { id } = await place(server, order({ 'PROD-003': 1 }));
  await page.goto(`${server.url}/#/orders/${id}`);
  await stateOf(page, 'Live').waitFor();
  await page.getByRole('heading', { level: 1, name: 'Order complete' }).waitFor();
});

test('without_WebSocket_and_event_streams_the_page_polls', async (t) => {
  const page = await openPage(t, browser);
  await page.addInitScript(() => {
    window.WebSocket = class {
      constructor() {
        setTimeout(() => this.onclose?.(), 0);
      }
      close() {}
    };
    window.EventSource = class {
      constructor() {
        setTimeout(() => this.onerror?.(), 0);
      }
      close() {}
    };
  });
  const { id } = await place(server, order({ 'PROD-003': 1 }));
  await page.goto(`${server.url}/#/orders/${id}`);
  await stateOf(page, 'Live').waitFor();
  await page.getByRole('heading', { level: 1, name: 'Order complete' }).waitFor();
});

test('a_view_opened_while_the_server_is_down_shows_itself_when_it_is_back', async (t) => {
  const page = await openPage(t, browser, { allow: connection });
  await page.goto(`${server.url}/#/orders`);
  await stateOf(page, 'Live').waitFor();
  await server.stop();

  await page.getByRole('navigation', { name: 'Main' }).getByText('New order').click();
  await page.getByText('The server cannot be reached').waitFor();
  await server.restart();

  await page.getByRole('button', { name: 'Add Laptop' }).waitFor();
});

/* Each list, what it asks for, and what shows that it has come. */
const lists = [
  { hash: '#/orders', path: '/orders', rows: '.orders-list .order-link' },
  { hash: '#/dead-letters', path: '/dead-letters', rows: '.letters-list .order-link, .letters-list .empty' },
  { hash: '#/stock', path: '/state', rows: '.value-key' },
];

for (const { hash, path, rows } of lists) {
  test(`opening_${hash.slice(2)}_asks_for_its_first_page_once`, async (t) => {
    await finished(server, (await place(server, order({ 'PROD-003': 1 }))).id);
    const page = await openPage(t, browser);
    const asked = [];
    page.on('request', (request) => asked.push(new URL(request.url())));
    await page.clock.install();
    await page.goto(`${server.url}/${hash}`);
    await page.locator(rows).first().waitFor();
    await stateOf(page, 'Live').waitFor();

    await page.clock.runFor(3_000); /* whatever is put off for a moment happens */
    await page.evaluate(() => fetch('/livez')); /* and has begun before this is over */
    const pages = asked.filter((url) => url.pathname === path && !url.searchParams.has('group'));
    assert.equal(pages.length, 1, pages.join('\n'));
  });
}

test('what_happens_before_the_connection_is_made_is_not_missed', async (t) => {
  await finished(server, (await place(server, order({ 'PROD-003': 1 }))).id);
  const page = await openPage(t, browser);
  let connect;
  const mayConnect = new Promise((done) => { connect = done; });
  await page.routeWebSocket(/\/ws\/events/, async (socket) => {
    await mayConnect;
    socket.connectToServer();
  });
  await page.goto(`${server.url}/#/orders`);
  await page.locator('.orders-list .order-link').first().waitFor();
  await finished(server, (await place(server, order({ 'PROD-003': 1 }))).id);
  connect();
  await page.getByRole('button', { name: '1 new order – show' }).waitFor();
});

test('a_tab_that_is_shown_while_it_connects_again_connects_once', async (t) => {
  const page = await openPage(t, browser);
  const sockets = [];
  let connect;
  const mayConnect = new Promise((done) => { connect = done; });
  await page.routeWebSocket(/\/ws\/events/, async (socket) => {
    if (sockets.push(socket) > 1)
      await mayConnect;
    socket.connectToServer();
  });
  await page.goto(`${server.url}/#/orders`);
  await stateOf(page, 'Live').waitFor();
  await sockets[0].close();
  await until('it to connect again', () => sockets.length > 1);

  await page.evaluate(() => new Promise((done) => {
    document.dispatchEvent(new Event('visibilitychange'));
    window.dispatchEvent(new Event('online'));
    setTimeout(done); /* after what the page has put off by them */
  }));
  connect();
  await stateOf(page, 'Live').waitFor();
  assert.equal(sockets.length, 2);
});

test('a_page_that_was_behind_and_has_caught_up_says_that_it_is_live', async (t) => {
  const buy = async () => finished(server, (await place(server, order({ 'PROD-003': 1 }))).id);
  await buy();
  const page = await openPage(t, browser);
  const held = [];
  let passOn = (send) => send();
  await page.clock.install();
  await page.routeWebSocket(/\/ws\/events/, (socket) => {
    const daemon = socket.connectToServer();
    daemon.onMessage((message) => passOn(() => socket.send(message)));
  });
  await page.goto(`${server.url}/#/orders`);
  await stateOf(page, 'Live').waitFor();
  await buy();
  await page.getByRole('button', { name: '1 new order – show' }).waitFor();

  passOn = (send) => held.push(send);
  const { events } = await buy();
  await until('its events', () => held.length >= events.length);
  await page.clock.pauseAt(Date.now() + 60_000);
  held.forEach((send) => send());
  await stateOf(page, 'behind').waitFor();
  await page.clock.runFor(5_000);
  await stateOf(page, 'Live').waitFor();
});

test('the_tracking_page_is_never_ahead_of_its_history', async (t) => {
  await send(server, '/pipeline/stages/shipping/pause', { reason: 'until the page is there' });
  const placed = await place(server, order({ 'PROD-003': 1 }));
  const page = await openPage(t, browser);
  let connect, welcomed, answer;
  const mayConnect = new Promise((done) => { connect = done; });
  const isWelcome = new Promise((done) => { welcomed = done; });
  const mayAnswer = new Promise((done) => { answer = done; });
  await page.routeWebSocket(/\/ws\/orders/, async (socket) => {
    await mayConnect;
    const daemon = socket.connectToServer();
    daemon.onMessage((message) => {
      socket.send(message);
      welcomed();
    });
  });
  await page.goto(`${server.url}/#/orders/${placed.id}`);
  await page.locator('.history-item').first().waitFor();
  await page.route(`**/orders/${placed.id}`, async (route) => {
    await mayAnswer;
    await route.continue();
  });
  await send(server, '/pipeline/stages/shipping/resume', { reason: 'the page is there' });
  const { events } = await finished(server, placed.id);
  connect();
  await isWelcome;
  await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); }));
  const shown = await page.evaluate(() => [document.querySelector('h1').textContent, document.querySelector('.history-sentence').textContent]);
  assert.equal(shown.includes('Order complete'), false, shown);

  answer();
  await page.getByRole('heading', { level: 1, name: 'Order complete' }).waitFor();
  assert.equal(await page.locator('.history-item').count(), events.length);
});

test('an_unknown_order_is_told_plainly', async (t) => {
  const page = await track(t, { id: '00000000-0000-7000-8000-000000000000' }, { allow: /404/ });
  await page.getByRole('heading', { name: 'There is no such order' }).waitFor();
});

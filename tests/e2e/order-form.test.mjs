/* Placing an order in the browser. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launchBrowser, openPage } from '../lib/browser.mjs';
import { getJson } from '../lib/orders.mjs';
import { startStageline } from '../lib/stageline.mjs';

let server, browser;
before(async () => {
  server = await startStageline();
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const placeButton = (page) => page.getByRole('button', { name: /Plac(e|ing) order/ });

async function openForm(t, options) {
  const page = await openPage(t, browser, options);
  await page.goto(`${server.url}/`);
  await page.getByRole('button', { name: 'Add Laptop' }).waitFor();
  return page;
}

async function fillBasket(page, { email = 'ada@example.com', products = ['Laptop', 'Mouse'] } = {}) {
  for (const name of products)
    await page.getByRole('button', { name: `Add ${name}` }).click();
  await page.getByLabel('E-mail').fill(email);
}

async function ordersOf(email) {
  return (await getJson(server, `/orders?q=${encodeURIComponent(email)}`)).orders;
}

/* Answers POST /orders in the server's place. */
function answerOrders(page, response) {
  return page.route('**/orders', (route) =>
    route.request().method() === 'POST' ? route.fulfill(response) : route.continue(),
  );
}

test('an_order_with_two_items_completes_live_without_a_reload', async (t) => {
  const page = await openForm(t);
  await fillBasket(page);
  await page.getByRole('button', { name: 'One Mouse more' }).click();
  assert.equal(await page.locator('output').textContent(), '1,059.97');
  let loads = 0;
  page.on('load', () => loads++);
  await placeButton(page).click();

  await page.waitForURL(/#\/orders\/[0-9a-f-]{36}$/);
  await page.getByRole('heading', { level: 1, name: 'Order complete' }).waitFor();

  const history = await page.locator('.history-sentence').allTextContents();
  assert.equal(history.at(0), 'Order complete');
  assert.equal(history.at(-1), 'Order received');
  assert.ok(history.includes('Payment captured'));
  assert.equal(await page.locator('.stage[data-status="done"]').count(), 4);
  assert.match(await page.locator('.items').textContent(), /Laptop.*Mouse.*1,059\.97/s);
  assert.equal(loads, 0);
});

test('a_product_without_stock_fails_visibly_and_the_refund_is_shown', async (t) => {
  const page = await openForm(t);
  await fillBasket(page, { products: ['Monitor'] });
  await placeButton(page).click();

  await page.getByRole('heading', { level: 1, name: 'Order failed' }).waitFor();

  assert.match(await page.locator('.track-reason').textContent(), /Insufficient inventory/);
  const history = await page.locator('.history-sentence').allTextContents();
  assert.ok(history.some((sentence) => sentence.startsWith('Insufficient inventory')), history);
  assert.ok(history.includes('Refunded 299.99'), history);
  await page.locator('.stage[data-status="failed"]', { hasText: 'Inventory' }).waitFor();
  await page.locator('.stage[data-status="undone"]', { hasText: 'Payment' }).waitFor();
});

test('a_double_click_makes_one_order', async (t) => {
  const email = 'double@example.com';
  const page = await openForm(t);
  await fillBasket(page, { email });

  await placeButton(page).dblclick();
  await page.waitForURL(/#\/orders\//);

  assert.equal((await ordersOf(email)).length, 1);
});

test('a_click_after_the_answer_makes_no_other_order', async (t) => {
  const email = 'late@example.com';
  const page = await openPage(t, browser);
  await page.addInitScript(() => { /* when the address has changed and the form is still there */
    addEventListener('hashchange', () => document.querySelector('.order-form')?.requestSubmit());
  });
  await page.goto(`${server.url}/`);
  await fillBasket(page, { email });
  await placeButton(page).click();
  await page.getByRole('heading', { level: 1, name: 'Order complete' }).waitFor();

  assert.equal((await ordersOf(email)).length, 1);
});

test('an_order_whose_answer_was_lost_is_not_placed_twice', async (t) => {
  const email = 'lost@example.com';
  const page = await openForm(t, { allow: /net::ERR_/ });
  await fillBasket(page, { email });
  await page.route('**/orders', async (route) => {
    await route.fetch();
    await route.abort('connectionreset');
  });
  await placeButton(page).click();
  await page.locator('.summary .notice', { hasText: 'not be ordered twice' }).waitFor();
  await page.unroute('**/orders');
  await page.reload();

  await placeButton(page).click();
  await page.waitForURL(/#\/orders\//);

  assert.equal((await ordersOf(email)).length, 1);
});

test('the_next_order_of_the_same_things_is_a_new_order', async (t) => {
  const email = 'again@example.com';
  const page = await openForm(t);
  for (const n of [1, 2]) {
    await page.goto(`${server.url}/#/`);
    await page.getByRole('button', { name: 'Add Keyboard' }).waitFor();
    await fillBasket(page, { email, products: ['Keyboard'] });
    await placeButton(page).click();
    await page.waitForURL(/#\/orders\//);
    assert.equal((await ordersOf(email)).length, n);
  }
});

test('faults_stand_beside_their_fields_and_the_first_one_gets_the_focus', async (t) => {
  const page = await openForm(t);
  await page.getByRole('button', { name: 'Add Laptop' }).click();
  const quantity = page.getByRole('spinbutton', { name: 'Quantity of Laptop' });
  await quantity.fill('1x');
  await page.getByLabel('E-mail').fill('nobody');

  await placeButton(page).click();

  assert.ok(await quantity.evaluate((input) => input === document.activeElement));
  assert.equal(await quantity.getAttribute('aria-invalid'), 'true');
  await page.getByText('2 things to correct').first().waitFor();
  for (const input of [quantity, page.getByLabel('E-mail')]) {
    const ids = (await input.getAttribute('aria-describedby')).split(' ');
    const texts = await Promise.all(ids.map((id) => page.locator(`[id="${id}"]`).textContent()));
    assert.match(texts.join(' '), /whole number|Enter an e-mail/);
  }
  await page.getByLabel('E-mail').fill('ada@example.com');
  assert.equal(await page.getByLabel('E-mail').getAttribute('aria-invalid'), null);
});

test('an_empty_basket_is_not_sent', async (t) => {
  const page = await openForm(t);
  await page.getByLabel('E-mail').fill('ada@example.com');
  await placeButton(page).click();
  await page.locator('#products-error', { hasText: 'Add at least one product' }).waitFor();
  assert.equal(page.url(), `${server.url}/`);
});

test('faults_that_the_server_finds_stand_beside_the_fields_they_point_to', async (t) => {
  const page = await openForm(t, { allow: /422/ });
  await fillBasket(page);
  await answerOrders(page, {
    status: 422,
    contentType: 'application/problem+json',
    body: JSON.stringify({
      type: 'about:blank',
      title: 'Unprocessable Content',
      status: 422,
      detail: 'The order has 2 faults.',
      errors: [
        { pointer: '/items/1/quantity', detail: 'must be at most 10' },
        { pointer: '/customer_email', detail: 'is not of the right shape' },
      ],
    }),
  });

  await placeButton(page).click();

  const mouse = page.locator('.product', { hasText: 'Mouse' });
  await mouse.getByText('must be at most 10').waitFor();
  await page.locator('#customer-email-error', { hasText: 'is not of the right shape' }).waitFor();
  assert.ok(await mouse.getByRole('spinbutton').evaluate((el) => el === document.activeElement));
});

test('a_busy_server_says_when_to_try_again', async (t) => {
  const page = await openForm(t, { allow: /503/ });
  await fillBasket(page);
  await answerOrders(page, {
    status: 503,
    headers: { 'Retry-After': '9' },
    contentType: 'application/problem+json',
    body: JSON.stringify({ title: 'Service Unavailable', status: 503, detail: 'Too many orders.' }),
  });

  await placeButton(page).click();

  const note = page.locator('.summary .notice');
  await note.getByText(/Too many orders\. Try again at \d\d:\d\d:\d\d \(in \d+ s\)\./).waitFor();
  assert.equal(await placeButton(page).getAttribute('aria-busy'), 'false');
});

test('an_order_can_be_placed_with_the_keyboard_alone', async (t) => {
  const page = await openForm(t);
  const tabTo = async (label) => {
    for (let n = 0; n < 30; n++) {
      await page.keyboard.press('Tab');
      const name = await page.evaluate(() => {
        const { activeElement: el } = document;
        return el.getAttribute('aria-label') ?? el.labels?.[0]?.textContent ?? el.textContent;
      });
      if (name.trim() === label)
        return;
    }
    assert.fail(`the Tab key does not reach "${label}"`);
  };

  await tabTo('Skip to content');
  await page.keyboard.press('Enter');
  await tabTo('Add Mouse');
  await page.keyboard.press('Enter');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('ArrowUp');
  await tabTo('E-mail');
  await page.keyboard.type('keys@example.com');
  await tabTo('Place order');
  await page.keyboard.press('Enter');

  await page.getByRole('heading', { level: 1, name: 'Order complete' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1');
  assert.equal((await ordersOf('keys@example.com'))[0].items[0].quantity, 3);
});

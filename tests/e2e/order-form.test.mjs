/* Placing an order in the browser. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launchBrowser, openPage } from '../lib/browser.mjs';
import { startStageline } from '../lib/stageline.mjs';

let server, browser;
before(async () => {
	server = await startStageline();
	browser = await launchBrowser();
});
after(async () => {
	await browser?.close();
	await server?.end();
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
	const { body } = await server.get(`/orders?q=${encodeURIComponent(email)}`);
	return body.orders;
}

/* Answers POST /orders in the server's place. */
function answerOrders(page, response) {
	return page.route('**/orders', (route) =>
		route.request().method() === 'POST' ? route.fulfill(response) : route.continue(),
	);
}

test('an order with two items completes live without a reload', async (t) => {
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

test('a product without stock fails visibly and the refund is shown', async (t) => {
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

test('a double click makes one order', async (t) => {
	const email = 'double@example.com';
	const page = await openForm(t);
	await fillBasket(page, { email });

	await placeButton(page).dblclick();
	await page.waitForURL(/#\/orders\//);

	assert.equal((await ordersOf(email)).length, 1);
});

test('an order whose answer was lost is not placed twice', async (t) => {
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

test('the next order of the same things is a new order', async (t) => {
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

test('faults stand beside their fields and the first one gets the focus', async (t) => {
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

test('an empty basket is not sent', async (t) => {
	const page = await openForm(t);
	await page.getByLabel('E-mail').fill('ada@example.com');
	await placeButton(page).click();
	await page.locator('#products-error', { hasText: 'Add at least one product' }).waitFor();
	assert.equal(page.url(), `${server.url}/`);
});

test('faults that the server finds stand beside the fields they point to', async (t) => {
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
				{ pointer: '/customer_email', detail: 'is not an e-mail address' },
			],
		}),
	});

	await placeButton(page).click();

	const mouse = page.locator('.product', { hasText: 'Mouse' });
	await mouse.getByText('must be at most 10').waitFor();
	await page.locator('#customer-email-error', { hasText: 'is not an e-mail address' }).waitFor();
	assert.ok(await mouse.getByRole('spinbutton').evaluate((el) => el === document.activeElement));
});

test('a busy server says when to try again', async (t) => {
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

test('an order can be placed with the keyboard alone', async (t) => {
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

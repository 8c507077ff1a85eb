/* Pages stay live: over restarts, and without WebSocket. */
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

const connection = /net::ERR_|WebSocket connection/;
const stateOf = (page, word) => page.locator('.live-chip', { hasText: word });

async function track(t, order, options) {
	const page = await openPage(t, browser, options);
	await page.goto(`${server.url}/#/orders/${order.id}`);
	return page;
}

for (const [how, end] of [
	['a stop', () => server.stop()],
	['a kill -9', () => server.kill()],
]) {
	test(`the tracking page says so and goes on by itself after ${how}`, async (t) => {
		const order = await server.order({ 'PROD-001': 1 });
		const page = await track(t, order, { allow: connection });
		await stateOf(page, 'Live').waitFor();
		await page.locator('.history-item').first().waitFor();

		await end();
		await stateOf(page, 'Reconnecting').waitFor();
		await page.getByText('the connection was lost').waitFor();
		await server.start();

		await stateOf(page, 'Live').waitFor();
		await page.getByRole('heading', { level: 1, name: 'Order complete' }).waitFor();
		const seqs = await page
			.locator('.history-item')
			.evaluateAll((items) => items.map(({ dataset }) => Number(dataset.seq)));
		const { events } = (await server.get(`/orders/${order.id}`)).body;
		assert.deepEqual(seqs, events.map(({ seq }) => seq).reverse());
	});
}

test('without WebSocket the page follows by server-sent events', async (t) => {
	const page = await openPage(t, browser);
	await page.addInitScript(() => {
		window.WebSocket = class {
			constructor() {
				setTimeout(() => this.onclose?.(), 0);
			}
			close() {}
		};
	});
	const order = await server.order({ 'PROD-003': 1 });
	await page.goto(`${server.url}/#/orders/${order.id}`);
	await stateOf(page, 'Live').waitFor();
	await page.getByRole('heading', { level: 1, name: 'Order complete' }).waitFor();
});

test('without WebSocket and event streams the page polls', async (t) => {
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
	const order = await server.order({ 'PROD-003': 1 });
	await page.goto(`${server.url}/#/orders/${order.id}`);
	await stateOf(page, 'Live').waitFor();
	await page.getByRole('heading', { level: 1, name: 'Order complete' }).waitFor();
});

test('a view opened while the server is down shows itself when it is back', async (t) => {
	const page = await openPage(t, browser, { allow: connection });
	await page.goto(`${server.url}/#/orders`);
	await stateOf(page, 'Live').waitFor();
	await server.stop();

	await page.getByRole('navigation', { name: 'Main' }).getByText('New order').click();
	await page.getByText('The server cannot be reached').waitFor();
	await server.start();

	await page.getByRole('button', { name: 'Add Laptop' }).waitFor();
});

test('an unknown order is told plainly', async (t) => {
	const page = await track(t, { id: '00000000-0000-7000-8000-000000000000' }, { allow: /404/ });
	await page.getByRole('heading', { name: 'There is no such order' }).waitFor();
});

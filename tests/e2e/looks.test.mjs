/* Each view in light and dark, wide and narrow: no axe violation, nothing wider than the screen, and a
 * picture in shots/ to look at. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertAccessible, launchBrowser, openPage } from '../lib/browser.mjs';
import { finished, order, place } from '../lib/orders.mjs';
import { root, startStageline } from '../lib/stageline.mjs';

const shots = join(root, 'tests/e2e/shots');
const sizes = [
  { width: 1280, height: 860 },
  { width: 360, height: 760 },
  { width: 320, height: 640 },
];

let server, browser, done, failed;
before(async () => {
  await mkdir(shots, { recursive: true });
  server = await startStageline();
  browser = await launchBrowser();
  done = await place(server, order({ 'PROD-001': 1, 'PROD-002': 2 }));
  failed = await place(server, order({ 'PROD-004': 1, 'PROD-003': 1 }));
  await finished(server, done.id);
  await finished(server, failed.id);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/* name, address, what to do and wait for before looking */
const views = [
  ['form', () => '#/', fillForm],
  ['form-faults', () => '#/', spoilForm],
  ['track-done', () => `#/orders/${done.id}`, (page) => page.getByText('Live').waitFor()],
  ['track-failed', () => `#/orders/${failed.id}`, (page) => page.getByText('Live').waitFor()],
  ['track-running', runningOrder, (page) => page.getByText('In progress').first().waitFor()],
  ['track-missing', () => '#/orders/none', (page) => page.getByText('There is no such order').waitFor()],
  ['orders', () => '#/orders', (page) => page.getByText('Failed').last().waitFor()],
  ['orders-nothing', () => '#/orders?q=none', (page) => page.getByText('No order matches').waitFor()],
];

async function fillForm(page) {
  await page.getByRole('button', { name: 'Add Laptop' }).click();
  await page.getByRole('button', { name: 'Add Mouse' }).click();
  await page.getByLabel('E-mail').fill('ada@example.com');
}

async function spoilForm(page) {
  await page.getByRole('button', { name: 'Add Laptop' }).click();
  await page.getByRole('spinbutton').fill('x');
  await page.getByRole('button', { name: 'Place order' }).click();
  await page.getByText('2 things to correct').first().waitFor();
}

async function runningOrder() {
  const { id } = await place(server, order({ 'PROD-001': 1, 'PROD-003': 1 }));
  return `#/orders/${id}`;
}

for (const colorScheme of ['light', 'dark']) {
  for (const [name, address, prepare] of views) {
    for (const viewport of sizes) {
      test(`${name}_${viewport.width}_px_${colorScheme}`, async (t) => {
        const options = { colorScheme, viewport, reducedMotion: 'reduce', allow: /404|400/ };
        const page = await openPage(t, browser, options);
        await page.goto(`${server.url}/${await address()}`);
        await prepare(page);

        const path = join(shots, `${name}-${viewport.width}-${colorScheme}.png`);
        await page.screenshot({ path, fullPage: true });
        const excess = await page.evaluate(
          () => document.documentElement.scrollWidth - window.innerWidth,
        );
        assert.ok(excess <= 0, `${excess} px too wide`);
        await assertAccessible(page, name);
      });
    }
  }
}

test('the_theme_can_be_changed_and_is_remembered', async (t) => {
  const page = await openPage(t, browser, { colorScheme: 'light' });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.goto(`${server.url}/`);
  const light = await ground();

  await page.getByRole('button', { name: 'Use the dark theme' }).click();
  const dark = await ground();
  await page.reload();

  assert.notEqual(dark, light);
  assert.equal(await ground(), dark);
  await page.getByRole('button', { name: 'Use the light theme' }).click();
  assert.equal(await ground(), light);
});

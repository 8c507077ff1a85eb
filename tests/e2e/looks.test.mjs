/* Each view in light and dark, wide and narrow: no axe violation, nothing wider than the screen, and a
 * picture in shots/ to look at. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertLooksRight, launchBrowser, openPage, sizes } from '../lib/browser.mjs';
import { finished, order, place } from '../lib/orders.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { startStageline } from '../lib/stageline.mjs';

let server, slow, browser, done, failed; /* `slow`: an order is under way there however long a page takes */
before(async () => {
  server = await startStageline();
  slow = await startStageline({ pipeline: fastPipeline({ stages: { payment: { timeout: '10m', config: { latency: '5m' } } } }) });
  browser = await launchBrowser();
  done = await place(server, order({ 'PROD-001': 1, 'PROD-002': 2 }));
  failed = await place(server, order({ 'PROD-004': 1, 'PROD-003': 1 }));
  await finished(server, done.id);
  await finished(server, failed.id);
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await slow?.stop();
});

/* name, address, what to do and wait for before looking, whether it moves */
const views = [
  ['form', () => '#/', fillForm],
  ['form-faults', () => '#/', spoilForm],
  ['track-done', () => `#/orders/${done.id}`, (page) => page.getByText('Live').waitFor()],
  ['track-failed', () => `#/orders/${failed.id}`, (page) => page.getByText('Live').waitFor()],
  ['track-running', runningOrder, (page) => page.getByText('In progress').first().waitFor(), true],
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
  const { id } = await place(slow, order({ 'PROD-001': 1, 'PROD-003': 1 }));
  return `#/orders/${id}`;
}

async function look(page, [name, address, prepare, isMoving], viewport, colorScheme) {
  await page.setViewportSize(viewport);
  await page.goto(`${isMoving ? slow.url : server.url}/${await address()}`);
  await prepare(page);
  await assertLooksRight(page, `${name}-${viewport.width}-${colorScheme}`);
}

/* One page is loaded per view and colours, and made narrower; what moves is loaded again for each size. */
for (const colorScheme of ['light', 'dark']) {
  for (const view of views) {
    const [name, , , isMoving] = view;
    test(`${name}_${colorScheme}`, async (t) => {
      const [first, ...others] = sizes;
      const page = await openPage(t, browser, { colorScheme, reducedMotion: 'reduce', allow: /404|400/ });
      await look(page, view, first, colorScheme);
      for (const viewport of others) {
        if (isMoving) {
          await look(page, view, viewport, colorScheme);
          continue;
        }
        await page.setViewportSize(viewport);
        await assertLooksRight(page, `${name}-${viewport.width}-${colorScheme}`);
      }
    });
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

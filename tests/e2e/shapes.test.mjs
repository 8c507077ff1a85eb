/* Pipelines and orders of unusual shape: branches, many items, long and right-to-left texts, big totals. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertLooksRight, launchBrowser, openPage, sizes } from '../lib/browser.mjs';
import { order, place } from '../lib/orders.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { startStageline } from '../lib/stageline.mjs';

const slow = { timeout: '10m', config: { latency: '5m' } }; /* under way however long a page takes */
const odd = [
  { id: 'PROD-LONG', name: 'Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz '.repeat(2), price: 1 },
  { id: 'PROD-RTL', name: 'מקלדת אלחוטית (שחור)', price: 129.5 },
  { id: 'PROD-YACHT', name: '游艇 ⛵ with <b>everything</b>', price: 9999999.99 },
];

let parallel, plain, choosy, browser;
before(async () => {
  parallel = await startStageline({
    pipeline: fastPipeline({
      stages: {
        payment: { after: ['validation'] },
        inventory: { after: ['validation'], ...slow },
        shipping: { after: ['payment', 'inventory'] },
      },
    }),
  });
  plain = await startStageline({ pipeline: fastPipeline({ products: odd, stages: { inventory: slow } }) });
  choosy = await startStageline({
    pipeline: fastPipeline({
      stages: { inventory: { when: { field: 'total_amount', above: 5000 } }, shipping: slow },
    }),
  });
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  await parallel?.stop();
  await plain?.stop();
  await choosy?.stop();
});

function oddOrder() {
  const items = [
    ...odd.map(({ id, name, price }) => ({ product_id: id, name, quantity: 9999, price })),
    ...Array.from({ length: 47 }, (_, n) => ({ product_id: 'PROD-002', name: `Mouse ${n}`, quantity: n + 1, price: 29.99 })),
  ];
  const cents = items.reduce((sum, { quantity, price }) => sum + quantity * Math.round(price * 100), 0);
  return order({}, {
    items,
    total_amount: cents / 100,
    customer_email: `${'a.very.long.name.'.repeat(9)}@${'subdomain.'.repeat(6)}example.com`,
  });
}

const views = {
  async parallel(page) {
    const { id } = await place(parallel, order({ 'PROD-001': 1 }));
    await page.goto(`${parallel.url}/#/orders/${id}`);
    await page.locator('.stage[data-status="done"]', { hasText: 'Payment' }).waitFor();
    await page.locator('.stage[aria-current]', { hasText: 'Inventory' }).waitFor();
  },
  async skipped(page) {
    const { id } = await place(choosy, order({ 'PROD-001': 1 }));
    await page.goto(`${choosy.url}/#/orders/${id}`);
    await page.locator('.stage[aria-current]', { hasText: 'Shipping' }).waitFor();
  },
  async 'odd-order'(page) {
    const { id } = await place(plain, oddOrder());
    await page.goto(`${plain.url}/#/orders/${id}`);
    await page.locator('.items tbody tr').nth(49).waitFor();
  },
  async 'odd-list'(page) {
    await place(plain, oddOrder());
    await page.goto(`${plain.url}/#/orders`);
    await page.locator('.order-link').first().waitFor();
  },
  async 'odd-form'(page) {
    await page.goto(`${plain.url}/`);
    for (const n of [4, 5, 6]) {
      await page.locator('.product').nth(n).getByRole('button', { name: /^Add/ }).click();
      await page.keyboard.type('9999');
    }
    await page.getByText('9,999').first().waitFor();
  },
};

for (const [name, prepare] of Object.entries(views)) {
  for (const colorScheme of ['light', 'dark']) {
    test(`${name}_looks_right_${colorScheme}`, async (t) => {
      const page = await openPage(t, browser, { colorScheme, reducedMotion: 'reduce' });
      await prepare(page);
      for (const viewport of sizes) {
        await page.setViewportSize(viewport);
        await assertLooksRight(page, `${name}-${viewport.width}-${colorScheme}`);
      }
    });
  }
}

test('branches_run_side_by_side_and_the_join_waits_for_both', async (t) => {
  const page = await openPage(t, browser);
  await views.parallel(page);
  const at = (name) => page.locator('.stage', { hasText: name }).boundingBox();
  const [payment, inventory, shipping] = await Promise.all(['Payment', 'Inventory', 'Shipping'].map(at));
  assert.equal(payment.x, inventory.x);
  assert.ok(payment.y < inventory.y);
  assert.ok(shipping.x > payment.x);
  assert.equal(await page.locator('.progress-line').count(), 4);
  assert.equal(await page.locator('.stage[data-status="idle"]').textContent(), 'ShippingNot started');
});

test('a_stage_that_an_order_does_not_need_is_told_as_skipped', async (t) => {
  const page = await openPage(t, browser);
  await views.skipped(page);
  await page.locator('.stage[data-status="skipped"]', { hasText: 'InventorySkipped' }).waitFor();
  const history = await page.locator('.history-sentence').allTextContents();
  assert.match(history[0], /^Inventory was skipped: .*total_amount/);
});

/* The list of orders: search, tabs, the address bar, and rows that change in place. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { holdAnswers, launchBrowser, openPage } from '../lib/browser.mjs';
import { finished, order, place } from '../lib/orders.mjs';
import { startStageline } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

let server, browser, done, failed;
before(async () => {
  server = await startStageline();
  browser = await launchBrowser();
  done = await buy({ 'PROD-001': 1, 'PROD-002': 2 }, 'ada@example.com');
  failed = await buy({ 'PROD-004': 1 }, 'grace@example.com');
  await finished(server, done.id);
  await finished(server, failed.id);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const buy = (basket, customer_email) => place(server, order(basket, { customer_email }));
const rowOf = (page, { id }) => page.locator(`tr:has(a[href="#/orders/${id}"])`);
const shown = (page) =>
  page.locator('.order-link').evaluateAll((links) => links.map(({ title }) => title));
const tab = (page, label) =>
  page.getByRole('navigation', { name: 'Status' }).getByRole('link', { name: label });

async function openList(t, query = '') {
  const page = await openPage(t, browser);
  await page.goto(`${server.url}/#/orders${query}`);
  await page.locator('.live-chip', { hasText: 'Live' }).waitFor();
  await page.locator('.orders-list:not([aria-busy])').waitFor();
  return page;
}

test('tabs_filter_count_and_stand_in_the_address', async (t) => {
  const page = await openList(t);
  assert.match(await tab(page, 'Failed').textContent(), /^Failed 1$/);

  await tab(page, 'Failed').click();
  await rowOf(page, done).waitFor({ state: 'detached' });

  assert.equal(new URL(page.url()).hash, '#/orders?status=failed');
  assert.deepEqual(await shown(page), [failed.id]);
  assert.equal(await tab(page, 'Failed').getAttribute('aria-current'), 'true');
  await page.goBack();
  await rowOf(page, done).waitFor();
});

for (const [what, text] of [
  ['e-mail', () => 'ada@example.com'],
  ['id', () => done.id],
  ['product', () => 'PROD-002'],
]) {
  test(`search_finds_by_${what}_and_survives_a_reload`, async (t) => {
    const page = await openList(t);
    await page.getByRole('searchbox').fill(text());
    await rowOf(page, failed).waitFor({ state: 'detached' });
    assert.deepEqual(await shown(page), [done.id]);

    await page.reload();
    await rowOf(page, done).waitFor();

    assert.equal(await page.getByRole('searchbox').inputValue(), text());
    assert.deepEqual(await shown(page), [done.id]);
  });
}

test('a_search_without_a_match_says_so', async (t) => {
  const page = await openList(t, '?q=nobody%40example.com');
  await page.getByRole('heading', { name: 'No order matches' }).waitFor();
});

test('a_row_leads_to_its_order', async (t) => {
  const page = await openList(t);
  await rowOf(page, failed).click();
  await page.getByRole('heading', { level: 1, name: 'Order failed' }).waitFor();
});

test('a_row_changes_in_place_and_a_new_order_waits_to_be_asked_for', async (t) => {
  const first = await buy({ 'PROD-003': 1 }, 'live@example.com');
  const page = await openList(t);
  await rowOf(page, first).waitFor();
  const before = await shown(page);

  const second = await buy({ 'PROD-003': 1 }, 'new@example.com');
  await page.getByRole('button', { name: '1 new order – show' }).waitFor();
  await rowOf(page, first).getByText('Completed').waitFor();
  assert.deepEqual(await shown(page), before);

  await page.getByRole('button', { name: '1 new order – show' }).click();
  await rowOf(page, second).waitFor();
  assert.deepEqual(await shown(page), [second.id, ...before]);
});

test('more_orders_than_a_page_are_loaded_on_request', async (t) => {
  const email = 'many@example.com';
  for (let n = 0; n < 60; n++)
    await buy({ 'PROD-002': 1 }, email);
  const page = await openList(t, `?q=${encodeURIComponent(email)}`);
  assert.equal((await shown(page)).length, 50);

  await page.getByRole('button', { name: 'Load more' }).click();
  await page.getByRole('button', { name: 'Load more' }).waitFor({ state: 'hidden' });

  const ids = await shown(page);
  assert.equal(new Set(ids).size, 60);
  assert.deepEqual(ids, [...ids].sort().reverse());
});

test('a_page_that_comes_after_the_search_was_changed_is_not_added_to_it', async (t) => {
  const email = 'more@example.com';
  await Promise.all(Array.from({ length: 55 }, () => buy({ 'PROD-002': 1 }, email)));
  const page = await openList(t, `?q=${encodeURIComponent(email)}`);
  const late = await holdAnswers(page, /cursor=/);
  await page.getByRole('button', { name: 'Load more' }).click();
  await late.asked;
  await page.getByRole('searchbox').fill('ada@example.com');
  await until('those that are searched for', async () => (await shown(page)).length === 1);
  await late.release();
  assert.deepEqual(await shown(page), [done.id]);
});

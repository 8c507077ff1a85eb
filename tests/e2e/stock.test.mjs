/* Stock and state in the client: values live, what changed one, and changing it with a reason. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertLooksRight, holdAnswers, launchBrowser, openPage, sizes } from '../lib/browser.mjs';
import { finished, order, place, state } from '../lib/orders.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { send } from '../lib/scripted.mjs';
import { startStageline } from '../lib/stageline.mjs';

let s, browser;
before(async () => {
  s = await startStageline({ pipeline: fastPipeline() });
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  await s?.stop();
});

const row = (page, key) => page.locator(`tr[data-key="${key}"]`);
const history = (page) => page.locator('.value-changes tbody tr').evaluateAll((all) => all.map((tr) => [...tr.children].slice(0, 2).map((cell) => cell.textContent)));

async function open(t, query = '', options) {
  const page = await openPage(t, browser, options);
  await page.goto(`${s.url}/#/stock${query}`);
  await row(page, 'stock/PROD-001').waitFor();
  await page.locator('.live-chip[data-state="live"]').waitFor();
  return page;
}

test('values_move_by_themselves_and_what_changed_one_is_told', async (t) => {
  const page = await open(t);
  await row(page, 'stock/PROD-004').getByText('Sold out').waitFor();
  const { id } = await place(s, order({ 'PROD-001': 3 }));
  await finished(s, id);
  await row(page, 'stock/PROD-001').locator('.value-text', { hasText: /^97$/ }).waitFor();
  await row(page, 'stock/PROD-001').getByRole('link').click();
  await page.waitForURL(/key=stock%2FPROD-001/);
  const panel = page.getByRole('region', { name: 'stock/PROD-001' });
  await panel.getByRole('link', { name: id.slice(-8) }).waitFor();
  assert.deepEqual(await history(page), [['−3', '97'], ['set', '100']]);
  await place(s, order({ 'PROD-001': 7 }));
  await panel.locator('.value-now', { hasText: /^90$/ }).waitFor();
  await panel.locator('.change-delta', { hasText: '−7' }).waitFor();
});

test('a_restock_says_what_it_becomes_and_why_and_is_journaled', async (t) => {
  const page = await open(t, '?key=stock/PROD-003');
  await row(page, 'stock/PROD-003').getByRole('button').click();
  const dialog = page.getByRole('dialog', { name: 'Adjust stock/PROD-003' });
  await dialog.getByLabel('Amount').fill('-26');
  await dialog.getByText('Only 25 are there.').waitFor();
  await dialog.getByLabel('Reason').fill('Delivery <4711>');
  await page.keyboard.press('Enter');
  await dialog.locator('.field-error', { hasText: 'Only 25 are there' }).waitFor();
  await dialog.getByLabel('Amount').fill('40');
  await dialog.getByText('25 becomes 65.').waitFor();
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  await row(page, 'stock/PROD-003').locator('.value-text', { hasText: /^65$/ }).waitFor();
  await page.locator('.value-changes tbody tr', { hasText: 'Delivery <4711>' }).waitFor();
  assert.deepEqual(await history(page), [['+40', '65'], ['set', '25']]);
  assert.equal((await state(s, 'stock/'))['stock/PROD-003'], 65);
});

test('a_value_is_made_set_and_deleted_and_a_refusal_stays_in_the_dialog', async (t) => {
  const page = await open(t, '', { allow: /409/ });
  await page.getByRole('button', { name: 'New value' }).click();
  let dialog = page.getByRole('dialog', { name: 'New value' });
  await dialog.getByLabel('Reason').fill('First note');
  await page.keyboard.press('Enter');
  await dialog.getByText('Give the key').waitFor();
  await dialog.getByLabel('Key').fill('notes/today');
  await dialog.getByLabel('Value').fill('{"open": [1, "zwölf"]}');
  await dialog.getByRole('button', { name: 'Create' }).click();
  await dialog.waitFor({ state: 'detached' });
  await row(page, 'notes/today').getByText('{"open":[1,"zwölf"]}').waitFor();

  await row(page, 'stock/PROD-002').getByRole('button').click();
  dialog = page.getByRole('dialog', { name: 'Adjust stock/PROD-002' });
  await dialog.getByLabel('Amount').fill('-50');
  await send(s, '/state/adjust', { key: 'stock/PROD-002', delta: -1, reason: 'broken' });
  await dialog.getByLabel('Reason').fill('All gone');
  await page.keyboard.press('Enter');
  await dialog.locator('.notice').waitFor();
  await page.keyboard.press('Escape');
  await row(page, 'stock/PROD-002').locator('.value-text', { hasText: /^49$/ }).waitFor();

  await row(page, 'notes/today').getByRole('button').click();
  dialog = page.getByRole('dialog', { name: 'Adjust notes/today' });
  await dialog.getByLabel('Delete').check();
  await dialog.getByLabel('Reason').fill('Over');
  await dialog.getByRole('button', { name: 'Adjust' }).click();
  await row(page, 'notes/today').waitFor({ state: 'detached' });
});

test('keys_are_found_by_their_start_and_more_come_page_by_page', async (t) => {
  await Promise.all(Array.from({ length: 120 }, (_, i) => send(s, '/state/adjust', { key: `many/${String(i).padStart(3, '0')}`, value: i, reason: 'test' })));
  const page = await openPage(t, browser);
  await page.goto(`${s.url}/#/stock?prefix=many/`);
  await row(page, 'many/099').waitFor();
  assert.equal(await row(page, 'many/100').count(), 0);
  await page.getByRole('button', { name: 'Load more' }).click();
  await row(page, 'many/119').waitFor();
  await page.getByLabel('Keys that start with').fill('many/11');
  await row(page, 'many/099').waitFor({ state: 'detached' });
  await row(page, 'many/119').waitFor();
  await page.waitForURL(/prefix=many%2F11/);
  await page.getByLabel('Keys that start with').fill('nothing');
  await page.getByText('No key starts like that').waitFor();
});

test('a_page_that_comes_after_the_prefix_was_changed_is_not_added_to_it', async (t) => {
  await Promise.all(Array.from({ length: 105 }, (_, i) => send(s, '/state/adjust', { key: `more/${String(i).padStart(3, '0')}`, value: i, reason: 'test' })));
  const page = await openPage(t, browser);
  await page.goto(`${s.url}/#/stock?prefix=more/`);
  const late = await holdAnswers(page, /after=more/);
  await page.getByRole('button', { name: 'Load more' }).click();
  await late.asked;
  await page.getByLabel('Keys that start with').fill('more/00');
  await row(page, 'more/010').waitFor({ state: 'detached' });
  await row(page, 'more/009').waitFor();
  await late.release();
  assert.equal(await row(page, 'more/104').count(), 0);
});

test('it_looks_right', async (t) => {
  const page = await open(t, '?prefix=stock/&key=stock/PROD-001', { reducedMotion: 'reduce' });
  await page.locator('.value-changes').waitFor();
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const viewport of colorScheme === 'light' ? sizes : sizes.slice(0, 2)) {
      await page.setViewportSize(viewport);
      await assertLooksRight(page, `stock-${viewport.width}-${colorScheme}`);
    }
    await row(page, 'stock/PROD-003').getByRole('button').click();
    await assertLooksRight(page, `stock-adjust-360-${colorScheme}`, {});
    await page.keyboard.press('Escape');
  }
});

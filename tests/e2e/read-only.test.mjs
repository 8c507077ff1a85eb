/* A journal that is only looked at says so on every page, and why nothing can be placed. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertLooksRight, launchBrowser, openPage, sizes } from '../lib/browser.mjs';
import { run, trade } from '../lib/history.mjs';
import { journalFile } from '../lib/oracle.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { startStageline, temporaryFolder } from '../lib/stageline.mjs';

let s, browser, ids;
before(async () => {
  const live = await startStageline({ pipeline: fastPipeline() });
  const file = join(temporaryFolder(), 'past.sqlite');
  ids = await trade(live, 4);
  await live.stop();
  assert.equal((await run('replay', '--journal', journalFile(live), '--until', '20', file)).code, 0);
  s = await startStageline({ flags: ['--read-only', '--journal', file] });
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  await s?.stop();
});

const note = (page) => page.getByText('Read-only: the journal up to event 20. Nothing can be changed here.');

test('every_page_says_that_it_is_read_only', async (t) => {
  const page = await openPage(t, browser);
  for (const path of ['/', '/#/orders', `/#/orders/${ids[0]}`]) {
    await page.goto(`${s.url}${path}`);
    await note(page).waitFor();
  }
});

test('an_order_that_is_placed_all_the_same_is_answered_with_the_reason', async (t) => {
  const page = await openPage(t, browser, { allow: /403/ });
  await page.goto(s.url);
  await page.getByLabel('E-mail').fill('ann@example.com');
  await page.getByRole('button', { name: /^Add .*Laptop/ }).first().click();
  await page.getByRole('button', { name: 'Place order' }).click();
  await page.getByText('This is a read-only view of a journal: nothing can be changed here.').first().waitFor();
});

test('the_operators_pages_show_how_it_stood_and_refuse_with_the_reason', async (t) => {
  const page = await openPage(t, browser, { allow: /403/ });
  await page.goto(`${s.url}/#/pipeline`);
  await page.locator('.stage-card').nth(3).waitFor();
  await page.goto(`${s.url}/#/dead-letters`);
  await page.getByRole('heading', { name: 'No dead letters' }).waitFor();
  await page.goto(`${s.url}/#/system`);
  await page.locator('.chain-head', { hasText: /^20:[0-9a-f]{64}$/ }).waitFor();
  await page.goto(`${s.url}/#/stock`);
  await page.getByRole('button', { name: 'Adjust stock/PROD-001' }).click();
  await page.getByLabel('Amount').fill('1');
  await page.getByLabel('Reason').fill('To try it');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').getByText('This is a read-only view of a journal: nothing can be changed here.').waitFor();
});

for (const colorScheme of ['light', 'dark'])
  test(`it_looks_right_${colorScheme}`, async (t) => {
    const page = await openPage(t, browser, { colorScheme, reducedMotion: 'reduce' });
    await page.goto(`${s.url}/#/orders`);
    await note(page).waitFor();
    await page.locator('.order-link').first().waitFor();
    for (const viewport of sizes) {
      await page.setViewportSize(viewport);
      await assertLooksRight(page, `read-only-${colorScheme}-${viewport.width}`);
    }
  });

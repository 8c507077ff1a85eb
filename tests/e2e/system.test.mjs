/* The daemon itself in the client: figures and charts, the head of the chain, generations that orders are still on. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { assertLooksRight, launchBrowser, openPage, sizes } from '../lib/browser.mjs';
import { finished, getJson } from '../lib/orders.mjs';
import { onHold, placeScripted, send, startScripted } from '../lib/scripted.mjs';

let s, browser, held;
before(async () => {
  s = await startScripted({ first: {}, second: {} });
  browser = await launchBrowser();
  await finished(s, await placeScripted(s));
  held = await placeScripted(s, { second: 'rrrd' });
  await onHold(s, held);
});
after(async () => {
  await browser?.close();
  await s?.stop();
});

async function open(t, options) {
  const page = await openPage(t, browser, options);
  await page.goto(`${s.url}/#/system`);
  await page.locator('.live-chip[data-state="live"]').waitFor();
  return page;
}

const figure = (page, name) => page.locator('.figure', { has: page.getByText(name, { exact: true }) }).locator('.figure-value');

test('figures_charts_and_the_head_of_the_chain_are_those_of_the_daemon', async (t) => {
  const page = await open(t);
  const { journal, version } = await getJson(s, '/system');
  await page.locator('.chain-head', { hasText: journal.head }).waitFor();
  await page.locator('.lead', { hasText: `Stageline ${version}, process ${s.pid}` }).waitFor();
  assert.match(await figure(page, 'Commit').textContent(), /^[\d.]+ (µs|ms)$/);
  assert.match(await figure(page, 'Memory').textContent(), /MiB$/);
  assert.match(await page.locator('canvas').first().getAttribute('aria-label'), /^Commit time, p50 and p99, now [\d.]+ /);
  await finished(s, await placeScripted(s));
  const { journal: later } = await getJson(s, '/system');
  assert.notEqual(later.head, journal.head);
  await page.locator('.chain-head', { hasText: later.head }).waitFor();
});

test('a_new_generation_shows_who_is_still_on_the_old_one_and_why_and_moves_them', async (t) => {
  const page = await open(t);
  await page.getByText('Current: new orders begin on it.').waitFor();
  writeFileSync(s.pipeline, `${readFileSync(s.pipeline, 'utf8')}\n# changed\n`);
  assert.equal((await send(s, '/pipeline/reload', {})).status, 200);
  const old = page.locator('.generation', { hasText: 'Earlier' });
  await old.getByText('1 order not ended').waitFor();
  await old.locator('li', { hasText: '1 held at Second: not now' }).waitFor();
  await old.getByRole('link', { name: held.slice(-8) }).waitFor();
  for (const [colorScheme, ...widths] of [['light', ...sizes], ['dark', ...sizes.slice(0, 2)]]) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const viewport of widths) {
      await page.setViewportSize(viewport);
      await assertLooksRight(page, `system-${viewport.width}-${colorScheme}`);
    }
  }
  await old.getByRole('button', { name: 'Move to current' }).click();
  const dialog = page.getByRole('dialog', { name: 'Move 1 order to the current generation?' });
  await dialog.getByLabel('Reason').fill('Same stages');
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  await old.waitFor({ state: 'detached' });
  await page.locator('.generation', { hasText: 'Current' }).getByText('1 order not ended').waitFor();
});

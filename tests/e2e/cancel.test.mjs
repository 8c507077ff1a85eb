/* Cancelling an order on its tracking page. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertLooksRight, launchBrowser, openPage, sizes } from '../lib/browser.mjs';
import { finished, look, order, place } from '../lib/orders.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { placeScripted, retry, send, stageIs, startScripted } from '../lib/scripted.mjs';
import { startStageline } from '../lib/stageline.mjs';

/* `patient` goes on when the test says so; `stuck` keeps an order open until somebody cancels it. */
let patient, stuck, browser;
before(async () => {
  patient = await startScripted({ payment: {}, shipping: { timeout: '2s', retry: { ...retry, attempts: 100 } } });
  stuck = await startStageline({
    pipeline: fastPipeline({
      stages: { shipping: { retry: { attempts: 1 }, undo_event: undefined, irreversible: true, config: { failure_rate: 1 } } },
    }),
  });
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  await patient?.stop();
  await stuck?.stop();
});

const opener = (page) => page.locator('.track-actions > button');
const dialogOf = (page) => page.getByRole('dialog', { name: 'Cancel this order?' });
const reasonOf = (page) => page.getByLabel('Reason');
const sendOf = (page) => dialogOf(page).getByRole('button', { name: 'Cancel order' });
const hasFocus = (locator) => locator.evaluate((element) => element === document.activeElement);

async function track(t, server, id, options) {
  const page = await openPage(t, browser, options);
  await page.goto(`${server.url}/#/orders/${id}`);
  await page.locator('.stage[aria-current]', { hasText: 'Shipping' }).waitFor();
  return page;
}

const heldOrder = async (t, options) => {
  const { id } = await place(stuck, order({ 'PROD-001': 1, 'PROD-002': 2 }));
  const page = await track(t, stuck, id, options);
  await page.getByRole('heading', { level: 1, name: 'Order on hold' }).waitFor();
  return { page, id };
};

test('an_order_is_cancelled_with_the_keyboard_and_what_was_done_is_undone', async (t) => {
  const { page, id } = await heldOrder(t);
  await opener(page).focus();
  await page.keyboard.press('Enter');
  assert.ok(await hasFocus(reasonOf(page)));
  await page.getByText('what was done is undone: payment and inventory.').waitFor();
  await page.keyboard.type('Ordered <b>by mistake</b>');
  await page.keyboard.press('Enter');

  await page.getByRole('heading', { level: 1, name: 'Order cancelled' }).waitFor();
  await dialogOf(page).waitFor({ state: 'hidden' });
  assert.ok(await opener(page).isHidden());
  await page.locator('h1:focus').waitFor();
  assert.match(await page.locator('#announcer').textContent(), /cancelled|undone|put back|Refunded/i);
  const history = await page.locator('.history-sentence').allTextContents();
  assert.equal(history[0], 'Order cancelled');
  assert.ok(history.includes('Cancelling was asked for: Ordered <b>by mistake</b>'), history);
  assert.ok(history.includes('Refunded 1,059.97'), history);
  assert.match(await page.locator('.track-reason').innerText(), /^Cancelled: Ordered <b>by mistake/);
  assert.equal((await look(stuck, id)).order.status, 'cancelled');
});

test('an_order_under_way_can_be_cancelled_too', async (t) => {
  const id = await placeScripted(patient, { shipping: '-', 'undo payment': 'w' });
  const page = await track(t, patient, id);
  await opener(page).click();
  await reasonOf(page).fill('Too slow');
  await sendOf(page).click();
  await page.getByRole('heading', { level: 1, name: 'Cancelling the order' }).waitFor();
  await stageIs(patient, id, 'payment', 'waiting');
  await send(patient, `/orders/${id}/signals/payment`, {});
  assert.equal((await finished(patient, id)).order.status, 'cancelled');
  await page.getByRole('heading', { level: 1, name: 'Order cancelled' }).waitFor();
});

test('without_a_reason_nothing_is_sent_and_the_field_says_so', async (t) => {
  const { page, id } = await heldOrder(t);
  await opener(page).click();
  await reasonOf(page).fill('  ');
  await sendOf(page).click();
  await page.locator('#cancel-error', { hasText: 'Say in a few words why' }).waitFor();
  assert.ok(await hasFocus(reasonOf(page)));
  assert.equal(await reasonOf(page).getAttribute('aria-invalid'), 'true');
  await reasonOf(page).fill('\u{1f4e6}'.repeat(126));
  await sendOf(page).click();
  await page.locator('#cancel-error', { hasText: 'Say it more shortly' }).waitFor();
  assert.equal((await look(stuck, id)).order.status, 'on_hold');
});

test('keeping_the_order_returns_the_focus', async (t) => {
  const { page, id } = await heldOrder(t);
  for (const leave of [
    () => page.keyboard.press('Escape'),
    () => page.getByRole('button', { name: 'Keep order' }).click(),
  ]) {
    await opener(page).click();
    await leave();
    await dialogOf(page).waitFor({ state: 'hidden' });
    assert.ok(await hasFocus(opener(page)));
  }
  assert.equal((await look(stuck, id)).order.status, 'on_hold');
});

test('an_order_that_completes_under_the_dialog_is_told_in_it', async (t) => {
  const id = await placeScripted(patient, { shipping: 'w' });
  const page = await track(t, patient, id);
  await opener(page).click();
  await stageIs(patient, id, 'shipping', 'waiting');
  await send(patient, `/orders/${id}/signals/shipping`, {});
  await dialogOf(page).getByText('It is too late to cancel: the order is completed.').waitFor();
  assert.ok(await hasFocus(page.getByRole('button', { name: 'Close' })));
  await page.keyboard.press('Enter');
  await dialogOf(page).waitFor({ state: 'hidden' });
  await page.locator('h1:focus', { hasText: 'Order complete' }).waitFor();
});

test('a_server_that_refuses_or_is_silent_is_told_in_the_dialog', async (t) => {
  const { page } = await heldOrder(t, { allow: /409|net::ERR_/ });
  await opener(page).click();
  await reasonOf(page).fill('Changed my mind');
  await page.route('**/cancel', (route) => route.abort('connectionreset'));
  await sendOf(page).click();
  await dialogOf(page).getByText('The server did not answer.').waitFor();
  await page.unroute('**/cancel');

  await page.route('**/cancel', (route) =>
    route.fulfill({
      status: 409,
      contentType: 'application/problem+json',
      body: JSON.stringify({ title: 'Conflict', status: 409, detail: 'the order has failed' }),
    }),
  );
  await sendOf(page).click();
  await dialogOf(page).getByText('It is too late to cancel: the order has failed.').waitFor();
});

for (const colorScheme of ['light', 'dark']) {
  test(`the_dialog_and_the_cancelled_order_look_right_${colorScheme}`, async (t) => {
    const { page } = await heldOrder(t, { colorScheme, reducedMotion: 'reduce' });
    await opener(page).click();
    await sendOf(page).click();
    for (const viewport of sizes) {
      await page.setViewportSize(viewport);
      await assertLooksRight(page, `cancel-${viewport.width}-${colorScheme}`, {});
    }
    await reasonOf(page).fill('Ordered by mistake');
    await sendOf(page).click();
    await page.getByRole('heading', { level: 1, name: 'Order cancelled' }).waitFor();
    for (const viewport of sizes) {
      await page.setViewportSize(viewport);
      await assertLooksRight(page, `track-cancelled-${viewport.width}-${colorScheme}`);
    }
  });
}

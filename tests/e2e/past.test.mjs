/* An order event by event: the slider, the link, the differences; and what is shown of an erased order. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertLooksRight, launchBrowser, openPage, sizes } from '../lib/browser.mjs';
import { finished, order, place } from '../lib/orders.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { send } from '../lib/scripted.mjs';
import { startStageline } from '../lib/stageline.mjs';

let s, browser, id, events;
before(async () => {
  s = await startStageline({
    pipeline: fastPipeline({ latency: '20ms', stages: { inventory: { retry: { attempts: 3, backoff: '60ms' } } } }),
  });
  browser = await launchBrowser();
  ({ id } = await place(s, order({ 'PROD-001': 1, 'PROD-004': 1 }))); // there is no PROD-004: it fails and is undone
  ({ events } = await finished(s, id));
});
after(async () => {
  await browser?.close();
  await s?.stop();
});

const handle = (page) => page.getByRole('slider', { name: 'Moment' });
const other = (page) => page.getByRole('slider', { name: 'Compared with' });
const says = (page, text) => page.locator('.past-when', { hasText: text }).waitFor();
const linkOf = (page) => page.evaluate(() => location.hash);
const differences = (page) => page.locator('.changes tbody tr').evaluateAll((rows) => rows.map((row) =>
  [...row.children].map((cell) => cell.textContent)));
const nth = (n) => `After event ${n} of ${events.length}`;

async function open(t, query = '', options) {
  const page = await openPage(t, browser, options);
  await page.goto(`${s.url}/#/orders/${id}/events${query}`);
  await page.locator('.changes, .changes-none').waitFor();
  return page;
}

test('it_is_one_link_away_from_the_order_and_back', async (t) => {
  const page = await openPage(t, browser);
  await page.goto(`${s.url}/#/orders/${id}`);
  await page.getByRole('link', { name: 'Event by event' }).click();
  await page.getByRole('heading', { level: 1, name: 'Event by event' }).waitFor();
  await says(page, nth(events.length));
  await page.getByRole('link', { name: id }).click();
  await page.getByRole('heading', { level: 1, name: 'Order failed' }).waitFor();
});

test('arrow_keys_move_and_the_link_carries_the_moment', async (t) => {
  const page = await open(t);
  await page.getByRole('heading', { level: 1 }).focus();
  await page.keyboard.press('ArrowLeft');
  await says(page, nth(events.length - 1));
  assert.equal(await linkOf(page), `#/orders/${id}/events?at=${events.at(-2).seq}`);
  await page.keyboard.press('ArrowLeft');
  await says(page, nth(events.length - 2));
  await page.keyboard.press('ArrowRight');
  await says(page, nth(events.length - 1));

  await handle(page).focus();
  await page.keyboard.press('Home');
  await says(page, nth(1));
  assert.match(await handle(page).getAttribute('aria-valuetext'), /^After event 1 of \d: Order received/);
  await page.locator('.past-state .pill', { hasText: 'Checking' }).waitFor();
  await page.keyboard.press('End');
  await says(page, nth(events.length));
  await page.locator('.past-state .pill', { hasText: 'Failed' }).waitFor();
  await page.locator('#announcer', { hasText: `${nth(events.length)}: Order failed` }).waitFor();
});

test('a_link_opens_at_its_moment', async (t) => {
  const paid = events.findIndex((e) => e.event_type === 'payment_processed');
  const page = await open(t, `?at=${events[paid].seq}`);
  await says(page, nth(paid + 1));
  await page.locator('.past-state .pill', { hasText: 'Reserving stock' }).waitFor();
  const rows = await differences(page);
  assert.deepEqual(rows.find(([what]) => what === 'Payment'), ['Payment', 'In progress', 'Done']);
  assert.deepEqual(rows.find(([what]) => what === 'Status'), ['Status', 'Taking payment', 'Reserving stock']);
  assert.ok(rows.some(([what, before_, after_]) => what === 'Payment, transaction id' && before_ === '–' && after_.startsWith('TXN-')), rows);
  assert.equal(await page.locator('.events-choose[aria-current]').textContent(), String(events[paid].seq));
});

test('two_handles_show_the_difference_between_two_moments', async (t) => {
  const page = await open(t);
  await other(page).focus();
  await page.keyboard.press('Home');
  await page.locator('.past-than', { hasText: 'before the first event' }).waitFor();
  await page.locator('.changes tbody tr').nth(8).waitFor();
  assert.equal(await linkOf(page), `#/orders/${id}/events?at=${events.at(-1).seq}&from=0`);
  let rows = await differences(page);
  assert.deepEqual(rows.find(([what]) => what === 'Customer email'), ['Customer email', '–', 'ann@example.com']);

  for (let i = 0; i < 3; i++)
    await page.keyboard.press('ArrowRight');
  await page.locator('.past-than', { hasText: 'after event 3' }).waitFor();
  await page.locator('.changes tbody tr', { hasText: /^PaymentDoneUndone$/ }).waitFor();
  rows = await differences(page);
  assert.ok(!rows.some(([what]) => what === 'Customer email'), rows);
  assert.deepEqual(rows.find(([what]) => what === 'Payment'), ['Payment', 'Done', 'Undone']);
  // The moment that is moved below the other takes it along.
  await handle(page).focus();
  await page.keyboard.press('Home');
  await page.locator('.past-than', { hasText: 'after event 1 ' }).waitFor();
  await page.getByText('Nothing that is shown here is different.').waitFor();
});

test('a_row_of_the_table_shows_its_moment_and_its_json', async (t) => {
  const page = await open(t);
  await page.getByRole('button', { name: `Show event ${events[1].seq}` }).click();
  await says(page, nth(2));
  const row = page.locator('.events tbody tr').nth(1);
  await row.getByText('JSON').click();
  assert.deepEqual(JSON.parse(await row.locator('pre').textContent()), events[1]);
  await page.keyboard.press('ArrowRight');
  await says(page, nth(3));
  assert.ok(await row.locator('pre').isVisible(), 'it stays open');
});

test('the_timeline_shows_what_took_how_long_up_to_the_moment', async (t) => {
  const page = await open(t);
  const bars = (name) => page.locator('.lane', { hasText: name }).locator('.lane-bar').evaluateAll((all) =>
    all.map((bar) => bar.textContent.replace(/,.*/, '')));
  assert.deepEqual((await bars('Payment')).filter((text) => text !== 'In line'), ['Attempt 1', 'Undoing']);
  assert.deepEqual((await bars('Inventory')).filter((text) => text !== 'In line'), ['Attempt 1']);
  assert.ok(await page.locator('.lane', { hasText: 'Inventory' }).locator('.lane-run.tone-bad').count());
  assert.match(await page.locator('.lane', { hasText: 'Shipping' }).innerText(), /not yet/);
  const paid = events.findIndex((e) => e.event_type === 'payment_processed');
  await page.getByRole('button', { name: `Show event ${events[paid].seq}` }).click();
  await page.locator('.lane', { hasText: 'Inventory' }).getByText('not yet').waitFor();
  assert.deepEqual((await bars('Payment')).filter((text) => text !== 'In line'), ['Attempt 1']);
});

test('what_happens_meanwhile_is_added', async (t) => {
  const { id: fresh } = await place(s, order({ 'PROD-002': 1 }));
  const whole = await finished(s, fresh);
  const page = await openPage(t, browser);
  await page.goto(`${s.url}/#/orders/${fresh}/events`);
  await says(page, `of ${whole.events.length}`);
  await page.locator('.live-chip[data-state="live"]').waitFor();
  await send(s, `/orders/${fresh}/erase`, { reason: 'test' });
  await says(page, `After event ${whole.events.length + 1} of ${whole.events.length + 1}: What the order said was erased: test`);
  await page.getByText('What it said is erased').waitFor();
});

test('an_erased_order_says_so_on_its_page_and_in_the_list', async (t) => {
  const { id: gone } = await place(s, order({ 'PROD-002': 3 }, { customer_email: 'erased@example.com' }));
  await finished(s, gone);
  const page = await openPage(t, browser);
  await page.goto(`${s.url}/#/orders/${gone}`);
  await page.getByText('erased@example.com').first().waitFor();
  await page.locator('.live-chip[data-state="live"]').waitFor();
  await send(s, `/orders/${gone}/erase`, { reason: 'request 4711' });
  await page.getByText('who ordered what is not known here any more').waitFor();
  await page.locator('.history-sentence', { hasText: 'What the order said was erased: request 4711' }).waitFor();
  await page.getByRole('heading', { level: 1, name: 'Order complete' }).waitFor();
  await page.getByText('erased@example.com').first().waitFor({ state: 'detached' });
  await page.goto(`${s.url}/#/orders?q=${gone}`);
  const row = page.locator('.orders tbody tr');
  await row.getByText('Erased').waitFor();
  assert.match(await row.textContent(), /Completed.*89\.97/s);
});

test('an_unknown_order_and_nonsense_in_the_link', async (t) => {
  const page = await openPage(t, browser, { allow: /404/ });
  await page.goto(`${s.url}/#/orders/01890a5d-ac96-774b-bcce-b302099a8057/events`);
  await page.getByRole('heading', { level: 1, name: 'There is no such order' }).waitFor();
  await page.goto(`${s.url}/#/orders/${id}/events?at=nonsense&from=-5`);
  await says(page, nth(events.length));
  await page.goto(`${s.url}/#/orders/${id}/events?at=1`);
  await says(page, nth(1));
});

for (const colorScheme of ['light', 'dark']) {
  test(`the_page_looks_right_${colorScheme}`, async (t) => {
    const page = await open(t, `?at=${events[3].seq}`, { colorScheme, reducedMotion: 'reduce' });
    await page.locator('.events summary').first().click();
    for (const viewport of sizes) {
      await page.setViewportSize(viewport);
      await assertLooksRight(page, `past-${colorScheme}-${viewport.width}`);
    }
  });
}

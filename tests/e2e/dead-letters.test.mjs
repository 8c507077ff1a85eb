/* Dead letters: seen by cause, live; one, many or all that match retried, skipped, discarded or corrected. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertLooksRight, holdAnswers, launchBrowser, openPage, sizes } from '../lib/browser.mjs';
import { finished, getJson, look } from '../lib/orders.mjs';
import { ofType, onHold, placeScripted, startScripted } from '../lib/scripted.mjs';
import { until } from '../lib/until.mjs';

const MANY = 55; // more than a page

let s, browser;
before(async () => {
  s = await startScripted({ one: {}, two: { retry: { attempts: 1 } }, three: {} });
  browser = await launchBrowser();
  await held(MANY, { two: 'rd' });
  await held(2, { three: 'R' });
});
after(async () => {
  await browser?.close();
  await s?.stop();
});

async function held(n, script) {
  const ids = await Promise.all(Array.from({ length: n }, () => placeScripted(s, script)));
  await Promise.all(ids.map((id) => onHold(s, id)));
  return ids;
}

async function open(t, query = '', options) {
  const page = await openPage(t, browser, options);
  await page.goto(`${s.url}/#/dead-letters${query}`);
  await page.locator('.letters tbody tr').first().waitFor();
  await page.locator('.live-chip[data-state="live"]').waitFor();
  return page;
}

const rows = (page) => page.locator('.letters tbody tr');
const row = (page, id) => page.locator('.letters tbody tr', { hasText: id.slice(-8) });
const causes = (page) => page.locator('.causes-table tbody tr').evaluateAll((all) => all.map((tr) => [...tr.querySelectorAll('.cause-stage, .cause-count')].map((e) => e.textContent)));
const bar = (page) => page.getByRole('region', { name: 'Selected dead letters' });
const pick = (page, id) => row(page, id).getByRole('checkbox').check();

async function act(page, action, title) {
  await bar(page).getByRole('button', { name: action }).click();
  const dialog = page.getByRole('dialog', { name: title });
  await dialog.waitFor();
  return dialog;
}

test('causes_are_counted_and_one_of_them_is_one_click_away', async (t) => {
  const page = await open(t);
  const all = await causes(page);
  assert.deepEqual(all, [['All causes', `${MANY + 2}`], ['Two', `${MANY}`], ['Three', '2']]);
  await page.locator('.lead', { hasText: `${MANY + 2} orders wait for you` }).waitFor();
  await page.getByRole('link', { name: 'Three Not now, later' }).click();
  await page.waitForURL(/stage=three&error=not\+now/);
  await until('those of one cause alone', async () => (await rows(page).count()) === 2);
  assert.deepEqual(await rows(page).locator('.cause-stage').allTextContents(), ['Three', 'Three']);
  await page.getByRole('link', { name: 'All causes' }).click();
  await page.getByRole('button', { name: 'Load more' }).click();
  await until('the second page', async () => (await rows(page).count()) === MANY + 2);
});

test('a_page_that_comes_after_the_cause_was_changed_is_not_added_to_it', async (t) => {
  const page = await open(t, '?stage=two');
  const late = await holdAnswers(page, /cursor=/);
  await page.getByRole('button', { name: 'Load more' }).click();
  await late.asked;
  await page.getByRole('link', { name: 'Three Not now, later' }).click();
  await until('those of the other cause', async () => (await rows(page).count()) === 2);
  await late.release();
  assert.deepEqual(await rows(page).locator('.cause-stage').allTextContents(), ['Three', 'Three']);
  await page.getByLabel('Select all that are shown').check();
  await bar(page).getByText('2 selected').waitFor();
});

test('a_new_one_is_offered_and_one_that_left_goes_by_itself', async (t) => {
  const [first] = await held(1, { three: 'R' });
  const page = await open(t);
  const [second] = await held(1, { three: 'R' });
  await page.getByRole('button', { name: '1 new dead letter – show' }).click();
  await row(page, second).waitFor();
  await fetch(`${s.url}/dead-letters/discard`, { method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ids: [first, second], reason: 'not needed' }) });
  await row(page, first).waitFor({ state: 'detached' });
  await row(page, second).waitFor({ state: 'detached' });
});

test('one_is_retried_by_the_keyboard_after_a_look_at_what_would_happen', async (t) => {
  const [id] = await held(1, { two: 'rd' });
  const page = await open(t);
  await row(page, id).getByRole('checkbox').focus();
  await page.keyboard.press('Space');
  await bar(page).getByText('1 selected').waitFor();
  await bar(page).getByRole('button', { name: 'Retry' }).focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Retry 1 order?' });
  await dialog.getByText('1 order would be retried.').waitFor();
  assert.equal((await look(s, id)).order.status, 'on_hold', 'a dry run does nothing');
  await dialog.getByRole('button', { name: 'Retry' }).click();
  await dialog.getByText('Say in a few words why').waitFor();
  await dialog.getByLabel('Orders per second').fill('many');
  await dialog.getByLabel('Reason').fill('The bank is back');
  await page.keyboard.press('Enter');
  await dialog.getByText('A whole number from 1 to 100,000').waitFor();
  await dialog.getByLabel('Orders per second').fill('');
  await dialog.getByLabel('Reason').focus();
  await page.keyboard.press('Enter');
  await page.getByText('1 order retried').first().waitFor();
  const whole = await finished(s, id);
  assert.equal(whole.order.status, 'completed');
  assert.equal(ofType(whole, 'stage_released')[0].reason, 'The bank is back');
  await row(page, id).waitFor({ state: 'detached' });
});

test('a_corrected_order_is_compared_checked_and_retried', async (t) => {
  const [id] = await held(1, { two: 'r' });
  const page = await open(t, '', { allow: /422/ });
  await pick(page, id);
  const dialog = await act(page, 'Correct', `Correct order ${id.slice(-8)} and retry it`);
  const field = dialog.getByLabel('The order');
  const original = JSON.parse(await field.inputValue());
  assert.deepEqual(Object.keys(original).sort(), ['customer_email', 'items', 'script', 'total_amount']);
  await dialog.getByText('Nothing yet.').waitFor();
  await field.fill('{');
  await dialog.getByText(/^This is not JSON/).waitFor();
  await field.fill(JSON.stringify({ ...original, customer_email: 'right@example.com', total_amount: 'much', script: {} }));
  await dialog.getByRole('row', { name: 'Customer email ann@example.com right@example.com' }).waitFor();
  await dialog.getByLabel('Reason').fill('Typo');
  await dialog.getByRole('button', { name: 'Correct and retry' }).click();
  await dialog.getByText(/total_amount must be/).waitFor();
  await field.fill(JSON.stringify({ ...original, customer_email: 'right@example.com', script: {} }));
  await dialog.getByRole('button', { name: 'Correct and retry' }).click();
  await dialog.waitFor({ state: 'detached' });
  const whole = await finished(s, id);
  assert.deepEqual([whole.order.status, whole.order.customer_email], ['completed', 'right@example.com']);
  assert.equal((await getJson(s, `/orders/${id}?at=${whole.events[0].seq}`)).order.customer_email, 'ann@example.com');
});

for (const colorScheme of ['light', 'dark']) {
  test(`it_looks_right_${colorScheme}`, async (t) => {
    const page = await open(t, '?stage=three', { colorScheme, reducedMotion: 'reduce' });
    await rows(page).nth(1).getByRole('checkbox').check();
    for (const viewport of sizes) {
      await page.setViewportSize(viewport);
      await assertLooksRight(page, `dead-letters-${viewport.width}-${colorScheme}`, {});
    }
    await bar(page).getByRole('button', { name: 'Correct' }).click();
    const field = page.getByLabel('The order');
    await field.fill((await field.inputValue()).replace('ann@', 'bob@'));
    for (const viewport of sizes.slice(0, 2)) {
      await page.setViewportSize(viewport);
      await assertLooksRight(page, `dead-letters-edit-${viewport.width}-${colorScheme}`, {});
    }
    await page.keyboard.press('Escape');
    await bar(page).getByRole('button', { name: 'Discard' }).click();
    await page.getByText('1 order would be discarded.').waitFor();
    await assertLooksRight(page, `dead-letters-discard-360-${colorScheme}`, {});
    await page.keyboard.press('Escape');
  });
}

test('all_that_match_go_at_a_rate_with_progress_that_a_reload_finds_again', async (t) => {
  const page = await open(t, '?stage=two');
  const { causes: had } = await getJson(s, '/dead-letters?group=cause');
  const n = had.find(({ stage }) => stage === 'two').count;
  await page.getByLabel('Select all that are shown').check();
  await bar(page).getByText('50 selected').waitFor();
  await bar(page).getByRole('button', { name: `Select all ${n} that match` }).click();
  await bar(page).getByText(`All ${n} that match are selected`).waitFor();
  const dialog = await act(page, 'Skip', `Skip all ${n}?`);
  await dialog.getByText(`${n} orders would be skipped.`).waitFor();
  await dialog.getByLabel('Orders per second').fill('5'); // under way until the page was loaded again
  await dialog.getByLabel('Reason').fill('No longer needed');
  await page.keyboard.press('Enter');
  await page.locator('.notice-title', { hasText: `of ${n}` }).waitFor();
  await page.getByRole('progressbar').waitFor();
  await page.reload();
  await page.locator('.notice-title', { hasText: `${n} orders skipped` }).waitFor();
  await page.getByText('Nothing is on hold for this cause').waitFor();
  const { causes: left } = await getJson(s, '/dead-letters?group=cause');
  assert.deepEqual(left.map(({ stage }) => stage), ['three'], 'nothing else was touched');
});

test('those_that_are_not_on_hold_any_more_are_told_one_by_one', async (t) => {
  const page = await open(t);
  const id = await rows(page).first().locator('a').getAttribute('title');
  await pick(page, id);
  await page.route('**/dead-letters/discard', async (route) => {
    const body = route.request().postDataJSON();
    if (!body.dry_run)
      await fetch(`${s.url}/dead-letters/discard`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
    await route.continue();
  });
  const dialog = await act(page, 'Discard', 'Discard 1 order?');
  await dialog.getByLabel('Reason').fill('Given up');
  await page.keyboard.press('Enter');
  await page.locator('.notice-title', { hasText: '0 orders discarded, 1 refused' }).waitFor();
  await page.getByText('Those that were refused').click();
  await page.locator('.job-text li', { hasText: id.slice(-8) }).waitFor();
});

test('a_thousand_come_page_by_page_and_are_retried_in_one_go', async (t) => {
  const n = 1000;
  const { total: had } = await getJson(s, '/dead-letters?limit=1');
  for (let i = 0; i < n; i += 50)
    await Promise.all(Array.from({ length: 50 }, () => placeScripted(s, { two: 'rd' })));
  await until('all of them to be on hold', async () => (await getJson(s, '/dead-letters?limit=1')).total === had + n, { deadline: 60_000 });
  const page = await open(t, '?stage=two');
  assert.equal(await rows(page).count(), 50, 'the others stay where they are');
  await page.getByLabel('Select all that are shown').check();
  await bar(page).getByRole('button', { name: 'Select all 1,000 that match' }).click();
  const dialog = await act(page, 'Retry', 'Retry all 1,000?');
  await dialog.getByText('1,000 orders would be retried.').waitFor();
  await dialog.getByText('and 992 more').waitFor();
  assert.equal((await getJson(s, '/dead-letters?limit=1')).total, had + n, 'a dry run does nothing');
  await dialog.getByLabel('Reason').fill('The bank is back');
  await page.keyboard.press('Enter');
  await page.locator('.notice-title', { hasText: '1,000 orders retried' }).waitFor({ timeout: 60_000 });
  await page.getByText('Nothing is on hold for this cause').waitFor();
  await until('all of them to be done', async () => (await getJson(s, '/stats')).in_flight === had, { deadline: 60_000 });
});

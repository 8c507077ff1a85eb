/* What the tracking page says when a stage has no answer: tried again, on hold, being undone. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertLooksRight, launchBrowser, openPage, sizes } from '../lib/browser.mjs';
import { look, order, place } from '../lib/orders.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { startStageline } from '../lib/stageline.mjs';

/* A bank that never answers; `patient` is asked again after half an hour, `hasty` at once and then held. */
const silentBank = (retry) =>
  fastPipeline({ stages: { payment: { retry: { jitter: 0, ...retry }, config: { failure_rate: 1 } } } });

let patient, hasty, browser;
before(async () => {
  patient = await startStageline({
    pipeline: silentBank({ attempts: 3, backoff: '30m', max: '30m' }),
  });
  hasty = await startStageline({ pipeline: silentBank({ attempts: 2, backoff: '10ms' }) });
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  await patient?.stop();
  await hasty?.stop();
});

async function track(t, server, options) {
  const { id } = await place(server, order({ 'PROD-001': 1, 'PROD-002': 2 }));
  const page = await openPage(t, browser, { timezoneId: 'Europe/Berlin', ...options });
  await page.goto(`${server.url}/#/orders/${id}`);
  await page.locator('.live-chip', { hasText: 'Live' }).waitFor();
  return { page, id };
}

async function cancel(server, id) {
  const answer = await fetch(`${server.url}/orders/${id}/cancel`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ reason: 'Ordered by mistake' }),
  });
  assert.equal(answer.status, 200);
}

const clockOf = (time) =>
  new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium', timeZone: 'Europe/Berlin' }).format(
    new Date(time),
  );

async function retrying(t, options) {
  const { page, id } = await track(t, patient, options);
  await page.locator('.stage[data-status="retrying"]').waitFor();
  return { page, id };
}

async function held(t, options) {
  const { page, id } = await track(t, hasty, options);
  await page.getByRole('heading', { level: 1, name: 'Order on hold' }).waitFor();
  return { page, id };
}

async function undoing(t, options) {
  const { page, id } = await retrying(t, options);
  await cancel(patient, id);
  await page.getByRole('heading', { level: 1, name: 'Cancelling the order' }).waitFor();
  await page.locator('.track-reason', { hasText: 'Undoing payment is tried again at' }).waitFor();
  return { page, id };
}

test('a_stage_that_is_tried_again_says_why_and_when', async (t) => {
  const { page, id } = await retrying(t);
  const { order: now } = await look(patient, id);
  const at = clockOf(now.stages[1].due_at);

  const reason = await page.locator('.track-reason').innerText();
  assert.match(reason, /^The bank did not answer\n/);
  assert.match(reason, new RegExp(`Payment is tried again at ${at} \\(attempt 2\\)\\.`));
  const [newest] = await page.locator('.history-sentence').allTextContents();
  assert.equal(newest, `The bank did not answer, trying again at ${at}`);
  const note = await page.locator('.stage[data-status="retrying"] .stage-note').textContent();
  assert.equal(note, `The bank did not answer\nAttempt 2 at ${at}`);
});

test('when_the_time_has_come_the_page_says_now', async (t) => {
  const { page } = await retrying(t);
  await page.clock.install({ time: Date.now() + 31 * 60_000 });
  await page.reload();
  await page.getByText('Payment is tried again now (attempt 2).').waitFor();
});

test('an_order_on_hold_says_why_and_for_whom_it_waits', async (t) => {
  const { page } = await held(t);
  const reason = await page.locator('.track-reason').innerText();
  assert.match(reason, /^On hold: the bank did not answer\n/);
  assert.match(reason, /waits until an operator has decided/);
  const [newest] = await page.locator('.history-sentence').allTextContents();
  assert.equal(newest, 'Payment is on hold: the bank did not answer');
  assert.ok(await page.getByRole('button', { name: 'Cancel order' }).isVisible());
});

test('an_undo_on_hold_is_told_apart_and_cannot_be_cancelled', async (t) => {
  const { page, id } = await held(t);
  await cancel(hasty, id);
  await page.getByText('Payment could not be undone.').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Cancel order' }).isHidden());
});

for (const [name, prepare] of Object.entries({ retrying, held, undoing })) {
  for (const colorScheme of ['light', 'dark']) {
    test(`${name}_looks_right_${colorScheme}`, async (t) => {
      const { page } = await prepare(t, { colorScheme, reducedMotion: 'reduce' });
      for (const viewport of sizes) {
        await page.setViewportSize(viewport);
        await assertLooksRight(page, `track-${name}-${viewport.width}-${colorScheme}`);
      }
    });
  }
}

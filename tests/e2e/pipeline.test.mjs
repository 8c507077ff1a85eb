/* The operators' view of the pipeline: the graph with its figures, live; one stage closely; pausing and resuming. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { assertLooksRight, launchBrowser, openPage, sizes } from '../lib/browser.mjs';
import { finished, getJson } from '../lib/orders.mjs';
import { onHold, placeScripted, send, stageOf, startScripted } from '../lib/scripted.mjs';
import { until } from '../lib/until.mjs';

let s, browser;
before(async () => {
  s = await startScripted({
    check: {},
    pay: { breaker: { failures: 3, window: '60s', open_for: '60s' }, retry: { attempts: 1 } },
    wrap: { after: ['check'] },
    ship: { after: ['pay', 'wrap'], irreversible: true },
  });
  browser = await launchBrowser();
  await finished(s, await placeScripted(s));
  await onHold(s, await placeScripted(s, { ship: 'rrr' }));
  await until('a sample of all that', async () => {
    const { orders } = await getJson(s, '/pipeline/history');
    return orders.on_hold.at(-1) === 1 && orders.accepted.reduce((sum, n) => sum + n, 0) === 2;
  });
});
after(async () => {
  await browser?.close();
  await s?.stop();
});

const card = (page, name) => page.locator('.stage-card', { has: page.getByRole('link', { name, exact: true }) });
const figure = (page, name) => page.locator('.figure', { hasText: name }).locator('.figure-value');
const figureIs = (page, name, n) => page.locator('.figure', { hasText: name }).locator('.figure-value', { hasText: new RegExp(`^${n}$`) }).waitFor();

async function open(t, query = '', options) {
  const page = await openPage(t, browser, options);
  await page.goto(`${s.url}/#/pipeline${query}`);
  await page.locator('.live-chip[data-state="live"]').waitFor();
  await card(page, 'Ship').waitFor();
  return page;
}

test('the_stages_stand_as_in_the_file_and_the_charts_are_full_when_the_page_opens', async (t) => {
  const page = await open(t);
  const boxes = await Promise.all(['Check', 'Pay', 'Wrap', 'Ship'].map(async (name) => (await card(page, name)).boundingBox()));
  const [check, pay, wrap, ship] = boxes;
  assert.ok(check.x < pay.x && pay.x === wrap.x && wrap.y > pay.y && ship.x > pay.x, JSON.stringify(boxes));
  assert.equal(await page.locator('.graph-line').count(), 4);
  assert.equal(await figure(page, 'On hold').textContent(), '1');
  await page.locator('.figure-note', { hasText: '2 in five minutes' }).waitFor();
  // What the chart was given, not what it looks like: it began before the page did.
  const label = await card(page, 'Ship').locator('canvas').getAttribute('aria-label');
  assert.match(label, /^Ship: attempts per second in the last five minutes, up to [\d.]*[1-9]/);
  await until('the chart of the orders', () => page.evaluate(() => globalThis.Chart?.getChart(document.querySelector('.pipeline-orders canvas'))?.data.datasets[0].data.some(({ y }) => y > 0)));
  await page.locator('.live-lag', { hasText: /^lag / }).waitFor();
});

test('figures_move_by_themselves', async (t) => {
  const page = await open(t);
  const { on_hold: held } = await getJson(s, '/stats');
  await figureIs(page, 'On hold', held);
  await onHold(s, await placeScripted(s, { ship: 'rrr' }));
  await figureIs(page, 'On hold', held + 1);
});

test('a_stage_is_paused_and_resumed_with_a_reason_by_the_keyboard', async (t) => {
  const page = await open(t);
  await card(page, 'Check').getByRole('link').focus();
  await page.keyboard.press('Enter');
  const panel = page.getByRole('region', { name: 'Check' });
  await panel.getByText('Runs after').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'panel-title');
  await panel.getByRole('button', { name: 'Pause' }).click();
  const dialog = page.getByRole('dialog', { name: 'Pause Check?' });
  await dialog.getByRole('button', { name: 'Pause' }).click();
  await dialog.getByText('Say in a few words why').waitFor();
  await page.keyboard.type('Provider <b>closed</b>');
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  assert.equal((await stageOf(s, 'check')).live.paused, true);
  await card(page, 'Check').getByText('Paused').waitFor();

  const id = await placeScripted(s);
  await card(page, 'Check').locator('dd', { hasText: /^1, / }).waitFor();
  await panel.getByRole('button', { name: 'Resume' }).click();
  await page.getByRole('dialog').getByLabel('Reason').fill('Open again');
  await page.keyboard.press('Enter');
  await card(page, 'Check').getByText('Paused').waitFor({ state: 'detached' });
  await finished(s, id);
  const events = await journal();
  assert.deepEqual(events.filter(({ event_type: type }) => /^stage_(paused|resumed)/.test(type)).map((e) => [e.stage, e.reason]),
    [['check', 'Provider <b>closed</b>'], ['check', 'Open again']]);
});

// All events, as the journal's stream tells them.
async function journal() {
  const { last_seq: last } = await getJson(s, '/stats');
  const stop = new AbortController();
  const answer = await fetch(`${s.url}/events?after=0`, { signal: stop.signal });
  const events = [];
  let text = '';
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const blocks = text.split('\n\n');
    text = blocks.pop();
    for (const block of blocks) {
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (data)
        events.push(JSON.parse(data));
    }
    if (events.at(-1)?.seq >= last)
      break;
  }
  stop.abort();
  return events;
}

test('trouble_is_loud_and_its_events_are_one_click_away', async (t) => {
  const page = await open(t);
  assert.equal(await card(page, 'Pay').locator('.stage-card-alarms li').count(), 0, 'silent when healthy');
  const ids = [];
  for (let i = 0; i < 3; i++)
    ids.push(await placeScripted(s, { pay: 'r' }));
  await Promise.all(ids.map((id) => onHold(s, id)));
  await card(page, 'Pay').getByText('Breaker open: tasks wait').waitFor();
  await card(page, 'Pay').getByRole('link').click();
  const panel = page.getByRole('region', { name: 'Pay' });
  await panel.locator('.panel-list li', { hasText: 'Pay is on hold: not now' }).nth(2).waitFor();
  await panel.getByText('opens for 1 min 00 s after 3 failures in 1 min 00 s').waitFor();
  await panel.getByRole('link', { name: ids[2].slice(-8) }).click();
  await page.getByRole('heading', { level: 1, name: 'Order on hold' }).waitFor();
});

test('without_websockets_it_follows_by_other_ways', async (t) => {
  const page = await openPage(t, browser, { allow: /WebSocket/ });
  await page.routeWebSocket('**/ws/pipeline', (socket) => socket.close());
  await page.goto(`${s.url}/#/pipeline`);
  await page.locator('.live-chip[data-state="live"]').waitFor();
  const { on_hold: held } = await getJson(s, '/stats');
  await figureIs(page, 'On hold', held);
  await onHold(s, await placeScripted(s, { check: 'rrr' }));
  await figureIs(page, 'On hold', held + 1);
});

test('without_the_chart_library_the_figures_are_there_and_the_page_says_so', async (t) => {
  const page = await openPage(t, browser, { allow: /404/ });
  await page.route('**/static/lib/chart.js', (route) => route.fulfill({ status: 404 }));
  await page.goto(`${s.url}/#/pipeline`);
  await page.getByText('No charts: Chart.js (libjs-chart.js) is not installed on the server.').waitFor();
  assert.match(await figure(page, 'On hold').textContent(), /^[1-9]/);
});

for (const colorScheme of ['light', 'dark']) {
  test(`it_looks_right_${colorScheme}`, async (t) => {
    const page = await open(t, '?stage=pay', { colorScheme, reducedMotion: 'reduce' });
    await page.locator('.panel-list li').first().waitFor();
    for (const viewport of sizes) {
      await page.setViewportSize(viewport);
      await assertLooksRight(page, `pipeline-${viewport.width}-${colorScheme}`);
    }
  });
}

const notice = (page) => page.getByRole('region', { name: /^The pipeline/ });

test('a_reload_that_is_refused_is_told_with_its_faults_until_one_is_taken', async (t) => {
  const text = readFileSync(s.pipeline, 'utf8');
  const page = await open(t);
  assert.equal(await notice(page).count(), 0);
  writeFileSync(s.pipeline, `${text.replace('"plugin":"scripted"', '"plugin":"scirpted"')}colour: red\n`);
  assert.equal((await send(s, '/pipeline/reload', {})).status, 422);
  await notice(page).getByRole('heading', { name: 'The pipeline file was not taken: 2 faults' }).waitFor();
  const faults = await notice(page).getByRole('listitem').allTextContents();
  assert.equal(faults.length, 2);
  assert.ok(faults.some((fault) => /^pipeline\.yaml:\d+:\d+.*scirpted/.test(fault)), faults.join('\n'));
  assert.ok(faults.some((fault) => /unknown key 'colour'/.test(fault)), faults.join('\n'));
  const { generation } = await getJson(s, '/pipeline');
  await notice(page).getByText(`new orders still take generation ${generation}`).waitFor();

  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const viewport of sizes) {
      await page.setViewportSize(viewport);
      await assertLooksRight(page, `reload-refused-${viewport.width}-${colorScheme}`);
    }
  }
  writeFileSync(s.pipeline, text);
  assert.equal((await send(s, '/pipeline/reload', {})).status, 200);
  await notice(page).waitFor({ state: 'detached' });
});

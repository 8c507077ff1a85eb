/* Chromium, without a window, for the end-to-end tests: pages whose errors fail the test, and axe. */
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { root } from './stageline.mjs';
import { until } from './until.mjs';

export const sizes = [
  { width: 1280, height: 860 },
  { width: 360, height: 760 },
  { width: 320, height: 640 },
];
const shots = join(root, 'tests/e2e/shots');

const axeFile = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function launchBrowser() {
  const executablePath = process.env.STAGELINE_CHROMIUM ?? '/usr/bin/chromium-headless-shell';
  return chromium.launch({ executablePath, args: flags });
}

/* A page in a fresh profile. `page.faults` collects what the console and the CSP complain of; the test
 * ends with an error when there is any, except what `allow` matches. */
export async function openPage(t, browser, options = {}) {
  const { allow, ...context } = options;
  const opened = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...context });
  const page = await opened.newPage();
  page.setDefaultTimeout(60_000);
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.stack));
  page.on('console', (message) => {
    if (message.type() === 'error' && !allow?.test(message.text()))
      faults.push(message.text());
  });
  t.after(async () => {
    await opened.close();
    assert.deepEqual(faults, [], 'the page has errors');
  });
  return page;
}

/* Holds back the answers to requests that match. { asked, release() }: both are promises; after release() the page has
 * done whatever it does with the answer, or with having given it up. */
export async function holdAnswers(page, pattern) {
  let letGo;
  const isFree = new Promise((done) => { letGo = done; });
  const matches = (request) => pattern.test(request.url());
  const over = Promise.race(['requestfinished', 'requestfailed'].map((name) => page.waitForEvent(name, matches)));
  const asked = page.waitForRequest(matches);
  await page.route(pattern, async (route) => {
    await isFree;
    await route.continue().catch(() => {}); /* given up meanwhile */
  });
  async function release() {
    letGo();
    await over;
    await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); }));
  }
  return { asked, release };
}

/* Colours that are on their way from one theme to the other are neither's. */
const settled = (page) => page.evaluate(async () => {
  await new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); });
  const passing = document.getAnimations().filter(({ effect }) => Number.isFinite(effect.getComputedTiming().endTime));
  await Promise.allSettled(passing.map(({ finished }) => finished));
});

/* No violation of any rule that axe knows, best practices included. */
export async function assertAccessible(page, what) {
  await settled(page);
  if (!(await page.evaluate(() => 'axe' in window)))
    await page.evaluate(await readFile(axeFile, 'utf8'));
  const { violations } = await page.evaluate(() => window.axe.run(document));
  const found = violations.map(({ id, help, nodes }) => ({
    id,
    help,
    nodes: nodes.map(({ target, failureSummary }) => `${target}: ${failureSummary}`),
  }));
  assert.deepEqual(found, [], what);
}

/* Nothing is wider than the screen, axe has nothing to say, and a picture lies in e2e/shots to look at. The picture comes
 * last: taken right behind a change of the theme, Chromium 156 leaves some texts in the colours of the one before. */
export async function assertLooksRight(page, name, options = { fullPage: true }) {
  try {
    let excess;
    await until(`${name} to fit`, async () => { // a chart takes a moment
      excess = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      return excess <= 0;
    }, { deadline: 2_000, detail: () => `${excess} px too wide` });
    await assertAccessible(page, name);
  } finally {
    await mkdir(shots, { recursive: true });
    await page.screenshot({ path: join(shots, `${name}.png`), ...options });
  }
}

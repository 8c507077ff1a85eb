/* Chromium for the end-to-end tests: pages whose errors fail the test, and axe. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

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
  const executablePath = process.env.STAGELINE_CHROMIUM ?? '/usr/bin/chromium';
  return chromium.launch({ executablePath, args: flags });
}

/* A page in a fresh profile. `page.faults` collects what the console and the CSP complain of; the test
 * ends with an error when there is any, except what `allow` matches. */
export async function openPage(t, browser, options = {}) {
  const { allow, ...context } = options;
  const opened = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...context });
  const page = await opened.newPage();
  page.setDefaultTimeout(15_000);
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

/* No violation of any rule that axe knows, best practices included. */
export async function assertAccessible(page, what) {
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

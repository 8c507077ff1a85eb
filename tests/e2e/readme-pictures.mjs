/* The pictures of the README, packaging/screenshots/tracking{,-dark}.png: `node tests/e2e/readme-pictures.mjs`
 * after a build (STAGELINE_BUILD names it). */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { launchBrowser } from '../lib/browser.mjs';
import { order, place } from '../lib/orders.mjs';
import { fastPipeline } from '../lib/pipeline.mjs';
import { root, startStageline } from '../lib/stageline.mjs';

const folder = join(root, 'packaging/screenshots');
const stages = {
  validation: { config: { latency: '420ms' } },
  payment: { config: { latency: '870ms' } },
  inventory: { config: { latency: '1m' } },
};

const server = await startStageline({
  pipeline: fastPipeline({ stages, defaults: { timeout: '2m' } }),
});
const browser = await launchBrowser();
await mkdir(folder, { recursive: true });

for (const [colorScheme, name] of [['light', 'tracking'], ['dark', 'tracking-dark']]) {
  const page = await browser.newPage({
    colorScheme,
    deviceScaleFactor: 1.5,
    viewport: { width: 1280, height: 860 },
  });
  const basket = order({ 'PROD-001': 1, 'PROD-002': 2 }, { customer_email: 'ada@example.com' });
  const { id } = await place(server, basket);
  await page.goto(`${server.url}/#/orders/${id}`);
  await page.locator('.live-chip', { hasText: 'Live' }).waitFor();
  await page.locator('.stage[aria-current]', { hasText: 'Inventory' }).waitFor();
  await page.locator('.history-sentence', { hasText: 'Payment captured' }).waitFor();
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

await browser.close();
await server.stop();

/* Workers behind Redis in the client: every one with what it runs, loud when a stage has none. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertLooksRight, launchBrowser, openPage, sizes } from '../lib/browser.mjs';
import { getJson } from '../lib/orders.mjs';
import { redisBus, startRedis } from '../lib/redis.mjs';
import { placeScripted, plugins, startScripted } from '../lib/scripted.mjs';
import { startWorker, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

let redis, s, first, browser;
before(async () => {
  redis = await startRedis();
  s = await startScripted({ check: { timeout: '60s' }, pay: {}, ship: { irreversible: true } }, { bus: redisBus(redis, { worker: false }) });
  first = startWorker(s.bus, { plugins, stages: ['check', 'pay'] });
  browser = await launchBrowser();
  await isServed('pay', 1);
});
after(async () => {
  await browser?.close();
  await first?.kill(); // a call of its hangs
  await s?.stop();
  await redis?.kill();
});

const isServed = (name, n) => until(`${n} workers of ${name}`, async () => (await getJson(s, '/pipeline')).stages.find((stage) => stage.name === name)?.live.served_by === n,
  { deadline: 30_000 });
const workers = (page) => page.getByRole('region', { name: 'Workers' });
const worker = (page, pid) => workers(page).locator('.worker', { hasText: `process ${pid}` });

async function open(t, options) {
  const page = await openPage(t, browser, options);
  await page.goto(`${s.url}/#/pipeline`);
  await workers(page).waitFor();
  return page;
}

test('a_stage_without_a_worker_is_loud_until_one_comes', async (t) => {
  const page = await open(t);
  await workers(page).getByText('No worker takes tasks of Ship').waitFor();
  const loud = page.locator('.stage-card', { hasText: 'No worker takes its tasks' });
  await until('one stage to be loud', async () => await loud.count() === 1); // the last sample may be of the start
  await loud.getByText('Ship').waitFor();
  const second = startWorker(s.bus, { plugins, stages: ['ship'] });
  await worker(page, second.pid).waitFor();
  await workers(page).getByText('2 workers through Redis').waitFor();
  assert.equal(await workers(page).locator('.workers-alarms li').count(), 0);
  await second.stop();
  await workers(page).getByText('No worker takes tasks of Ship').waitFor();
});

test('what_a_worker_runs_is_seen_and_what_it_cannot', async (t) => {
  const page = await open(t, { reducedMotion: 'reduce' });
  const { version } = await getJson(s, '/pipeline').then(({ bus }) => bus.workers[0]);
  await worker(page, first.pid).getByText(`version ${version}`).waitFor();
  await placeScripted(s, { check: '-d' });
  await worker(page, first.pid).locator('li', { hasText: 'Check' }).getByText('1 running').waitFor();
  const poor = startWorker(s.bus, { plugins: temporaryFolder(), stages: ['pay'] });
  await worker(page, poor.pid).getByText(/^Cannot run Pay: .*no plugin/).waitFor();
  for (const { width, height } of sizes)
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
      await assertLooksRight(page, `workers-${width}-${colorScheme}`);
    }
  await poor.stop();
});

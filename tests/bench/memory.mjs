// (e) memory: idle with the shipped files, and with many orders under way. That it does not grow is growth.mjs's.
import { join } from 'node:path';
import { startStageline, root } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';
import { dropData, folder, rssKiB, startDaemon, stats } from './daemon.mjs';
import { startWrk } from './wrk.mjs';

// Posts until so many are accepted.
export async function postUntil(s, n, options = {}, onStats = () => {}) {
  const load = startWrk(`${s.url}/orders`, { seconds: 3600, ...options });
  await until(`${n} orders to be accepted`, async () => {
    const now = await stats(s);
    onStats(now);
    return now.accepted >= n;
  }, { deadline: 3_600_000, step: 100 });
  load.stop();
  return load.ended;
}

export async function memory({ quick, show }) {
  dropData('idle');
  const idle = await startStageline({ dataDir: join(folder, 'idle'), pipeline: join(root, 'config/orders.yaml') });
  show('idle', rssKiB(idle.pid) / 1024, 'MiB', { max: 10 });
  await idle.stop();
  dropData('idle');

  const orders = quick ? 10_000 : 100_000;
  const s = await startDaemon('in-flight', { pipeline: { stages: { payment: { timeout: '24h', config: { latency: '1h' } } } } });
  await postUntil(s, orders);
  await until('every order to wait for its payment', async () => {
    const { stages } = await (await fetch(`${s.url}/pipeline`)).json();
    const { waiting, out } = stages[1].live;
    return waiting + out >= (await stats(s)).accepted;
  }, { deadline: 600_000, step: 100 });
  show(`${orders.toLocaleString('en')} orders in flight`, rssKiB(s.pid) / 1024, 'MiB', { max: 150 });
  await s.kill();
  const start = performance.now();
  await s.restart();
  show('… start again after a kill with them', (performance.now() - start) / 1000, 's');
  show('… memory then', rssKiB(s.pid) / 1024, 'MiB', { max: 150 });
  await s.kill();
  dropData('in-flight');
}

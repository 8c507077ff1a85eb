// (c) what libevent's HTTP server does by itself, and beside it the daemon's cheapest answer.
import { join } from 'node:path';
import { build, freePort } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';
import { start } from './children.mjs';
import { dropData, startDaemon } from './daemon.mjs';
import { wrk } from './wrk.mjs';

async function echo(seconds) {
  const port = await freePort();
  const child = start(join(build, 'tests/bench/echo'), [port]);
  const url = `http://127.0.0.1:${port}/`;
  try {
    await until('the echo', () => fetch(url).then(() => true, () => false), { step: 10 });
    return await wrk(url, { seconds });
  } finally {
    child.kill('SIGKILL');
  }
}

export async function http({ quick, show }) {
  const seconds = quick ? 2 : 10;
  const plain = await echo(seconds);
  const s = await startDaemon('http');
  const own = await wrk(`${s.url}/livez`, { seconds, script: 'get.lua' });
  await s.stop();
  dropData('http');
  show('evhttp echo of the README\'s order', plain.perSecond, '/s');
  show('GET /livez', own.perSecond, '/s');
  show('GET /livez / echo', own.perSecond / plain.perSecond, '');
}

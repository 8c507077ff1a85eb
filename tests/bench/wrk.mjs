// The load generator: wrk, on the same cores as the daemon.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start } from './children.mjs';

const here = dirname(fileURLToPath(import.meta.url));

export const CONNECTIONS = 64;

// Starts wrk; { ended: promise of what get.lua and order.lua print, stop() }.
export function startWrk(url, { seconds, script = 'order.lua', orders = 'same', connections = CONNECTIONS }) {
  const child = start('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '--latency',
    '-s', join(here, script), url], { env: { ...process.env, ORDERS: orders } });
  const ended = new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', () => {
      const json = /^JSON (.*)$/m.exec(child.text);
      if (!json)
        return fail(new Error(`wrk says:\n${child.text}`));
      const answer = JSON.parse(json[1]);
      return done({ ...answer, perSecond: answer.requests / answer.seconds });
    });
  });
  return { ended, stop: () => child.kill('SIGINT') };
}

export const wrk = (url, options) => startWrk(url, options).ended;

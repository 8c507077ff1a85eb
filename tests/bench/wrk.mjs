// The load generator: wrk, on the same cores as the daemon.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

export const CONNECTIONS = 64;

// Starts wrk; { ended: promise of what get.lua and order.lua print, stop() }.
export function startWrk(url, { seconds, script = 'order.lua', orders = 'same', connections = CONNECTIONS }) {
  const child = spawn('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '--latency',
    '-s', join(here, script), url], { env: { ...process.env, ORDERS: orders }, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';

  child.stdout.on('data', (chunk) => { out += chunk; });
  child.stderr.on('data', (chunk) => { out += chunk; });
  process.on('exit', () => child.kill('SIGKILL'));
  const ended = new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', () => {
      const json = /^JSON (.*)$/m.exec(out);
      if (!json)
        return fail(new Error(`wrk says:\n${out}`));
      const answer = JSON.parse(json[1]);
      return done({ ...answer, perSecond: answer.requests / answer.seconds });
    });
  });
  return { ended, stop: () => child.kill('SIGINT') };
}

export const wrk = (url, options) => startWrk(url, options).ended;

// A Redis of a test's own on a free port, with nothing kept on a disk.
//
//   const redis = await startRedis();     redis.url, redis.port, redis.pid
//   await redis.cli('FLUSHALL')           the answer, as redis-cli prints it
//   await redis.stop() / redis.kill()     and redis.restart(): empty, on the same port
//   redis.pause() / redis.resume()        SIGSTOP, SIGCONT
import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { freePort } from './port.mjs';
import { until } from './until.mjs';

const run = promisify(execFile);
// One program under several names; Debian's redis-tools has it under this one, and starts no server.
const program = { file: 'redis-check-rdb', argv0: 'redis-server' };
const servers = new Set();

process.on('exit', () => {
  for (const server of servers)
    server.kill('SIGKILL');
});

export async function startRedis({ args = [], port, password, bind = ['127.0.0.1'], env = {} } = {}) {
  const redis = {
    port: port ?? await freePort(),
    get url() { return `redis://127.0.0.1:${redis.port}`; },
    get pid() { return child.pid; },
    cli: async (...words) => (await run('redis-cli', ['-p', String(redis.port), ...words.map(String)],
      { env: { ...process.env, ...(password && { REDISCLI_AUTH: password }) } })).stdout.trim(),
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    start,
    async restart() {
      await end('SIGKILL');
      await start();
    },
  };
  let child = null, ended = null;

  async function start() {
    child = spawn(program.file, ['--port', String(redis.port), '--bind', ...bind, '--save', '', '--appendonly', 'no',
      '--daemonize', 'no', '--dir', '/tmp',
      ...(password ? ['--requirepass', password] : []), ...args], { argv0: program.argv0, stdio: 'ignore', env: { ...process.env, ...env } });
    child.unref(); // it ends with the test file
    servers.add(child);
    const mine = child;
    ended = new Promise((done) => { child.on('close', done); child.on('error', done); }).then(() => servers.delete(mine));
    await until('redis-server', () => redis.cli('PING').then((answer) => /PONG|NOAUTH/.test(answer), () => false));
  }
  async function end(signal) {
    child.ref(); // or nobody waits for its end
    child.kill('SIGCONT');
    child.kill(signal);
    await ended;
  }
  await start();
  return redis;
}

// One for all daemons of a test file: they differ by their prefix.
let shared = null;
let n = 0;

export async function sharedRedis() {
  shared ??= startRedis();
  return shared;
}

// What a host file says to use it. Leases are short: what a killed daemon held is soon taken back.
export function redisBus(redis, { prefix = `t${process.pid}-${n++}`, ...more } = {}) {
  return { redis: { url: redis.url, prefix, lease: '3s', connect_timeout: '1s', timeout: '2s', ...more } };
}

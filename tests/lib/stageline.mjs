// Starts and stops the real program for tests.
//
//   const s = await startStageline({ pipeline });      s.url, s.port, s.pid, s.dataDir, s.logs()
//   await s.stop()      SIGTERM; the exit code
//   await s.kill()      SIGKILL
//   await s.restart()   again, on the same port and data
//
// STAGELINE_BUS=redis puts a Redis behind every daemon that does not say which `bus` it wants: { bus: 'memory' }, or
// what its host file says. STAGELINE_BUILD names the build folder (default: build). Whatever a test leaves behind, processes and
// folders, is gone when its file ends. A report of a sanitizer makes stop() throw.
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after } from 'node:test';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './port.mjs';
import { redisBus, sharedRedis } from './redis.mjs';
import { until } from './until.mjs';

export { freePort };

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const build = resolve(root, process.env.STAGELINE_BUILD ?? 'build');
export const binary = join(build, 'core/stageline');

const LOG_MAX = 4 * 1024 * 1024;
const sanitizer = /^.*(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:)[^]*/m;
const children = new Set();
const folders = new Set();

function killAll() {
  for (const child of children)
    child.kill('SIGKILL');
}

// The file's own hooks come after this one and stop what is in order. What a failed test left running would
// keep its file waiting; it gets so long and no longer.
const LEFT_RUNNING_MS = 15_000;
after(() => { setTimeout(killAll, LEFT_RUNNING_MS).unref(); });
process.on('exit', () => {
  killAll();
  for (const folder of folders)
    rmSync(folder, { recursive: true, force: true });
});

// A folder of this test file's own.
export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'stageline-test-'));
  folders.add(folder);
  return folder;
}

// Runs the program to its end: { code, signal, out, err }.
export async function runStageline(args, { env = {}, deadline = 20_000, wrapper } = {}) {
  const process_ = launch(args, env, undefined, wrapper);
  const timer = setTimeout(() => process_.child.kill('SIGKILL'), deadline);
  const end = await process_.ended;
  clearTimeout(timer);
  return { ...end, out: process_.out(), err: process_.err() };
}

// `wrapper`: a command line that runs the program, such as ['ip', 'netns', 'exec', NAME]. `stageline`: another one than
// that of the build.
function launch(args, env, user, wrapper = [], stageline = binary) {
  const [program, ...before] = [...wrapper, stageline];
  const child = spawn(program, [...before, ...args], { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'],
    ...(user ? { uid: user, gid: user } : {}) });
  const text = { out: '', err: '' };

  children.add(child);
  child.stdout.setEncoding('utf8').on('data', (chunk) => { text.out = (text.out + chunk).slice(-LOG_MAX); });
  child.stderr.setEncoding('utf8').on('data', (chunk) => { text.err = (text.err + chunk).slice(-LOG_MAX); });
  const ended = new Promise((done) => {
    child.on('error', (error) => done({ code: null, signal: error.message }));
    child.on('close', (code, signal) => done({ code, signal }));
  }).then((end) => {
    children.delete(child);
    return end;
  });
  return { child, ended, out: () => text.out, err: () => text.err };
}

// Ends what launch() began; its exit status. Throws what a sanitizer says.
async function endOf(run, signal) {
  run.child.kill(signal);
  const { code } = await run.ended;
  const report = sanitizer.exec(run.err());
  if (report)
    throw new Error(`the sanitizer says:\n${report[0].slice(0, 20_000)}`);
  return code;
}

const busArgs = ({ url, prefix, password_file: password }) => (
  ['--bus', url, '--prefix', prefix, ...(password ? ['--password-file', password] : [])]);

// `stageline worker` of a bus as redisBus() gives it, or of a host file: { config }.
export function startWorker({ redis, config }, { stages, plugins, wrapper, args = [], env = {} } = {}) {
  const run = launch(['worker', ...(config ? ['--config', config] : busArgs(redis)), '--plugins', plugins ?? join(build, 'plugins'),
    ...(stages ? ['--stages', stages.join()] : []), ...args], env, undefined, wrapper);
  return {
    get pid() { return run.child.pid; },
    get isRunning() { return children.has(run.child); },
    ended: run.ended,
    logs: () => run.out() + run.err(),
    stop: () => endOf(run, 'SIGTERM'),
    kill: () => endOf(run, 'SIGKILL'),
    signal: (name) => run.child.kill(name),
  };
}

export function serveArgs({ config, pipeline, dataDir, listen, www, plugins, flags = [] }) {
  const host = config ?? join(root, 'config/stageline.yaml');
  return ['serve', ...(existsSync(host) ? ['--config', host] : []),
    '--pipeline', pipeline ?? join(root, 'config/orders.yaml'), '--data', dataDir, '--listen', listen,
    '--www', www ?? join(root, 'www'), '--plugins', plugins ?? join(build, 'plugins'), ...flags];
}

// Where there is no Redis yet that the test wants: the host file with one more key.
async function withBus(options) {
  const bus = options.bus ?? (process.env.STAGELINE_BUS === 'redis' ? redisBus(await sharedRedis()) : 'memory');
  const host = options.config ?? join(root, 'config/stageline.yaml');
  const text = existsSync(host) ? readFileSync(host, 'utf8') : '';
  if (bus === 'memory' || /^bus:/m.test(text))
    return options;
  const config = join(temporaryFolder(), 'stageline.yaml');
  writeFileSync(config, `${text}\nbus: ${JSON.stringify(bus)}\n`, { mode: 0o644 });
  if (options.user)
    chmodSync(dirname(config), 0o755);
  return { ...options, config };
}

// `user`: the number of another user to run as; only root can. `program`: an installed one. `wrapper`: as launch().
export async function startStageline(asked = {}) {
  const options = await withBus(asked);
  const port = options.port ?? await freePort();
  const dataDir = options.dataDir ?? join(temporaryFolder(), 'data');
  const url = `http://127.0.0.1:${port}`;
  let earlier = '';
  let run = null;

  async function start() {
    earlier += run ? run.out() + run.err() : '';
    run = launch(serveArgs({ ...options, dataDir, listen: `127.0.0.1:${port}` }), options.env ?? {}, options.user, options.wrapper, options.program);
    let end = null;
    run.ended.then((e) => { end = e; });
    await until('the server to be ready', async () => {
      if (end)
        throw new Error(`stageline ended before it was ready (${end.code ?? end.signal}):\n${s.logs()}`);
      return await fetch(`${url}/readyz`).then((answer) => answer.ok, () => false);
    }, { deadline: options.deadline ?? 30_000, step: 10, detail: () => s.logs() });
  }

  const end = (signal) => endOf(run, signal);

  const s = {
    url, port, dataDir,
    get pid() { return run.child.pid; },
    get isRunning() { return children.has(run.child); },
    get death() { return run.child.signalCode ?? run.child.exitCode; },
    logs: () => earlier + run.out() + run.err(),
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    async restart() {
      if (s.isRunning)
        await s.stop();
      await start();
    },
  };
  await start();
  return s;
}

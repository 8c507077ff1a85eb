// The daemon under a service manager, tests/lib/manager.py: it holds the listening socket and hears what is notified.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { binary, freePort, root, serveArgs, temporaryFolder } from './stageline.mjs';
import { until } from './until.mjs';

// manage({ pipeline }): { url, notified(), start(), kill(signal), ended(), logs(), close() }
export async function manage(options) {
  const port = await freePort();
  const dataDir = join(temporaryFolder(), 'data');
  const args = serveArgs({ ...options, dataDir, listen: options.listen ?? `127.0.0.1:${port}` });
  const child = spawn('python3', [join(root, 'tests/lib/manager.py'), String(port), binary, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  const said = [];
  let log = '';
  createInterface({ input: child.stdout }).on('line', (line) => said.push(JSON.parse(line)));
  child.stderr.setEncoding('utf8').on('data', (chunk) => { log += chunk; });
  process.on('exit', () => child.kill());

  const tell = (line) => child.stdin.write(`${line}\n`);
  const of = (key) => said.filter((what) => key in what).map((what) => what[key]);
  const m = {
    port, dataDir, url: `http://127.0.0.1:${port}`,
    logs: () => log,
    notified: () => of('notify').flatMap((text) => text.split('\n')),
    async start() {
      const before = m.notified().filter((line) => line === 'READY=1').length;
      tell('start');
      await until('the daemon to say that it is ready', () => m.notified().filter((line) => line === 'READY=1').length > before,
        { deadline: 30_000, detail: m.logs });
    },
    kill: (signal) => tell(`kill ${signal}`),
    // One thread stands still, the others go on.
    async hold(thread) {
      const before = of('held').length;
      tell(`hold ${thread}`);
      await until('the thread to be held', () => of('held').length > before, { detail: m.logs });
    },
    release: () => tell('release'),
    // How it ended, -N by signal N.
    async end(signal) {
      const before = of('ended').length;
      tell(`kill ${signal}`);
      return until('the daemon to end', () => of('ended').length > before && { status: of('ended').at(-1) },
        { deadline: 30_000, detail: m.logs });
    },
    async close() {
      tell('quit');
      await new Promise((done) => { child.once('close', done); });
    },
  };
  await until('the socket', () => of('listening').length, { detail: m.logs });
  return m;
}

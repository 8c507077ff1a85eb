// What the fault tests share: how long they run, what they found, and faults inside the running daemon.
//
// STAGELINE_FAULT=long makes the runs as long as issue and reliability table ask (`packaging/dev fault
// --long`). STAGELINE_RESULTS names a file that takes one line of JSON per run, for tests/fault/RESULTS.md.
import assert from 'node:assert/strict';
import { appendFileSync, closeSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { build, temporaryFolder } from './stageline.mjs';

export const isLong = process.env.STAGELINE_FAULT === 'long';
export const size = (short, long) => (isLong ? long : short);

// The figures of one run: `number` of the reliability table, what was done, what came out.
export function result(number, name, figures) {
  const text = Object.entries(figures).map(([key, value]) => `${value} ${key}`).join(', ');
  console.log(`${number} ${name}: ${text}`);
  if (process.env.STAGELINE_RESULTS)
    appendFileSync(process.env.STAGELINE_RESULTS, `${JSON.stringify({ number, name, isLong, text })}\n`);
}

// Runs a program of tests/fault to its good end; what it printed.
export async function runProgram(name, ...args) {
  const child = spawn(join(build, 'tests/fault', name), args.map(String), { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => { out += chunk; });
  child.stderr.setEncoding('utf8').on('data', (chunk) => { out += chunk; });
  const code = await new Promise((done) => { child.on('close', done); });
  assert.equal(code, 0, out);
  return out.trim();
}

// Built in plain trees only: a sanitizer wants to be the first that is loaded.
const library = join(build, 'tests/lib/preload.so');
const fields = ['operations', 'diskCountdown', 'diskIsSticky', 'diskErrno', 'diskHits', 'memoryCountdown',
  'memoryHits', 'wallAhead'];

export const operations = { read: 1, write: 2, sync: 4, truncate: 8 };
export const EIO = 5;
export const ENOSPC = 28;

// Faults for one daemon: start it with `env`, and change them while it runs.
export function faultControl() {
  const path = join(temporaryFolder(), 'control');
  writeFileSync(path, Buffer.alloc(4 * fields.length));
  const fd = openSync(path, 'r+');

  function set(values) {
    for (const [name, value] of Object.entries(values)) {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32LE(value);
      writeSync(fd, bytes, 0, 4, 4 * fields.indexOf(name));
    }
  }
  function get(name) {
    const bytes = Buffer.alloc(4);
    readSync(fd, bytes, 0, 4, 4 * fields.indexOf(name));
    return bytes.readInt32LE();
  }
  return {
    env: { LD_PRELOAD: library, FAULT_CONTROL: path },
    set,
    get,
    // The n-th operation of that kind from now on. The last thing written is what arms it.
    failDisk(operation, nth, { sticky = false, errno = EIO } = {}) {
      set({ operations: 0, diskHits: 0, diskIsSticky: Number(sticky), diskErrno: errno, diskCountdown: nth });
      set({ operations: operations[operation] });
    },
    healDisk: () => set({ operations: 0 }),
    failMemory: (nth) => set({ memoryHits: 0, memoryCountdown: nth }),
    setWallAhead: (seconds) => set({ wallAhead: seconds }),
    close: () => closeSync(fd),
  };
}

export function inspectJournal(file) {
  const { stdout, stderr } = spawnSync(join(build, 'tests/lib/inspect'), [file], { encoding: 'utf8' });
  return { ...JSON.parse(stdout), why: stderr.trim() };
}

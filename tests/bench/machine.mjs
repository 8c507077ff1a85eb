// The machine that the figures belong to.
import { execFileSync } from 'node:child_process';
import { closeSync, fdatasyncSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { root } from '../lib/stageline.mjs';
import { folder, TICKS_PER_S } from './daemon.mjs';

const SYNCS = 200;

const say = (...command) => execFileSync(command[0], command.slice(1), { cwd: root, encoding: 'utf8' }).trim();

const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];

// The median time, in milliseconds, of `writes` writes of so many bytes one after the other, each with its fdatasync:
// what as many commits in a row wait for at least. `restMs`: how long the disk has nothing to do before each such row.
export function syncMs({ bytes = 4096, writes = 1, restMs = 0 } = {}) {
  const path = join(folder, 'sync');
  const times = [];
  mkdirSync(folder, { recursive: true });
  const fd = openSync(path, 'w');
  for (let i = 0; i < SYNCS; i++) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, restMs);
    const start = performance.now();
    for (let k = 0; k < writes; k++) {
      writeSync(fd, Buffer.alloc(bytes, i));
      fdatasyncSync(fd);
    }
    times.push(performance.now() - start);
  }
  closeSync(fd);
  rmSync(path);
  return median(times);
}

// CPU seconds so far: of all processors (steal by other virtual machines included), and of this program and what it
// started and has seen end.
function cpuTimes() {
  const all = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1).map(Number);
  const own = readFileSync('/proc/self/stat', 'utf8').replace(/^.*\) /s, '').split(' ').slice(11, 15).map(Number);
  const sum = (ticks) => ticks.reduce((a, b) => a + b, 0) / TICKS_PER_S;
  const [user, nice, system, idle, wait, irq, softirq, steal] = all;
  return { busy: sum([user, nice, system, irq, softirq, steal]), all: sum([user, nice, system, idle, wait, irq, softirq, steal]),
    own: sum(own) };
}

// Starts watching the processors; the function tells what per cent of them others have had since.
export function watchOthers() {
  const before = cpuTimes();
  return () => {
    const now = cpuTimes();
    const others = now.busy - before.busy - (now.own - before.own);
    return Math.max(0, Math.round(others / (now.all - before.all) * 100));
  };
}

export function machine() {
  const system = /PRETTY_NAME="(.*)"/.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  return {
    processor: `${cpus().length} × ${cpus()[0].model}`,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    system: `${system}, Linux ${release()}`,
    filesystem: say('stat', '-f', '-c', '%T', folder),
    fdatasync_4k_us: Math.round(syncMs() * 1000),
    load_before: loadavg()[0],
    sqlite: say('sqlite3', '--version').split(' ')[0],
    commit: say('git', 'describe', '--always', '--dirty'),
    date: new Date().toISOString().slice(0, 16).replace('T', ' ') + ' UTC',
  };
}

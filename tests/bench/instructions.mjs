// The pieces of pieces.c counted in instructions by callgrind: the same on every run, whatever else the machine does.
// `node instructions.mjs` records what they cost now.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const build = resolve(root, process.env.STAGELINE_BUILD ?? 'build');

export const recordedPath = join(here, 'instructions.json');
export const GROWTH_MAX = 1.1;
const ORDERS = 64; // TIMES in pieces.c

// What processors differ in stays out of it: everybody counts the plain code of libc and libcrypto.
const env = { PATH: process.env.PATH, LC_ALL: 'C', OPENSSL_ia32cap: '0:0',
  GLIBC_TUNABLES: 'glibc.cpu.hwcaps=-AVX2,-AVX,-BMI2,-ERMS,-FSRM,-AVX512F,-AVX512VL' };

const say = (...command) => execFileSync(command[0], command.slice(1), { encoding: 'utf8' }).trim();

// With another compiler or library the same source costs something else.
export function madeWith() {
  return { processor: say('uname', '-m'), gcc: say('gcc', '-dumpfullversion'),
    sqlite: say('pkg-config', '--modversion', 'sqlite3'), libc: say('getconf', 'GNU_LIBC_VERSION') };
}

// { PIECE: instructions per order } of callgrind's file: a function's own and, behind `calls=`, those it called.
function readCounts(text) {
  const counts = {};
  let piece = null;
  for (const line of text.split('\n')) {
    if (line.startsWith('fn='))
      piece = /^fn=piece_(\w+)$/.exec(line)?.[1];
    else if (piece && /^[\d+*-]/.test(line))
      counts[piece] = (counts[piece] ?? 0) + Number(line.split(' ')[1]);
  }
  const total = Number(/^summary: (\d+)$/m.exec(text)[1]);
  if (Object.values(counts).reduce((sum, n) => sum + n, 0) !== total)
    throw new Error('the pieces do not add up to what callgrind counted');
  return Object.fromEntries(Object.entries(counts).sort().map(([name, n]) => [name, Math.round(n / ORDERS)]));
}

// `twice`: a piece that is done twice.
export function countInstructions(twice) {
  const folder = mkdtempSync(join(tmpdir(), 'stageline-pieces-'));
  try {
    execFileSync('valgrind', ['-q', '--tool=callgrind', '--collect-atstart=no', '--toggle-collect=piece_*',
      '--compress-strings=no', '--compress-pos=no', `--callgrind-out-file=${folder}/out`,
      join(build, 'tests/bench/pieces'), join(root, 'config/orders.yaml'), ...(twice ? [twice] : [])], { env });
    return readCounts(readFileSync(join(folder, 'out'), 'utf8'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const readRecorded = () => JSON.parse(readFileSync(recordedPath, 'utf8'));

// [{ piece, now, was, ratio }] of every piece on either side; one that is missing has the ratio Infinity.
export function compare(now, was) {
  return [...new Set([...Object.keys(now), ...Object.keys(was)])].map((piece) => (
    { piece, now: now[piece], was: was[piece], ratio: now[piece] && was[piece] ? now[piece] / was[piece] : Infinity }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const now = countInstructions();
  writeFileSync(recordedPath, `${JSON.stringify({ made_with: madeWith(), per_order: now }, null, 1)}\n`);
  console.log(`${recordedPath}: instructions per order`);
  for (const [piece, n] of Object.entries(now))
    console.log(`  ${piece.padEnd(16)} ${n.toLocaleString('en').padStart(10)}`);
}

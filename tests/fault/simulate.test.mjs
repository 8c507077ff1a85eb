// The engine in a played world (18), and every verdict several times (10): two programs that need no daemon.
import test from 'node:test';
import { result, runProgram, size } from '../lib/faults.mjs';
import { seeded } from '../lib/random.mjs';

const seeds = size(200, 100_000);
const tasks = size(10_000, 1_000_000);
const parts = size(1, 2); // processes at once

test(`18_${seeds}_simulated_runs_keep_every_promise`, { timeout: 60_000 + seeds * 100 }, async () => {
  const random = seeded('simulate');
  const first = process.env.SEED ? random.seed : random.seed >>> 0;
  const n = process.env.SEED ? 1 : seeds / parts;
  const outputs = await Promise.all(Array.from({ length: process.env.SEED ? 1 : parts },
    (_, i) => runProgram('simulate', first + i * n, n)));
  const sums = {};
  for (const line of outputs)
    for (const [, count, word] of line.matchAll(/(\d+) (orders|events|turns|lives|faults|commands|granted|reloads|moves|erasures|verdicts)/g))
      sums[word] = (sums[word] ?? 0) + Number(count);
  result(18, 'simulation', { seeds: n * outputs.length, ...sums, 'first seed': first });
});

// 386: a repeated verdict in a batch that found no room left its finished stage marked as out.
// 8803522: after a commit that failed, and was on the disk all the same, an attempt of its order went out.
test('18_seeds_that_once_broke_a_promise_keep_it', async () => {
  for (const [seed, flag] of [[386, '--alone'], [8803522, '--disk']])
    await runProgram('simulate', seed, 1, flag);
});

test(`10_${tasks}_tasks_with_verdicts_repeated_and_reordered_have_one_effect_each`, { timeout: 120_000 + tasks }, async () => {
  const random = seeded('duplicates');
  const [, n, verdicts, orders] = /(\d+) tasks, (\d+) verdicts of (\d+) orders/.exec(await runProgram('duplicates', tasks, random.seed));
  result(10, 'verdicts 1 to 5 times, reordered', { tasks: n, verdicts, orders, seed: random.seed });
});

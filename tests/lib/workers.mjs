// What the coordinator says of its workers, and what stands in Redis for them.
import { getJson } from './orders.mjs';
import { until } from './until.mjs';

export const bus = async (s) => (await getJson(s, '/pipeline')).bus;
export const workerOf = async (s, w) => (await bus(s)).workers.find(({ pid }) => pid === w.pid);

export const serves = (s, w, n) => until(`the worker to take tasks of ${n} stages`, async () => (await workerOf(s, w))?.stages.length === n,
  { deadline: 30_000, detail: async () => `${JSON.stringify(await bus(s))}\n${w.logs()}` });
export const runs = (s, w, n) => until(`${n} to run`, async () => (await workerOf(s, w))?.stages[0].running === n);

export const streamOf = async (s, stage, redis) => (
  await redis.cli('--scan', '--pattern', `${s.bus.redis.prefix}:*:stage:${stage}:*`)).split('\n')[0];

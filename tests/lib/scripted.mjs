// Orders whose stages do what the order says: tests/plugins/scripted.c, one letter per attempt.
import { join } from 'node:path';
import { look, order, place } from './orders.mjs';
import { pipelineFile } from './pipeline.mjs';
import { build, startStageline } from './stageline.mjs';
import { until } from './until.mjs';

export const retry = { attempts: 3, backoff: '10ms', factor: 2, max: '1s', jitter: 0 };

// scriptedPipeline({ a: {}, b: { after: ['a'], rate: '5/s' } }): stages NAME with events NAME_done and, unless
// they are irreversible, NAME_undone.
export function scriptedPipeline(stages, { defaults = {}, state = {} } = {}) {
  const entries = Object.entries(stages).map(([name, policy]) => ({ name, plugin: 'scripted', status: `${name}_under_way`,
    event: `${name}_done`, ...(policy.irreversible ? {} : { undo_event: `${name}_undone` }), ...policy }));
  return pipelineFile(['pipeline: orders', `defaults: ${JSON.stringify({ timeout: '10s', retry, ...defaults })}`,
    `state: ${JSON.stringify(state)}`, 'stages:', ...entries.map((entry) => `  - ${JSON.stringify(entry)}`), ''].join('\n'));
}

// As startStageline; s.pipeline is its file.
export async function startScripted(stages, { config, env, bus, ...options } = {}) {
  const pipeline = scriptedPipeline(stages, options);
  return Object.assign(await startStageline({ pipeline, config, env, bus, flags: ['--plugins', join(build, 'tests/plugins')] }), { pipeline, bus });
}

// placeScripted(s, { a: 'rd', 'undo a': 'f' }): the order's id.
export const placeScripted = async (s, script = {}, changes = {}) => (
  await place(s, order({ 'PROD-002': 1 }, { script, ...changes }))).id;

// POST with JSON: { status, body }.
export async function send(s, path, body, headers = {}) {
  const answer = await fetch(`${s.url}${path}`, { method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) });
  return { status: answer.status, body: await answer.json() };
}

export const types = ({ events }) => events.map((e) => e.event_type);
export const ofType = ({ events }, type) => events.filter((e) => e.event_type === type);

// The order with its events as soon as `fits(whole)`.
export async function when(s, id, what, fits, deadline = 20_000) {
  let last = null;
  return until(`order ${id}: ${what}`, async () => {
    last = await look(s, id);
    return fits(last) && last;
  }, { deadline, detail: () => JSON.stringify(last, null, 1) });
}

export const onHold = (s, id) => when(s, id, 'on hold', ({ order: o }) => o.status === 'on_hold');
export const stageIs = (s, id, name, status) => when(s, id, `${name} ${status}`,
  ({ order: o }) => o.stages.find((stage) => stage.name === name).status === status);

// The stage as GET /pipeline shows it.
export async function stageOf(s, name) {
  const { stages } = await (await fetch(`${s.url}/pipeline`)).json();
  return stages.find((stage) => stage.name === name);
}

export const timeOf = (event) => Date.parse(event.timestamp);

export const plugins = join(build, 'tests/plugins');
export const stages = ['one', 'two', 'three', 'four'];

// A line of stages; the last one cannot be undone, the others can.
export function scriptedLine({ names = stages, attempts = 3, ...defaults } = {}) {
  return scriptedPipeline(Object.fromEntries(names.map((name, i) => [name, i < names.length - 1 ? {} : { irreversible: true }])),
    { defaults: { workers: 2, timeout: '5s', retry: { attempts, backoff: '5ms', max: '10ms' }, ...defaults } });
}

export const scripted = (script) => order({ 'PROD-002': 1 }, { script });

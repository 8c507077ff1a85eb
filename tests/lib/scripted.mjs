// Pipelines of scripted stages (tests/plugins/scripted.c), and what must come of an order's script.
import { join } from 'node:path';
import { build } from './stageline.mjs';
import { pipelineFile } from './pipeline.mjs';
import { order } from './orders.mjs';

export const plugins = join(build, 'tests/plugins');
export const stages = ['one', 'two', 'three', 'four'];

// The last stage cannot be undone; the others can.
export function scriptedPipeline({ names = stages, attempts = 3, ...defaults } = {}) {
  const entries = names.map((name, i) => ({ name, plugin: 'scripted', status: `at_${name}`, event: `${name}_done`,
    ...(i < names.length - 1 ? { undo_event: `${name}_undone` } : { irreversible: true }) }));
  return pipelineFile('pipeline: scripted\n'
    + `defaults: ${JSON.stringify({ workers: 2, timeout: '5s', retry: { attempts, backoff: '5ms', max: '10ms' }, ...defaults })}\n`
    + `stages:\n${entries.map((entry) => `  - ${JSON.stringify(entry)}\n`).join('')}`);
}

export const scripted = (script) => order({ 'PROD-002': 1 }, { script });

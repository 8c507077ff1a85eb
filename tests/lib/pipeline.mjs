// Pipeline files for tests: the four shipped stages, without their waiting.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './stageline.mjs';

export const given = { 'PROD-001': 100, 'PROD-002': 50, 'PROD-003': 25, 'PROD-004': 0 };
export const plenty = { 'PROD-001': 1e6, 'PROD-002': 1e6, 'PROD-003': 1e6, 'PROD-004': 0 };

const shipped = [
  ['validation', { status: 'validating', event: 'order_validated' }],
  ['payment', { status: 'payment_processing', event: 'payment_processed', undo_event: 'payment_refunded' }],
  ['inventory', { status: 'inventory_check', event: 'inventory_reserved', undo_event: 'inventory_released' }],
  ['shipping', { status: 'shipping', event: 'shipment_created', undo_event: 'shipment_cancelled' }],
];

// fastPipeline({ latency: '5ms', stock: plenty, stages: { payment: { workers: 1, config: {…} } } })
export function fastPipeline(options) {
  return pipelineFile(fastPipelineText(options));
}

export function fastPipelineText({
  latency = '0ms', stock = given, stages = {}, defaults = {}, products = [],
} = {}) {
  const entries = shipped.map(([name, fixed]) => {
    const { config = {}, ...policy } = stages[name] ?? {};
    return { name, plugin: name, ...fixed, ...policy, config: { latency, ...config } };
  });
  const list = (items) => items.map((item) => `  - ${JSON.stringify(item)}\n`).join('');
  return 'pipeline: orders\n'
    + `defaults: ${JSON.stringify({ workers: 4, timeout: '10s', ...defaults })}\n`
    + `catalog:\n${list([
      { id: 'PROD-001', name: 'Laptop', price: 999.99 }, { id: 'PROD-002', name: 'Mouse', price: 29.99 },
      { id: 'PROD-003', name: 'Keyboard', price: 79.99 }, { id: 'PROD-004', name: 'Monitor', price: 299.99 },
      ...products])}`
    + `state:\n${Object.entries(stock).map(([id, n]) => `  stock/${id}: ${n}\n`).join('')}`
    + `stages:\n${list(entries)}`;
}

export function pipelineFile(text) {
  const path = join(temporaryFolder(), 'pipeline.yaml');
  writeFileSync(path, text);
  return path;
}

export function hostFile(text) {
  const path = join(temporaryFolder(), 'stageline.yaml');
  writeFileSync(path, text);
  return path;
}

// config/monitoring: the rules and the dashboard ask for metrics that there are, and the rules do what they say.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { promtool, samples, scrape } from '../lib/metrics.mjs';
import { root, temporaryFolder } from '../lib/stageline.mjs';
import { onHold, placeScripted, startScripted } from '../lib/scripted.mjs';

const folder = join(root, 'config/monitoring');
const read = (name) => readFileSync(join(folder, name), 'utf8');
const dashboard = JSON.parse(read('grafana.json'));
const queries = dashboard.panels.flatMap((panel) => panel.targets.map((target) => target.expr));

test('the_rules_are_sound_and_raise_what_their_cases_say', () => {
  for (const args of [['check', 'rules', 'alerts.yaml'], ['test', 'rules', 'alerts.test.yaml']]) {
    const { status, output } = promtool(args, { cwd: folder });
    assert.equal(status, 0, output);
  }
});

test('every_metric_and_label_that_is_asked_for_is_there', async () => {
  const s = await startScripted({ bank: { retry: { attempts: 1 } } });
  await onHold(s, await placeScripted(s, { bank: 'r' }));
  await fetch(`${s.url}/`);
  const known = new Map();
  for (const { name, labels } of samples((await scrape(s)).text))
    known.set(name, new Set([...(known.get(name) ?? []), ...Object.keys(labels)]));
  for (const text of [...queries, ...read('alerts.yaml').split('\n').filter((line) => !/summary|description/.test(line))])
    for (const [, name, inner = ''] of text.matchAll(/\b(stageline_\w+)(?:\{([^}]*)\})?/g)) {
      assert.ok(known.has(name), `${name} is asked for, but not there`);
      for (const [, label] of inner.matchAll(/(\w+)(?:=~|!=|=)"/g))
        assert.ok(label === 'instance' || known.get(name).has(label), `${name} has no label ${label}`);
    }
  assert.equal(await s.stop(), 0);
});

test('the_dashboard_s_panels_have_ids_of_their_own_and_do_not_overlap', () => {
  const { panels } = dashboard;
  assert.equal(new Set(panels.map((p) => p.id)).size, panels.length);
  for (const { gridPos: a } of panels)
    for (const { gridPos: b } of panels)
      assert.ok(a === b || a.x >= b.x + b.w || b.x >= a.x + a.w || a.y >= b.y + b.h || b.y >= a.y + a.h,
        JSON.stringify([a, b]));
});

test('the_dashboard_s_queries_are_ones', () => {
  const file = join(temporaryFolder(), 'queries.yaml');
  const rules = queries.map((expr, i) => ({ record: `query:${i}`, expr: expr.replaceAll('$instance', 'i') }));
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
  const { status, output } = promtool(['check', 'rules', file]);
  assert.equal(status, 0, output);
});

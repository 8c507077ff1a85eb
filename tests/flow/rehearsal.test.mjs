// What a plugin finds wrong only when it starts: check and reload have it start once, in a process of its own.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { finished, getJson, place } from '../lib/orders.mjs';
import { pipelineFile } from '../lib/pipeline.mjs';
import { plugins, send } from '../lib/scripted.mjs';
import { build, runStageline, startStageline, temporaryFolder } from '../lib/stageline.mjs';

const shipped = join(build, 'plugins');
const flags = ['--plugins', plugins];
const stage = (name, more) => `  - ${JSON.stringify({ name, irreversible: true, ...more })}\n`;
const text = (...stages) => `pipeline: p\nstages:\n${stages.join('')}`;
const check = (...stages) => runStageline(['check', pipelineFile(text(...stages)), '--plugins', shipped, '--plugins', plugins]);
const url = 'http://127.0.0.1:9/';

// As line: text.
const faults = (err) => err.trim().split('\n').map((line) => line.replace(/^.*?\.yaml:(\d+):(\d+): error: /, '$1 '));

test('check_finds_what_plugins_find_when_they_start_all_at_once', async () => {
  const secret = join(temporaryFolder(), 'secret');
  writeFileSync(secret, 'whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTE=\n', { mode: 0o600 });
  const said = await check(
    stage('a', { plugin: 'http', config: { url: 'ftp://elsewhere/' } }),
    stage('b', { plugin: 'http', config: { url, secret_file: '/nowhere' } }),
    stage('c', { plugin: 'http', isolation: 'process', sandbox: { network: true }, config: { url, secret_file: secret } }),
    stage('d', { plugin: 'http', isolation: 'process', sandbox: { network: true, read: [secret] }, config: { url, secret_file: secret } }),
    stage('e', { plugin: 'exec', config: { command: ['there-is-no-such-program'] } }),
    stage('f', { plugin: 'failing_create' }),
    stage('g', { plugin: 'bad_start' }));
  assert.equal(said.code, 78);
  const lines = faults(said.err);
  assert.deepEqual(lines.slice(0, 5), [
    "3 stage 'a': plugin 'http' could not start: url must begin with http:// or https://",
    "4 stage 'b': plugin 'http' could not start: secret_file '/nowhere': No such file or directory",
    `5 stage 'c': plugin 'http' could not start: secret_file '${secret}': Permission denied`,
    "7 stage 'e': plugin 'exec' could not start: command: there is no program 'there-is-no-such-program'",
    "8 stage 'f': plugin 'failing_create' could not start: the licence has expired"]);
  assert.match(lines[5], /^9 stage 'g': plugin 'bad_start' could not start: SIGSEGV at address 0x8 in fall_into_segv/);
  assert.equal(lines.length, 6);
});

test('the_fault_stands_where_the_option_does', async () => {
  const file = pipelineFile('pipeline: p\nstages:\n  - name: a\n    plugin: http\n    irreversible: true\n    config:\n'
    + '      timeout: 2s\n      url: nowhere://\n');
  assert.match((await runStageline(['check', file, '--plugins', shipped])).err, /yaml:8:12: error: .*could not start: url: Unsupported/);
});

test('what_starts_is_accepted_and_serve_starts_it', async () => {
  const stages = [stage('a', { plugin: 'http', config: { url } }), stage('b', { plugin: 'slow_create' })];
  const said = await check(...stages);
  assert.deepEqual([said.code, said.err], [0, '']);
  const s = await startStageline({ pipeline: pipelineFile(text(...stages)), flags });
  assert.equal(await s.stop(), 0);
});

test('a_reload_is_refused_with_the_place_and_changes_nothing', async () => {
  const file = pipelineFile(text(stage('a', { plugin: 'scripted' })));
  const s = await startStageline({ pipeline: file, flags });
  const before = await getJson(s, '/pipeline');
  for (const isolation of ['thread', 'process']) {
    writeFileSync(file, text(stage('a', { plugin: 'scripted' }), stage('b', { plugin: 'http', isolation, config: { url: 'x' },
      ...isolation === 'process' && { sandbox: { network: true } } }), stage('c', { plugin: 'bad_start' })));
    const { status, body } = await send(s, '/pipeline/reload', {});
    assert.equal(status, 422);
    assert.deepEqual(body.errors.map((e) => [e.line, e.detail.split(': ')[0]]), [[4, "stage 'b'"], [5, "stage 'c'"]]);
  }
  const after = await getJson(s, '/pipeline');
  assert.equal(after.generation, before.generation);
  assert.match(JSON.stringify(after.last_reload), /could not start/);
  assert.equal((await finished(s, (await place(s)).id)).order.status, 'completed');
  assert.equal(await s.stop(), 0);
});

// Starting: what is wrong is said at once, all of it, and nothing half-started is left.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fastPipeline, fastPipelineText, hostFile, pipelineFile } from '../lib/pipeline.mjs';
import { build, freePort, root, runStageline, serveArgs, startStageline, temporaryFolder } from '../lib/stageline.mjs';

const BAD_CONFIG = 78;
const check = (file, ...more) => runStageline(['check', file, '--plugins', join(build, 'plugins'), ...more]);

async function serve(options) {
  const dataDir = options.dataDir ?? join(temporaryFolder(), 'data');
  const listen = options.listen ?? `127.0.0.1:${await freePort()}`;
  return { dataDir, ...await runStageline(serveArgs({ pipeline: fastPipeline(), ...options, dataDir, listen })) };
}

const faulty = fastPipelineText()
  .replace('stages:\n', 'stagez: 1\nstages:\n')
  .replace('"plugin":"payment"', '"plugin":"paymint"')
  .replace('"status":"shipping"', '"status":"shipping","timeout":"soon"')
  .replace('pipeline: orders\n', 'pipeline: orders\npipeline: again\n');

function assertAllFaults(err, file) {
  for (const [where, what] of [[/:2:1: error: .*pipeline/, 'the key given twice'], [/:\d+:1: error: .*stagez.*stages/s, 'the unknown key'],
    [/:\d+:\d+: error: .*paymint/, 'the unknown plugin'], [/:\d+:\d+: error: .*soon/, 'the duration']])
    assert.match(err, new RegExp(file.replaceAll('.', '\\.') + where.source, where.flags), `${what} is not in:\n${err}`);
  assert.match(err, /did you mean .?payment/);
}

test('an_invalid_pipeline_lists_all_faults_with_their_places_and_starts_nothing', async () => {
  const pipeline = pipelineFile(faulty);
  const end = await serve({ pipeline });
  assert.equal(end.code, BAD_CONFIG, end.err);
  assertAllFaults(end.err, pipeline);
  assert.ok(!existsSync(join(end.dataDir, 'journal.db')), 'a journal was made');
});

test('check_finds_what_serve_would_find', async () => {
  const pipeline = pipelineFile(faulty);
  const end = await check(pipeline);
  assert.equal(end.code, BAD_CONFIG, end.err);
  assertAllFaults(end.err, pipeline);
});

test('check_accepts_what_serve_starts', async () => {
  for (const file of [join(root, 'config/orders.yaml'), fastPipeline()]) {
    const end = await check(file);
    assert.equal(end.code, 0, end.err);
    const s = await startStageline({ pipeline: file });
    assert.equal(await s.stop(), 0);
  }
});

test('check_prints_a_schema_for_editors', async () => {
  const end = await runStageline(['check', '--schema']);
  assert.equal(end.code, 0, end.err);
  const schema = JSON.parse(end.out);
  assert.match(schema.$schema, /2020-12/);
  assert.ok(schema.properties.stages);
  assert.equal(end.out, readFileSync(join(root, 'config/pipeline.schema.json'), 'utf8'), 'config/ has another one');
});

for (const [name, text] of [
  ['a_pipeline_without_stages', 'pipeline: orders\n'],
  ['a_circle_of_stages', 'pipeline: orders\nstages:\n'
    + '  - {name: a, plugin: validation, status: a, event: a_done, after: [b]}\n'
    + '  - {name: b, plugin: validation, status: b, event: b_done, after: [a]}\n'],
  ['an_alias_bomb', `pipeline: orders\na: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'.split('').map((c, i) =>
    `${c}: &${c} [${Array(9).fill(`*${'abcdefghi'[i]}`)}]\n`).join('')}`],
  ['yaml_that_is_none', 'pipeline: [\n'],
  ['an_empty_file', ''],
]) {
  test(`${name}_is_refused_with_its_place`, async () => {
    const pipeline = pipelineFile(text);
    const end = await serve({ pipeline });
    assert.equal(end.code, BAD_CONFIG, end.err);
    assert.match(end.err, /pipeline\.yaml:\d+:\d+: error: /);
  });
}

test('a_bad_host_file_is_refused_with_its_place', async () => {
  const end = await serve({ config: hostFile('listn: 127.0.0.1:1\n') });
  assert.equal(end.code, BAD_CONFIG, end.err);
  assert.match(end.err, /stageline\.yaml:1:1: error: .*listn.*listen/s);
});

test('a_missing_file_is_named', async () => {
  const end = await serve({ pipeline: '/nowhere/orders.yaml' });
  assert.equal(end.code, BAD_CONFIG, end.err);
  assert.match(end.err, /\/nowhere\/orders\.yaml/);
});

for (const [name, make] of [
  ['a_file_is_in_its_place', (path) => writeFileSync(path, '')],
  ['it_may_not_be_written', (path) => mkdirSync(path, { mode: 0o500 })],
  ['its_parent_is_missing', () => {}],
]) {
  const needsMount = name === 'it_may_not_be_written' && process.getuid() === 0;
  test(`a_data_folder_that_cannot_be_used_is_named_when_${name}`, async (t) => {
    const dataDir = join(temporaryFolder(), name === 'its_parent_is_missing' ? 'missing/data' : 'data');
    make(dataDir);
    if (needsMount) { // root may write wherever anybody may
      const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', dataDir], { stdio: 'ignore' });
      if (status !== 0)
        return t.skip('needs to mount a read-only file system when run as root');
      t.after(() => spawnSync('umount', ['-l', dataDir]));
    }
    const end = await serve({ dataDir });
    assert.equal(end.code, 1, end.err);
    assert.match(end.err, /^stageline: error: /m);
    assert.ok(end.err.includes(dataDir), end.err);
    assert.match(end.err, /Not a directory|Read-only|Permission denied|No such file/);
  });
}

test('a_missing_folder_of_the_client_is_named', async () => {
  const www = join(temporaryFolder(), 'nowhere');
  const end = await serve({ www });
  assert.equal(end.code, 1, end.err);
  assert.match(end.err, new RegExp(`error: .*${www}.*No such file`));
});

test('listening_on_every_address_is_refused_with_the_reason', async () => {
  const end = await serve({ listen: `0.0.0.0:${await freePort()}` });
  assert.equal(end.code, BAD_CONFIG, end.err);
  assert.match(end.err, /token|loopback/i);
});

for (const [name, address] of [['every_address', '0.0.0.0:8000'], ['every_address_of_version_6', '[::]:8000'], ['an_address_of_the_net', '192.0.2.1:80']])
  test(`a_host_file_that_listens_on_${name}_is_refused_by_check_as_by_serve`, async () => {
    const config = hostFile(`log_level: info\nlisten: "${address}"\n`);
    const place = new RegExp(`^${config.replaceAll('.', '\\.')}:2:9: error: listening on .* is refused: it is not a loopback address`);
    for (const end of [await check(fastPipeline(), '--config', config), await serve({ config })]) {
      assert.equal(end.code, BAD_CONFIG, end.err);
      assert.match(end.err, place);
    }
  });

test('check_accepts_a_host_file_that_listens_on_loopback', async () => {
  for (const address of ['localhost:8000', '127.0.0.2:1', '[::1]:8000']) {
    const end = await check(fastPipeline(), '--config', hostFile(`listen: "${address}"\n`));
    assert.equal(end.code, 0, end.err);
  }
});

test('a_second_daemon_on_the_same_data_is_refused', async () => {
  const s = await startStageline({ pipeline: fastPipeline() });
  const end = await serve({ dataDir: s.dataDir });
  assert.notEqual(end.code, 0);
  assert.match(end.err, /another|in use|already|lock/i);
  assert.equal((await fetch(`${s.url}/readyz`)).status, 200);
  assert.equal(await s.stop(), 0);
});

test('a_port_that_is_taken_is_named', async () => {
  const s = await startStageline({ pipeline: fastPipeline() });
  const end = await serve({ listen: `127.0.0.1:${s.port}` });
  assert.notEqual(end.code, 0);
  assert.match(end.err, new RegExp(`${s.port}`));
  assert.equal(await s.stop(), 0);
});

test('an_unknown_command_or_flag_is_a_usage_error', async () => {
  assert.equal((await runStageline(['sevre'])).code, 2);
  assert.equal((await runStageline(['serve', '--pipline', 'x'])).code, 2);
  assert.equal((await runStageline(['version'])).code, 0);
});

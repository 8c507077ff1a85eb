// The service and the programs of plugins/any-language.md, as they stand there, with their entries of the pipeline file.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { finished, order, place, state } from '../lib/orders.mjs';
import { pipelineFile } from '../lib/pipeline.mjs';
import { ofType, onHold } from '../lib/scripted.mjs';
import { freePort, root, startStageline, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const page = readFileSync(join(root, 'plugins/any-language.md'), 'utf8');
const blocks = (language) => [...page.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'gm'))].map((m) => m[1]);
const [[service, signature, guard, python], [shell], [httpEntry, execEntry]] = ['python', 'sh', 'yaml'].map(blocks);
const LINES_MAX = 20;
const assertShort = (text) => assert.ok(text.split('\n').filter((line) => line.trim()).length <= LINES_MAX, text);
const declines = '  - {name: last, plugin: payment, undo_event: undone_last, when: {field: fails, equals: true}, config: {decline_rate: 1}}\n';
const pipeline = (entry) => pipelineFile(`pipeline: orders\nstate: {paper: 3}\nstages:\n${entry}${declines}`);

// The service with the signature looked at, put in where the page says.
const signed = (text) => signature + text.replace(/^ *body = .*\n/m, (line) => line + guard);

// python3 with that service in the folder; where it listens.
async function startService(folder, text) {
  const port = await freePort();
  writeFileSync(join(folder, 'service.py'), text.replace('8080', port));
  const child = spawn('/usr/bin/python3', ['service.py'], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk) => { log += chunk; });
  after(() => child.kill('SIGKILL'));
  await until('the service to listen', () => new Promise((done) => {
    const probe = createConnection(port, '127.0.0.1', () => { probe.destroy(); done(true); }).on('error', () => done(false));
  }), { detail: () => log });
  return port;
}

async function wraps(s) {
  const wrapped = await finished(s, (await place(s)).id);
  assert.equal(wrapped.order.status, 'completed');
  assert.deepEqual([ofType(wrapped, 'gift_wrapped')[0].message, ofType(wrapped, 'gift_wrapped')[0].metadata], ['Wrapped', { paper: 'red' }]);
  assert.equal((await state(s, 'paper')).paper, 2);
}

test('the_service_of_the_page_wraps_refuses_and_unwraps', async () => {
  assertShort(service);
  const port = await startService(temporaryFolder(), service);
  const s = await startStageline({ pipeline: pipeline(httpEntry.replace('8080', port).replace(', secret_file: secret', '')) });
  await wraps(s);
  const refused = await finished(s, (await place(s, order({ 'PROD-001': 2 }))).id);
  assert.match(refused.order.error, /Too precious to be a gift/);
  const unwrapped = await finished(s, (await place(s, order({ 'PROD-002': 1 }, { fails: true }))).id);
  assert.equal(ofType(unwrapped, 'gift_unwrapped')[0].message, 'Unwrapped');
  assert.equal((await state(s, 'paper')).paper, 2);
  assert.equal(await s.stop(), 0);
});

test('the_service_of_the_page_knows_who_asks_when_it_looks_at_the_signature', async () => {
  const folder = temporaryFolder();
  const secret = join(folder, 'secret');
  writeFileSync(secret, `whsec_${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  const entry = httpEntry.replace('8080', await startService(folder, signed(service)));
  const s = await startStageline({ pipeline: pipeline(entry.replace('secret_file: secret', `secret_file: ${secret}`)) });
  await wraps(s);
  assert.equal(await s.stop(), 0);

  const other = `secret: whsec_${randomBytes(32).toString('base64')}`;
  const stranger = await startStageline({ pipeline: pipeline(entry.replace('secret_file: secret', other)
    .replace('    event', '    retry: {attempts: 1}\n    event')) });
  const { id } = await place(stranger);
  assert.match((await onHold(stranger, id)).order.error, /401 Unauthorized: wrong signature/);
  assert.equal(await stranger.stop(), 0);
});

for (const [language, file, text, command] of [['shell', 'card.sh', shell, 'sh'], ['python', 'card.py', python, '/usr/bin/python3']])
  test(`the_program_of_the_page_in_${language}_prints_and_throws_away`, async () => {
    assertShort(text);
    const folder = join(temporaryFolder(), 'cards');
    mkdirSync(folder);
    writeFileSync(join(folder, file), text);
    const s = await startStageline({ pipeline: pipeline(execEntry.replace('/srv/cards', folder).replace('sh, card.sh', `${command}, ${file}`)) });

    const printed = await finished(s, (await place(s, order({ 'PROD-002': 1 }, { note: '","direction":"undo","id":"9" \\ ü\n' }))).id);
    assert.equal(printed.order.status, 'completed', JSON.stringify(printed));
    const [event] = ofType(printed, 'card_printed');
    assert.equal(event.message, 'Card printed');
    assert.equal(readFileSync(join(folder, event.metadata.file), 'utf8'), `Thank you for order ${printed.order.id}!\n`);
    const undone = await finished(s, (await place(s, order({ 'PROD-002': 1 }, { fails: true }))).id);
    assert.equal(ofType(undone, 'card_thrown_away')[0].message, 'Card thrown away');
    assert.ok(!existsSync(join(folder, ofType(undone, 'card_printed')[0].metadata.file)));
    assert.equal(await s.stop(), 0);
  });

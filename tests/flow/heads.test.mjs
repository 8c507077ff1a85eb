// Heads of the chain, noted outside: in the log, in a file, at a URL.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import test from 'node:test';
import { audit, sql, trade } from '../lib/history.mjs';
import { journalFile } from '../lib/oracle.mjs';
import { fastPipeline, hostFile } from '../lib/pipeline.mjs';
import { root, runStageline, startStageline, temporaryFolder } from '../lib/stageline.mjs';
import { until } from '../lib/until.mjs';

const settings = (heads) => hostFile(`www: ${join(root, 'www')}\nheads: ${JSON.stringify(heads)}\n`);
const headOf = (file) => sql(file, 'SELECT seq || \':\' || lower(hex(hash)) FROM events ORDER BY seq DESC LIMIT 1').trim();

// Takes what is posted; answers with `status`, or never (0).
async function receiver(t, status = 204) {
  const bodies = [];
  const server = createServer((request, answer) => {
    let text = '';
    request.on('data', (chunk) => { text += chunk; });
    request.on('end', () => {
      bodies.push({ path: request.url, body: JSON.parse(text) });
      if (status)
        answer.writeHead(status).end();
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { bodies, url: `http://127.0.0.1:${server.address().port}/heads` };
}

test('the_last_head_is_logged_at_the_stop', async () => {
  const s = await startStageline({ pipeline: fastPipeline() });
  await trade(s, 2);
  assert.equal(await s.stop(), 0);
  assert.equal(/ head=(\S+)/.exec(s.logs())[1], headOf(journalFile(s)));
});

test('heads_go_to_a_file_and_to_a_url_while_it_runs_and_at_the_stop', async (t) => {
  const { bodies, url } = await receiver(t);
  const file = join(temporaryFolder(), 'heads.log');
  const s = await startStageline({ pipeline: fastPipeline(), config: settings({ every: '1s', file, url }) });
  await trade(s, 2);
  await until('a head to be noted', () => bodies.length > 0, { deadline: 20_000 });
  const running = bodies.length;
  await trade(s, 2);
  await s.stop();
  const last = headOf(journalFile(s));
  assert.ok(bodies.length > running);
  assert.equal(bodies.at(-1).body.head, last);
  assert.equal(bodies[0].path, '/heads');
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  assert.deepEqual(lines.map((line) => /^time=\S+Z head=(\S+)$/.exec(line)[1]), bodies.map(({ body }) => body.head));

  const logged = [...s.logs().matchAll(/ info  head=(\S+)$/gm)].map(([, head]) => head);
  for (const { body } of bodies)
    assert.ok(logged.includes(body.head), `the log lacks ${body.head}`);

  assert.equal((await audit('verify', journalFile(s), '--heads', file)).code, 0);
  sql(journalFile(s), 'DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)');
  assert.match((await audit('verify', journalFile(s), '--heads', file)).err, /was cut off/);
});

test('what_does_not_take_heads_is_logged_and_holds_nobody_up', async (t) => {
  const { url } = await receiver(t, 500);
  const s = await startStageline({ pipeline: fastPipeline(),
    config: settings({ every: '1s', file: '/nowhere/heads.log', url }) });
  await trade(s, 2);
  await until('the refusal to be logged', () => /heads url=\S+ takes none: the answer was 500/.test(s.logs()), { deadline: 20_000 });
  assert.match(s.logs(), /heads file=\/nowhere\/heads\.log cannot be written: No such file/);
  await trade(s, 2);
  assert.equal(await s.stop(), 0);
});

test('a_url_that_never_answers_does_not_keep_the_daemon_from_stopping', async (t) => {
  const { url, bodies } = await receiver(t, 0);
  const s = await startStageline({ pipeline: fastPipeline(), config: settings({ url }) });
  await trade(s, 2);
  assert.equal(await s.stop(), 0);
  assert.equal(bodies.length, 1);
  assert.match(s.logs(), /heads url=\S+ takes none: no answer/);
  assert.doesNotMatch(s.logs(), /stopping took longer/);
});

for (const [url, words] of [['ftp://x', /is not a URL such as http:/], ['https://x/heads', /only http:\/\/ is spoken here/]]) {
  test(`a_url_that_cannot_be_used_is_a_fault_of_the_file (${url})`, async () => {
    const config = settings({ url });
    for (const args of [['check', '--config', config, fastPipeline()], ['serve', '--config', config]]) {
      const { code, err } = await runStageline(args);
      assert.equal(code, 78, err);
      assert.match(err, /^\S+:\d+:\d+: error: /);
      assert.match(err, words);
    }
  });
}

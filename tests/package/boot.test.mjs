// The packages on a Debian that boots real systemd: installed, confined, edited, killed, restarted, upgraded, removed.
// The tests tell one story and run in order.
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { test } from 'node:test';
import { inside, journal, must, property, read, write } from '../lib/machine.mjs';
import { getJson, look, order, place } from '../lib/orders.mjs';
import { until } from '../lib/until.mjs';

const s = { url: 'http://127.0.0.1:8000' };
const service = 'stageline.service';
const pipelineFile = '/etc/stageline/orders.yaml';
const slow = { deadline: 60_000 };

const isReady = () => fetch(`${s.url}/readyz`).then((a) => a.ok, () => false);
const becomesReady = () => until('the daemon to be ready', isReady, { ...slow, detail: () => journal('-n 30') });
const completes = (id) => until(`order ${id} to complete`, async () => (await look(s, id)).order.status === 'completed',
  { ...slow, detail: async () => JSON.stringify(await look(s, id)) });

// One order over a connection of its own; the answer's body. Whatever is refused or cut off is an error.
function placeAlone() {
  const body = JSON.stringify(order());
  return new Promise((done, fail) => {
    const asked = request(`${s.url}/orders`, { method: 'POST', agent: new Agent({ keepAlive: false }),
      headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk) => { text += chunk; }).on('error', fail);
      answer.on('end', () => (answer.statusCode === 200 ? done(JSON.parse(text)) : fail(new Error(`${answer.statusCode} ${text}`))));
    });
    asked.on('error', fail).end(body);
  });
}

// Orders one after the other in each of four lines, until stop(): { ids, errors }.
function load() {
  const result = { ids: [], errors: [] };
  let isOver = false;
  const line = async () => {
    while (!isOver)
      await placeAlone().then(({ id }) => result.ids.push(id), (error) => result.errors.push(String(error)));
  };
  const lines = [line(), line(), line(), line()];
  return { result, async stop() { isOver = true; await Promise.all(lines); return result; } };
}

async function allEnd(ids) {
  await until('all orders to end', async () => (await getJson(s, '/stats')).in_flight === 0,
    { ...slow, detail: async () => JSON.stringify(await getJson(s, '/stats')) });
  for (const id of ids)
    assert.equal((await look(s, id)).order.status, 'completed', id);
}

const generation = async () => (await getJson(s, '/pipeline')).generation;

async function edit(change) {
  const before = await generation();
  await write(pipelineFile, change(await read(pipelineFile)));
  await must('systemctl reload stageline', slow);
  await until('another generation', async () => await generation() !== before, { ...slow, detail: () => journal('-n 30') });
}

test('apt_installs_it_and_the_service_is_active', async () => {
  await must('apt-get install -y -q --no-install-recommends $(ls /packages/*.deb | grep -v later)');
  await becomesReady();
  assert.equal(await property('ActiveState'), 'active');
  assert.equal(await property('UnitFileState'), 'enabled');
  assert.equal(await property('ActiveState', 'stageline.socket'), 'active');
  assert.equal(await must('stat -c "%U:%G %a" /var/lib/stageline'), 'stageline:stageline 750');
  assert.equal(await must('stat -c "%U:%G %a" /usr/local/lib/stageline/stages /etc/stageline/secrets'), 'root:root 755\nroot:root 700');
  assert.equal(await must('ps -o user= -p $(systemctl show -P MainPID stageline)'), 'stageline');
  assert.equal((await getJson(s, '/health')).status, 'healthy');
  assert.match(await (await fetch(`${s.url}/`)).text(), /<html/);
});

test('it_is_confined', async () => {
  const said = await must(`systemd-analyze security --no-pager --threshold=15 ${service}`);
  console.log(said.split('\n').at(-1));
  const status = await read('/proc/$(systemctl show -P MainPID stageline)/status');
  assert.match(status, /^NoNewPrivs:\t1$/m);
  assert.match(status, /^Seccomp:\t2$/m);
  for (const set of ['CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
    assert.match(status, new RegExp(`^${set}:\t0{16}$`, 'm'));
});

test('its_threads_may_ask_for_short_turns', async () => {
  assert.ok((await property('SystemCallFilter')).split(' ').includes('sched_setattr'), 'the filter takes them');
  const turns = await must('cd /proc/$(systemctl show -P MainPID stageline)/task; '
    + 'for t in *; do echo $(cat $t/comm) $(grep ^se.slice $t/sched); done');
  if (turns.includes('se.slice')) // since Linux 6.12
    assert.match(turns, /^sequencer se\.slice : 100000$/m);
  else
    console.log('this kernel does not tell of turns');
});

test('orders_are_placed_over_http', async () => {
  const { id } = await place(s);
  await completes(id);
  assert.match(await must(`stageline orders show ${id}`), /completed/);
});

test('an_edited_pipeline_is_taken_up_by_a_reload', async () => {
  await edit((text) => text.replaceAll(/latency: .*/g, 'latency: 0ms'));
  const { id } = await place(s);
  await completes(id);
});

test('a_faulty_pipeline_is_named_by_the_reload_and_changes_nothing', async () => {
  const [before, good] = [await generation(), await read(pipelineFile)];
  await write(pipelineFile, `${good}\nstagez: 1\n`);
  const { code } = await inside('systemctl reload stageline');
  assert.notEqual(code, 0);
  assert.match(await journal('-n 20'), /orders\.yaml:\d+:1: error: .*stagez/);
  assert.equal(await property('ActiveState'), 'active');
  assert.equal(await generation(), before);
  await write(pipelineFile, good);
});

test('stages_in_processes_with_a_sandbox_work_under_the_hardening', async () => {
  await edit((text) => text.replace('  - name: payment\n', '  - name: payment\n    isolation: process\n    workers: 1\n'));
  const { id } = await place(s);
  await completes(id);
  assert.doesNotMatch(await journal('-o cat'), /sandbox: /, 'the sandbox lacks something');
});

test('a_stage_built_against_the_dev_package_is_dropped_in', async () => {
  await must(`cd /root && cp -r /usr/share/doc/stageline-dev/examples/template/. . && gunzip -f *.gz 2>/dev/null
    cc -shared -fPIC -fvisibility=hidden -Wl,-z,defs $(pkg-config --cflags stageline) -o /usr/local/lib/stageline/stages/example.so example.c`);
  await edit((text) => `${text}\n  - name: example\n    event: example_done\n    undo_event: example_undone\n`);
  const { id } = await place(s);
  await completes(id);
  assert.ok((await look(s, id)).events.some((e) => e.event_type === 'example_done'));
});

test('log_lines_have_fields', async () => {
  await must('kill -SEGV $(pgrep -P $(systemctl show -P MainPID stageline) | head -1)');
  const line = await until('the line of the crash', async () => {
    const out = await journal('-o json STAGELINE_STAGE=payment PRIORITY=3');
    return out && JSON.parse(out.split('\n').at(-1));
  });
  assert.match(line.MESSAGE, /^stage=payment process=\d+ crashed/);
  assert.equal(line.SYSLOG_IDENTIFIER, 'stageline');
});

test('secrets_of_root_reach_the_daemon_as_credentials', async () => {
  await must('umask 077; cat > /etc/stageline/secrets/gift', { input: 'whsec_x\n' });
  await must('systemctl restart stageline', slow);
  await becomesReady();
  assert.equal(await must('cat /proc/$(systemctl show -P MainPID stageline)/root/run/credentials/stageline.service/secrets_gift'), 'whsec_x');
  assert.notEqual((await inside('runuser -u stageline -- cat /etc/stageline/secrets/gift')).code, 0);
});

test('kill_9_is_followed_by_a_start_and_nothing_is_lost', async () => {
  const pid = await property('MainPID');
  const work = load();
  await until('orders', () => work.result.ids.length >= 50);
  await must(`kill -9 ${pid}`);
  await until('another process', async () => ![pid, '0'].includes(await property('MainPID')), slow);
  await becomesReady();
  const { ids } = await work.stop();
  await allEnd(ids);
  assert.ok(Number(await property('NRestarts')) >= 1);
});

test('a_daemon_that_stands_still_is_started_again_by_the_watchdog', async () => {
  const folder = '/run/systemd/system/stageline.service.d';
  await must(`mkdir -p ${folder}; printf '[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s\n' > ${folder}/soon.conf
    systemctl daemon-reload; systemctl restart stageline`, slow);
  await becomesReady();
  const pid = await property('MainPID');
  await must(`kill -STOP ${pid}`);
  await until('another process', async () => ![pid, '0'].includes(await property('MainPID')), slow);
  assert.match(await journal('-n 20'), /Watchdog timeout/);
  await becomesReady();
  await must(`rm -r ${folder}; systemctl daemon-reload; systemctl restart stageline`, slow);
  await becomesReady();
});

test('restarts_under_load_refuse_no_connection', async () => {
  const work = load();
  for (let i = 0; i < 3; i++) {
    const n = work.result.ids.length;
    await until('orders', () => work.result.ids.length > n + 20, slow);
    await must('systemctl restart stageline', slow);
  }
  const n = work.result.ids.length;
  await until('orders after it', () => work.result.ids.length > n + 20, slow);
  const { ids, errors } = await work.stop();
  assert.deepEqual(errors, []);
  await allEnd(ids);
});

test('an_upgrade_with_orders_in_flight_loses_none_and_keeps_the_pipeline', async () => {
  const [edited, pid] = [await read(pipelineFile), await property('MainPID')];
  const work = load();
  await until('orders', () => work.result.ids.length >= 20, slow);
  await must('apt-get install -y -q --no-install-recommends /packages/*later*.deb');
  const n = work.result.ids.length;
  await until('orders after it', () => work.result.ids.length > n + 20, slow);
  const { ids, errors } = await work.stop();
  assert.deepEqual(errors, []);
  assert.match(await must('dpkg-query -W -f \'${Version}\' stageline'), /later/);
  assert.notEqual(await property('MainPID'), pid);
  assert.equal(await read(pipelineFile), edited);
  await allEnd(ids);
});

const offline = (line) => must(`runuser -u stageline -- stageline ${line}`);

test('a_backup_is_made_under_load_and_put_back', async () => {
  const work = load();
  await until('orders', () => work.result.ids.length >= 20, slow);
  await offline('backup /var/lib/stageline/copy.sqlite');
  const { ids, errors } = await work.stop();
  assert.deepEqual(errors, []);
  await offline('audit verify');
  await must(`systemctl stop stageline.socket stageline
    rm -f /var/lib/stageline/journal.sqlite-wal /var/lib/stageline/journal.sqlite-shm /var/lib/stageline/attempts
    install -o stageline -g stageline -m 600 /var/lib/stageline/copy.sqlite /var/lib/stageline/journal.sqlite
    systemctl start stageline`, slow);
  await becomesReady();
  await allEnd(ids.slice(0, 20));
  await completes((await place(s)).id);
});

test('ended_orders_are_archived_while_the_daemon_is_stopped', async () => {
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  const archive = `archive --before ${tomorrow} --reason 'year end' /var/lib/stageline/orders.archive`;
  assert.match((await inside(`runuser -u stageline -- stageline ${archive}`)).out, /stop the daemon first/);
  await must('systemctl stop stageline.socket stageline', slow);
  await offline(archive);
  await must('systemctl start stageline', slow);
  await becomesReady();
  await offline('audit verify --archive /var/lib/stageline/orders.archive --data /var/lib/stageline');
  await completes((await place(s)).id);
});

test('workers_run_stages_through_redis_and_are_confined_too', async () => {
  const worker = 'stageline-worker@1.service';
  const [host, secret] = [await read('/etc/stageline/stageline.yaml'), '/etc/stageline/secrets/redis'];
  await must(`umask 077; cat > ${secret}`, { input: 'secret-of-redis\n' });
  await must('sed -i "s/^# requirepass .*/requirepass secret-of-redis/" /etc/redis/redis.conf && systemctl start redis-server', slow);
  await write('/etc/stageline/stageline.yaml', `${host}
bus: {redis: {url: redis://127.0.0.1:6379, worker: false, password_file: /run/credentials/stageline.service/secrets_redis}}\n`);
  await write('/etc/stageline/worker-1.env', 'OPTIONS=--stages validation,payment,inventory,shipping,example\n');
  await must('systemctl restart stageline', slow);
  await must(`systemctl start ${worker}`, slow);
  await becomesReady();
  console.log((await must(`systemd-analyze security --no-pager --threshold=15 ${worker}`)).split('\n').at(-1));
  await completes((await place(s)).id);

  const pid = await property('MainPID', worker);
  assert.equal(await must(`ps -o user= -p ${pid}`), 'stageline');
  const { id } = await place(s);
  await must(`kill -9 ${pid}`);
  await until('another worker', async () => ![pid, '0'].includes(await property('MainPID', worker)), slow);
  await completes(id);
  await must(`systemctl stop ${worker}`, slow);
  assert.equal(await property('Result', worker), 'success');
  await must('systemctl stop redis-server', slow);
  await write('/etc/stageline/stageline.yaml', host);
  await must('systemctl restart stageline', slow);
  await becomesReady();
});

test('a_bad_setting_is_not_tried_again_and_again', async () => {
  const good = await read('/etc/stageline/stageline.yaml');
  await write('/etc/stageline/stageline.yaml', `${good}\nlistn: 1\n`);
  assert.notEqual((await inside('systemctl restart stageline', slow)).code, 0);
  assert.equal(await property('ActiveState'), 'failed');
  assert.equal(await property('ExecMainStatus'), '78');
  assert.match(await journal('-n 20'), /stageline\.yaml:\d+:1: error: .*listn/);
  await write('/etc/stageline/stageline.yaml', good);
  await must('systemctl start stageline', slow);
  await becomesReady();
});

test('removing_keeps_the_journal_and_purging_takes_it', async () => {
  await must('apt-get remove -y -q stageline');
  assert.notEqual((await inside('systemctl is-active stageline stageline.socket')).code, 0);
  assert.equal(await isReady(), false);
  await must('test -s /var/lib/stageline/journal.sqlite -a -s /etc/stageline/orders.yaml');
  await must('apt-get purge -y -q stageline');
  await must('test ! -e /var/lib/stageline -a ! -e /etc/stageline/orders.yaml -a ! -e /usr/bin/stageline');
  assert.equal((await inside('systemctl list-unit-files "stageline*" --no-legend')).out, '');
});

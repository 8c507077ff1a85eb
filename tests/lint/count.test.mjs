// The sum at the end of `packaging/dev test` is honest: crashes, parts that did not run and files that died
// count as failures, and the parts after them run all the same.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

function run(command, args) {
  const env = { ...process.env };
  delete env.NODE_TEST_CONTEXT; // else the inner runner reports to ours
  const end = spawnSync(command, args, { encoding: 'utf8', env });
  return { code: end.status, lines: (end.stderr + end.stdout).trimEnd().split('\n') };
}

function withFiles(files, use) {
  const dir = mkdtempSync(join(tmpdir(), 'stageline-count-'));
  try {
    for (const [name, text] of Object.entries(files))
      writeFileSync(join(dir, name), text);
    return use(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

// parts('part a echo …'): the shell functions of `packaging/dev test`, with other parts.
const parts = (script) => run('bash', ['-c',
  `set -euo pipefail; root=.; build=build; . "${root}/packaging/dev.d/test.sh"; ${script}; sum_up`]);

const good = "part good echo 'unit: 3 passed, 0 failed'";

for (const [name, script, sum] of [
  ['passes_are_added_up', `${good}; ${good}`, '6 passed, 0 failed'],
  ['skips_are_shown', `${good}; part s echo 'node: 1 passed, 0 failed, 2 skipped'`, '4 passed, 0 failed, 2 skipped'],
  ['failures_are_added_up', `part f sh -c 'echo "node: 1 passed, 2 failed"; exit 1'; ${good}`, '4 passed, 2 failed'],
  ['a_part_that_dies_before_its_sum_counts_as_one', `part d sh -c 'exit 3'; ${good}`, '3 passed, 1 failed'],
  ['a_part_that_dies_after_its_sum_counts_as_one', `part d sh -c 'echo "node: 5 passed, 0 failed"; kill -9 $$'`,
    '5 passed, 1 failed'],
  ['a_part_without_a_sum_counts_as_one', `part q true; ${good}`, '3 passed, 1 failed'],
  ['a_part_that_cannot_start_counts_as_one', `part n /no/such/program; ${good}`, '3 passed, 1 failed'],
]) {
  test(name, () => {
    const { code, lines } = parts(script);
    assert.equal(lines.at(-1), sum);
    assert.equal(code, sum.includes(' 0 failed') ? 0 : 1);
  });
}

test('what_failed_is_named_at_the_end_with_its_reason_once', () => {
  const log = ['ok   a (1 ms)', 'FAIL b [x.test.mjs]', '     Error: no', '     ', '         at c', 'ok   d (1 ms)',
    'The 2 failures again:', '', 'FAIL b [x.test.mjs]', '     Error: no', 'node: 3 passed, 1 failed'];
  const { lines } = parts(`${good}; part f printf '%s\\n' ${log.map((line) => `'${line}'`).join(' ')}; ${good}`);
  const end = lines.slice(lines.indexOf('What failed:'));
  assert.deepEqual(end.slice(2, 6), log.slice(1, 5));
  assert.deepEqual(end.slice(6).map((line) => line.replace(/ +\d+ passed .*$/, '')),
    ['', 'ok   good', 'FAIL f', '     b [x.test.mjs]', 'ok   good', '', '9 passed, 1 failed']);
});

const report = (files) => withFiles(files, (dir) => run(process.execPath, ['--test',
  `--test-reporter=${root}/tests/lib/report.mjs`, ...Object.keys(files).map((name) => join(dir, name))]));

const head = "import test from 'node:test';\n";

test('the_reporter_counts_tests_not_files', () => {
  const { code, lines } = report({
    'a.test.mjs': `${head}test('one', () => {}); test('two', () => {});`,
    'b.test.mjs': `${head}test('three', () => {}); test('four', { skip: 'why' }, () => {});` });
  assert.equal(lines.at(-1), 'node: 3 passed, 0 failed, 1 skipped');
  assert.equal(code, 0);
});

test('the_reporter_counts_a_failure_once', () => {
  const { code, lines } = report({ 'a.test.mjs': `${head}test('one', () => {}); test('two', () => { throw Error('no'); });` });
  assert.equal(lines.at(-1), 'node: 1 passed, 1 failed');
  assert.equal(code, 1);
});

for (const [name, text, sum] of [
  ['cannot_be_loaded', "import './nothing.mjs';", 'node: 0 passed, 1 failed'],
  ['exits_in_the_middle', `${head}test('one', () => process.exit(3));`, 'node: 0 passed, 1 failed'],
  ['fails_before_its_tests', `import { before } from 'node:test';\n${head}before(() => { throw Error('no'); });\ntest('one', () => {});`,
    'node: 0 passed, 1 failed'],
]) {
  test(`the_reporter_counts_a_file_that_${name}`, () => {
    const { code, lines } = report({ 'a.test.mjs': text });
    assert.equal(lines.at(-1), sum, lines.join('\n'));
    assert.equal(code, 1);
  });
}

const unit = (...tests) => withFiles({ log: tests.map((t) => JSON.stringify(t)).join('\n') },
  (dir) => run(process.execPath, [join(root, 'tests/lib/unit-count.mjs'), join(dir, 'log')]));
const fine = { name: 'a', result: 'OK', returncode: 0, stdout: 'x\nunit: 4 passed, 0 failed\n' };

test('unit_programs_are_added_up', () => {
  const { code, lines } = unit(fine, { ...fine, result: 'FAIL', returncode: 1, stdout: 'unit: 1 passed, 2 failed\n' });
  assert.deepEqual([code, lines.at(-1)], [1, 'unit: 5 passed, 2 failed']);
});

test('a_unit_program_that_crashes_counts_as_a_failure', () => {
  for (const stdout of ['', 'unit: 4 passed, 0 failed\n']) {
    const { code, lines } = unit(fine, { ...fine, result: 'FAIL', returncode: -11, stdout });
    assert.equal(code, 1);
    assert.match(lines.at(-1), /^unit: [48] passed, 1 failed$/);
  }
});

test('no_unit_program_at_all_is_no_success', () => {
  assert.equal(unit().code, 1);
});

// The manual: pages that both formatters take without a warning, and that say what the program and its files say.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { build, root, runStageline } from '../lib/stageline.mjs';

const folder = join(build, 'packaging/man');
const pages = readdirSync(folder).filter((name) => /\.[1-9]$/.test(name));
const text = (page) => execFileSync('mandoc', ['-Tutf8', '-O', 'width=200', join(folder, page)], { encoding: 'utf8' })
  .replaceAll(/.\x08/gu, '');

test('every_page_is_taken_without_a_warning_by_mandoc_and_groff', () => {
  assert.equal(pages.length, 4, pages.join());
  for (const page of pages) {
    const lint = spawnSync('mandoc', ['-Tlint', '-W', 'warning', join(folder, page)], { encoding: 'utf8' });
    assert.equal(lint.stdout + lint.stderr, '', page);
    const man = spawnSync('man', ['--warnings', '-l', join(folder, page)], { encoding: 'utf8', env: { ...process.env, MANPAGER: 'cat', MANWIDTH: '120' } });
    assert.equal(man.status, 0, man.stderr);
    assert.equal(man.stderr, '', page);
  }
});

test('every_command_and_action_has_its_help_in_stageline_1', async () => {
  const page = text('stageline.1');
  const { out } = await runStageline(['help']);
  const names = out.split('Commands:\n')[1].split('\n\n')[0].split('\n').map((line) => line.trim().split(/\s/)[0]);
  assert.ok(names.length > 10);
  for (const name of names.filter((n) => n !== 'version')) {
    const help = (await runStageline([name, '--help'])).out.trim();
    for (const line of help.split('\n'))
      assert.ok(page.includes(line.trim()), `stageline ${name}: ${line}`);
  }
  assert.match(page, /stageline dead-letters retry/);
});

test('every_setting_of_the_shipped_files_is_in_their_pages', () => {
  for (const [file, page] of [['stageline.yaml', 'stageline.yaml.5'], ['orders.yaml', 'stageline-pipeline.5']]) {
    const source = readFileSync(join(root, 'config', file), 'utf8');
    const keys = new Set([...source.matchAll(/^#? *(?:- )?([a-z_]+):(?: |$)/gm)].map((m) => m[1]));
    const said = text(page);
    for (const key of keys)
      assert.match(said, new RegExp(`\\b${key}:`), `${key} of ${file}`);
  }
});

test('everything_of_the_header_is_in_stageline_stage_7', () => {
  const header = readFileSync(join(root, 'core/include/stageline/stage.h'), 'utf8');
  const said = text('stageline-stage.7');
  const functions = [...header.matchAll(/\(\*([a-z_]+)\)\(/g)].map((m) => `(*${m[1]})(`);
  const constants = [...header.matchAll(/^#define (SL_(?:STAGE|OPTION)_[A-Z_]+|SL_(?:DONE|FAIL|RETRY|LATER|WAIT))\b/gm)].map((m) => m[1])
    .filter((name) => !['SL_STAGE_SYMBOL', 'SL_OPTION_REQUIRED'].includes(name));
  assert.ok(functions.length > 20 && constants.length > 15);
  for (const name of [...functions, ...constants])
    assert.ok(said.includes(name), name);
});

// A check that cannot fail is no check: each kind of violation, planted in a small tree that is otherwise
// clean, makes packaging/lint name the file and the line.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

const clean = {
  'meson.build': '', 'meson_options.txt': '', 'config/x.yaml': '', 'www/app.js': 'export const a = 1;\n',
  'tests/a.test.mjs': "import { a } from '../www/app.js';\n", 'packaging/dev': '#!/usr/bin/env bash\ntrue\n',
  'README.md': '', LICENSE: '', 'CHANGELOG.md': '', 'CONTRIBUTING.md': '',
  'core/base/buf.h': '#pragma once\n\n#include <stddef.h>\n',
  'core/model/order.c': '#include "base/buf.h"\n#include "model/order.h"\n',
  'core/model/meson.build': "core_sources += files('order.c')\n", 'plugins/meson.build': "foreach name : ['payment']\n",
  'core/model/order.h': '#pragma once\n',
  'core/include/stageline/stage.h': '#pragma once\n\n#include <stdint.h>\n',
  'plugins/payment.c': '#include "stageline/stage.h"\n#include "money.h"\n#include <stdio.h>\n',
  'plugins/money.h': '#pragma once\n',
};

function tree(files) {
  const dir = mkdtempSync(join(tmpdir(), 'stageline-lint-'));
  execFileSync('git', ['init', '-q', dir]);
  copyFileSync(join(root, '.clang-format'), join(dir, '.clang-format'));
  for (const [path, text] of Object.entries({ ...clean, ...files })) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
  return dir;
}

function lint(files, ...checks) {
  const dir = tree(files);
  try {
    const run = spawnSync(join(root, 'packaging/lint'), ['-C', dir, ...checks], { encoding: 'utf8' });
    return { ok: run.status === 0, out: run.stdout + run.stderr };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test('a_clean_tree_passes_every_check', () => {
  const { ok, out } = lint({});
  assert.ok(ok, out);
  assert.match(out, /^lint: \d+ passed, 0 failed$/m);
});

const long = `int f(int a)\n{\n${'\ta++;\n'.repeat(78)}\treturn a;\n}\n`;

const planted = [
  ['an_unknown_top_level_entry', 'top-level', { 'docs/a.md': '' }, 'docs: '],
  ['a_source_that_is_not_built', 'listed', { 'core/model/lost.c': 'int a;\n' }, 'core/model/lost.c: '],
  ['a_unit_test_that_is_not_run', 'listed',
    { 'tests/unit/test_a.c': 'int a;\n', 'tests/unit/meson.build': "unit_tests = ['b']\n" }, 'tests/unit/test_a.c: '],
  ['c_code_in_another_shape', 'format', { 'core/base/a.c': 'int f(void) { return 1; }\n' }, 'core/base/a.c:1'],
  ['base_that_includes_model', 'layers', { 'core/base/a.c': '#include "model/order.h"\n' }, 'core/base/a.c:1: base'],
  ['journal_that_includes_bus', 'layers', { 'core/journal/a.c': '#include "bus/bus.h"\n' }, 'core/journal/a.c:1: '],
  ['bus_that_includes_stage', 'layers', { 'core/bus/a.c': '#include "stage/stage.h"\n' }, 'core/bus/a.c:1: '],
  ['engine_that_includes_net', 'layers', { 'core/engine/a.h': '#include "net/http.h"\n' }, 'core/engine/a.h:1: '],
  ['a_public_header_that_includes_more_than_libc', 'layers',
    { 'core/include/stageline/stage.h': '#include <cjson/cJSON.h>\n' }, 'core/include/stageline/stage.h:1: '],
  ['a_plugin_that_includes_core', 'layers', { 'plugins/a.c': '#include "base/buf.h"\n' }, 'plugins/a.c:1: '],
  ['a_plugin_that_reaches_out_of_its_folder', 'layers',
    { 'plugins/a.c': '#include "../core/base/buf.h"\n' }, 'plugins/a.c:1: '],
  ['a_function_of_81_lines', 'functions', { 'core/base/a.c': long }, 'core/base/a.c:1: f has 82 lines'],
  ['a_banned_function', 'words', { 'core/base/a.c': 'void f(char *a)\n{\n\tstrcpy(a, "b");\n}\n' }, 'core/base/a.c:3'],
  ['unfinished_work', 'unfinished', { 'core/base/a.c': `/* ${'TO'}${'DO'}: later */\n` }, 'core/base/a.c:1'],
  ['an_array_overrun', 'cppcheck',
    { 'core/base/a.c': 'int f(void);\nint f(void)\n{\n\tint a[2] = {0, 1};\n\n\treturn a[2];\n}\n' }, 'core/base/a.c:6: '],
  ['broken_javascript', 'javascript', { 'www/b.js': '\nconst a = = 1;\n' }, 'www/b.js:2: SyntaxError'],
  ['a_broken_shell_script', 'shell', { 'packaging/c': '#!/usr/bin/env bash\nif true; then\n' }, 'packaging/c'],
];

for (const [name, check, files, place] of planted) {
  test(`${check}_finds_${name}`, () => {
    const { ok, out } = lint(files, check);
    assert.ok(!ok, `passed:\n${out}`);
    assert.ok(out.includes(`FAIL ${check}`) && out.includes(place), `"${place}" is not in:\n${out}`);
  });
}

const harmless = [
  ['a_banned_word_in_a_comment_or_text', 'words',
    { 'core/base/a.c': '/* never strcpy(a, b) */\nconst char *a = "strcpy(a, b)";\n' }],
  ['a_name_that_ends_in_a_banned_word', 'words', { 'core/base/a.c': 'int my_gets(void);\nint b(void) { return my_gets(); }\n' }],
  ['a_function_of_80_lines', 'functions', { 'core/base/a.c': long.replace('\ta++;\n\ta++;\n', '') }],
  ['net_on_engine_and_journal', 'layers',
    { 'core/net/a.c': '#include "engine/engine.h"\n#include "journal/reader.h"\n#include <event2/http.h>\n' }],
];

for (const [name, check, files] of harmless) {
  test(`${check}_accepts_${name}`, () => {
    const { ok, out } = lint(files, check);
    assert.ok(ok, out);
  });
}

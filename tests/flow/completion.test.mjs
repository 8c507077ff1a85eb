// Help and completion say what the program really takes: every command, every action, every option.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { binary, root } from '../lib/stageline.mjs';

const script = join(root, 'packaging/completions/stageline.bash');

const stageline = (...args) => spawnSync(binary, args, { encoding: 'utf8', timeout: 20_000 });

function help(path) {
  const { status, stdout, stderr } = stageline(...path, '--help');
  assert.equal(status, 0, `${path.join(' ')}: ${stderr}`);
  assert.equal(stderr, '', path.join(' '));
  assert.match(stdout, path.join() === 'version' ? /^stageline \d/ : /^usage: stageline /, path.join(' '));
  return stdout;
}

const below = (text) => (/^(?:Commands|Actions):\n([^]*?)\n\n/m.exec(text)?.[1] ?? '').split('\n').filter(Boolean)
  .map((line) => line.trim().split(' ')[0]);
const optionsOf = (text) => [...text.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, name]) => name);

// Every command, with its actions: [{ path, text }].
const all = [[], ...below(help([])).flatMap((name) => [[name], ...below(help([name])).map((action) => [name, action])])]
  .map((path) => ({ path, text: help(path) }));
const leaves = all.filter(({ path, text }) => path.length && !below(text).length && path[0] !== 'version');

// All that getopt_long() knows: it lists them for an abbreviation that may be any.
function known(path) {
  const { stderr } = stageline(...path, '--=x', '--help');
  return /possibilities: (.*)$/m.exec(stderr)[1].match(/--[a-z-]+/g).sort();
}

test('every_command_and_action_has_help', () => {
  assert.ok(all.length > 30, `${all.length}`);
  for (const name of ['serve', 'orders', 'audit', 'plugin'])
    assert.ok(all.some(({ path }) => path[0] === name));
});

test('help_names_every_option_and_no_other', () => {
  for (const { path, text } of leaves)
    assert.deepEqual([...new Set([...optionsOf(text), '--help'])].sort(), known(path), path.join(' '));
});

// What bash offers, for many lines at once: [[words…]] → [[candidates…]].
function completeInBash(lines) {
  const program = lines.map((words) => `COMP_WORDS=(${words.map((w) => `'${w}'`).join(' ')})
    COMP_CWORD=${words.length - 1}; _stageline; printf '%s ' "\${COMPREPLY[@]}"; echo`).join('\n');
  const { stdout, stderr, status } = spawnSync('bash', ['--norc', '-euc', `. '${script}'\n${program}`],
    { encoding: 'utf8', timeout: 120_000, cwd: join(root, 'config') });
  assert.equal(status, 0, stderr);
  return stdout.split('\n').slice(0, -1).map((line) => line.split(' ').filter(Boolean).sort());
}

test('bash_offers_every_command_action_and_option', () => {
  const inner = all.filter(({ text }) => below(text).length);
  const offered = completeInBash([...inner.map(({ path }) => [binary, ...path, '']), ...leaves.map(({ path }) => [binary, ...path, '--'])]);
  inner.forEach(({ path, text }, i) => assert.deepEqual(offered[i], below(text).sort(), path.join(' ')));
  leaves.forEach(({ path, text }, i) => assert.deepEqual(offered[inner.length + i], [...new Set(optionsOf(text))].sort(), path.join(' ')));
});

test('bash_offers_what_begins_so_and_files_where_one_is_asked_for', () => {
  assert.deepEqual(completeInBash([[binary, 'or'], [binary, 'orders', 'li'], [binary, 'orders', 'list', '--st'],
    [binary, 'check', '--config', 'stageline'], [binary, 'check', 'orders.y'], [binary, 'orders', 'list', '--limit', '']]),
  [['orders'], ['list'], ['--status'], ['stageline.yaml'], ['orders.yaml'], []]);
});

// The same in zsh, at a terminal of its own: what is listed for a line, up to the last that is to be there.
function completeInZsh(line, last) {
  const program = `
    zmodload zsh/zpty
    zpty z zsh -f -i
    zpty -w z "PS1=; stty columns 200 rows 60; fpath=('${join(root, 'packaging/completions')}' \\$fpath)"
    zpty -w z "autoload -Uz compinit; compinit -u -D; bindkey '^I' list-choices; LISTMAX=0; echo RE''ADY"
    zpty -r -m z out '*READY*'
    zpty -w -n z "${line}"$'\\t'
    zpty -r -m z out '*${last} #-- *'
    print -r -- "$out"
    zpty -d z`;
  const { stdout, stderr, error } = spawnSync('zsh', ['-f', '-o', 'extendedglob', '-c', program],
    { encoding: 'utf8', timeout: 60_000, env: { ...process.env, PATH: `${dirname(binary)}:${process.env.PATH}` } });
  assert.equal(error, undefined, `${error}: ${stdout}${stderr}`);
  return [...stdout.replace(/\u001b\[[\d;?]*[a-zA-Z]/g, '').matchAll(/^(\S+) +-- /gm)].map(([, name]) => name).sort();
}

test('zsh_offers_commands_actions_and_options', () => {
  for (const path of [[], ['orders'], ['orders', 'list']]) {
    const text = help(path);
    const names = (below(text).length ? below(text) : [...new Set(optionsOf(text))]).sort();
    const line = ['stageline', ...path, below(text).length ? '' : '--'].join(' ');
    assert.deepEqual(completeInZsh(line, names.at(-1)), names, line);
  }
});

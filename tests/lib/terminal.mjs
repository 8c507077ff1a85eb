// The program at a terminal: all that it writes there, stdout and stderr as they come.
import { spawnSync } from 'node:child_process';
import { binary } from './stageline.mjs';

export function atTerminal(s, args, { columns = 80, env = {} } = {}) {
  const command = `stty cols ${columns}; ${[binary, ...args].map((a) => `'${a}'`).join(' ')}`;
  const { stdout } = spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 30_000, env: { ...process.env, TERM: 'xterm', NO_COLOR: '', STAGELINE_URL: s.url, ...env } });
  return stdout;
}

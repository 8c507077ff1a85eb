// Programs that a bench starts; none outlives it.
import { spawn } from 'node:child_process';

const children = new Set();
process.on('exit', () => {
  for (const child of children)
    child.kill('SIGKILL');
});

// As spawn(), with `child.text`: what it has written to stdout so far.
export function start(program, args, options = {}) {
  const child = spawn(program, args.map(String), { stdio: ['ignore', 'pipe', 'inherit'], ...options });
  children.add(child);
  child.text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => { child.text += chunk; });
  child.on('close', () => children.delete(child));
  return child;
}

// Commands inside the machine that `packaging/dev package-test` has booted. The tests' process is in its network.
import { spawn } from 'node:child_process';

const leader = process.env.STAGELINE_MACHINE;

// Runs a shell line in the machine: { code, out }, `out` with what went to stderr.
export function inside(line, { input = '', deadline = 120_000 } = {}) {
  const child = spawn('nsenter', ['-t', leader, '-m', '-u', '-i', '-n', '-p', '-C', '--', 'bash', '-c', line],
    { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' } });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => { out += chunk; });
  child.stderr.setEncoding('utf8').on('data', (chunk) => { out += chunk; });
  child.stdin.on('error', () => {}); // it may have ended without reading: its status tells
  child.stdin.end(input);
  const timer = setTimeout(() => child.kill('SIGKILL'), deadline);
  return new Promise((done) => {
    child.on('close', (code) => {
      clearTimeout(timer);
      done({ code, out: out.trim() });
    });
  });
}

// The same, and it must succeed; what it said.
export async function must(line, options) {
  const { code, out } = await inside(line, options);
  if (code !== 0)
    throw new Error(`${line}: ${code}\n${out}`);
  return out;
}

export const property = async (name, unit = 'stageline.service') => must(`systemctl show -P ${name} ${unit}`);
export const write = (path, text) => must(`cat > ${path}`, { input: text });
export const read = (path) => must(`cat ${path}`);
export const journal = (rest = '') => must(`journalctl --no-pager -u stageline.service ${rest}`);

// The command line of a daemon that runs: `stageline` gives how it ended, `ok` the same of what has to succeed.
import assert from 'node:assert/strict';
import { runStageline } from './stageline.mjs';

// `daemon()`: the daemon, once it has been started.
export function cliOf(daemon, options = {}) {
  const stageline = (...args) => runStageline(args, { env: { STAGELINE_URL: daemon().url }, ...options });
  async function ok(...args) {
    const end = await stageline(...args);
    assert.equal(end.code, 0, `${args.join(' ')}: ${end.err}`);
    return end;
  }
  return { stageline, ok };
}

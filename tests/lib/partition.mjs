// A network namespace that can be cut off: what runs in it reaches this machine at `address` until cut().
//
//   const net = await openPartition();     throws where this user may not make one
//   startWorker(bus, { wrapper: net.wrapper });  await net.cut();  await net.heal();  await net.close();
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ip = (...words) => run('ip', words);

// Why there can be none here; '' when there can.
export async function whyNoPartition() {
  const name = `sl-probe-${process.pid}`;
  try {
    await ip('netns', 'add', name);
    await ip('netns', 'del', name);
    return '';
  } catch (error) {
    return `no network namespaces here: ${(error.stderr || error.message).trim()}`;
  }
}

export async function openPartition() {
  const name = `sl-${process.pid}`;
  const outside = `slo${process.pid}`.slice(0, 15), inside = `sli${process.pid}`.slice(0, 15);
  const net = `10.231.${process.pid % 250}`;
  const address = `${net}.1`;

  await ip('netns', 'add', name);
  try {
    await ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', name);
    await ip('addr', 'add', `${address}/24`, 'dev', outside);
    await ip('link', 'set', outside, 'up');
    await ip('-n', name, 'addr', 'add', `${net}.2/24`, 'dev', inside);
    await ip('-n', name, 'link', 'set', inside, 'up');
  } catch (error) {
    await ip('netns', 'del', name);
    throw error;
  }
  return {
    address,
    wrapper: ['ip', 'netns', 'exec', name],
    cut: () => ip('-n', name, 'link', 'set', inside, 'down'),
    heal: () => ip('-n', name, 'link', 'set', inside, 'up'),
    close: () => ip('netns', 'del', name),
  };
}

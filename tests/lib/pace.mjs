// How busy the machine is with something else: limits that are times are for a machine of one's own.

const SPIN_MS = 20;

// How much longer than alone a thread takes for its work just now: 1 on an idle machine.
export function slowness() {
  const before = performance.now();
  const start = process.cpuUsage();
  let used = 0;
  while (used < SPIN_MS) {
    const { user, system } = process.cpuUsage(start);
    used = (user + system) / 1000;
  }
  return Math.max(1, (performance.now() - before) / used);
}

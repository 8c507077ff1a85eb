// Random numbers that can be had again: SEED=… repeats a run, and every run prints its seed.
export function seeded(name) {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
  let state = seed >>> 0;

  console.log(`${name}: SEED=${seed}`);
  const next = () => { // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    seed,
    below: (n) => Math.floor(next() * n),
    pick: (list) => list[Math.floor(next() * list.length)],
  };
}

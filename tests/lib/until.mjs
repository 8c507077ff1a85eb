// Waiting for a condition, with a deadline. What there is instead of sleeps.
import { setTimeout as pause } from 'node:timers/promises';

// The first truthy answer of `condition`. Throws `what` when there is none by the deadline (ms).
export async function until(what, condition, { deadline = 20_000, step = 20, detail } = {}) {
  const end = performance.now() + deadline;
  for (;;) {
    const answer = await condition();
    if (answer)
      return answer;
    if (performance.now() > end)
      throw new Error(`waited ${deadline} ms for ${what}${detail ? `\n${await detail()}` : ''}`);
    await pause(step);
  }
}

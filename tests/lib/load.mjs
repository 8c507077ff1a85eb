// Clients that place orders until they are told to stop, whatever happens to the server meanwhile.
import { order, placeStubbornly } from './orders.mjs';

const baskets = [{ 'PROD-001': 1 }, { 'PROD-002': 3, 'PROD-003': 1 }, { 'PROD-004': 1 }, { 'PROD-001': 1, 'PROD-004': 1 }];

// `max`: as many orders at most. accepted: Map of id → order, as checkOrders() takes it.
export function startLoad(s, random, { clients = 16, max = Infinity } = {}) {
  const accepted = new Map();
  let over = false;
  let placed = 0;
  const all = Array.from({ length: clients }, async () => {
    while (!over && placed++ < max)
      await placeStubbornly(s, order(random.pick(baskets)), (id, body) => accepted.set(id, body), () => over);
  });
  return {
    accepted,
    done: () => Promise.all(all),
    stop() {
      over = true;
      return Promise.all(all);
    },
  };
}

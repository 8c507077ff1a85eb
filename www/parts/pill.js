/* An order's status as a pill: sign, word and colour say the same. */
import { h, fill } from '../dom.js';
import { icon } from './icons.js';
import { orderStatus } from '../format.js';

export function statusPill(status) {
  return updatePill(h('span'), status);
}

/* Changes the pill in place; does nothing when it says so already. */
export function updatePill(pill, status) {
  if (pill.dataset.status === status)
    return pill;
  const { label, tone, icon: sign } = orderStatus(status);
  pill.className = `pill tone-${tone}`;
  pill.dataset.status = status;
  return fill(pill, icon(sign), label);
}

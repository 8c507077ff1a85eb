/* Says how fresh a view is, and, when the connection is lost, since when. */
import { h, fill, setText } from '../dom.js';
import { icon } from './icons.js';
import { clock, duration } from '../format.js';

const words = {
  connecting: 'Connecting',
  live: 'Live',
  reconnecting: 'Reconnecting',
  offline: 'Offline',
};

/* Two elements for a view to place, and `show` for live.js's onState. `showsLag`: with the lag that was measured. */
export function liveChip(announce, { showsLag = false } = {}) {
  const word = h('span', { class: 'live-word' });
  const lag = h('span', { class: 'live-lag', title: 'How long the last news took to get here', hidden: true });
  const chip = h('span', { class: 'live-chip' }, h('span', { class: 'live-dot' }), word, lag);
  const note = h('p', { class: 'notice tone-warn live-note', hidden: true });
  let last = null;

  function show({ name, behindMs, lagMs, since }) {
    chip.dataset.state = name;
    const isBehind = name === 'live' && behindMs > 0;
    setText(word, isBehind ? `${duration(behindMs)} behind` : words[name]);
    lag.hidden = !showsLag || name !== 'live' || isBehind || lagMs === null;
    if (!lag.hidden)
      setText(lag, `lag ${duration(lagMs)}`);
    note.hidden = name === 'live' || name === 'connecting';
    if (!note.hidden)
      fill(note, icon('offline'), noteText(name, since));
    if (last && last !== name)
      announce(name === 'live' ? 'Live again' : words[name]);
    last = name === 'connecting' ? null : name;
  }

  show({ name: 'connecting', behindMs: 0, lagMs: null, since: null });
  return { chip, note, show };
}

function noteText(name, since) {
  const asOf = since ? ` You see the state of ${clock(since)}.` : '';
  return name === 'offline'
    ? `Offline: the server cannot be reached.${asOf} This page goes on by itself.`
    : `Reconnecting: the connection was lost.${asOf}`;
}

/* A button that puts text on the clipboard and says so. */
import { h, fill } from '../dom.js';
import { icon } from './icons.js';

const SAID_FOR_MS = 2_000;

export function copyButton({ label, text, announce }) {
  const button = h('button', { type: 'button', class: 'button button-quiet' });
  let timer;

  function rest() {
    fill(button, icon('link'), label);
  }

  async function copy() {
    const isCopied = await write(text());
    const answer = isCopied ? 'Copied' : 'Copy the address bar';
    fill(button, icon(isCopied ? 'check' : 'info'), answer);
    announce(answer);
    clearTimeout(timer);
    timer = setTimeout(rest, SAID_FOR_MS);
  }

  button.addEventListener('click', copy);
  rest();
  return button;
}

/* The clipboard exists on https and localhost only, and the browser may refuse. */
async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

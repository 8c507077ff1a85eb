/* Builds elements. Text only ever becomes text nodes; there is no way to pass HTML. */

/* h('a', { class: 'x', href: '#/', onclick: fn }, 'text', child, null): attributes with false, null or
 * undefined are left out, true is the bare attribute, on<event> adds a listener. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  setAttributes(element, attributes ?? {});
  element.append(...children.flat(2).filter(isShown));
  return element;
}

/* The same for SVG; listeners are not needed there. */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  setAttributes(element, attributes ?? {});
  element.append(...children);
  return element;
}

/* Replaces what `parent` holds. */
export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat(2).filter(isShown));
  return parent;
}

/* Sets the text only where it differs, so that a live region or selection is not disturbed. */
export function setText(element, text) {
  if (element.textContent !== text)
    element.textContent = text;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (!isShown(value))
      continue;
    if (name.startsWith('on'))
      element.addEventListener(name.slice(2), value);
    else
      element.setAttribute(name, value === true ? '' : String(value));
  }
}

function isShown(value) {
  return value !== null && value !== undefined && value !== false;
}

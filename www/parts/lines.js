/* The paths of lines between the stages of a drawing. Pure; no DOM. */

const LINE_GAP = 8;
const LINE_BEND = 26;

/* From the box `a` to the box `b`, both as getBoundingClientRect() gives them, inside `frame`. */
export function linePath(a, b, frame, isVertical) {
  return isVertical ? pathDown(a, b, frame) : pathRight(a, b, frame);
}

/* Outwards it changes its lane at once, inwards at the end: it never crosses a stage of another lane. */
function pathDown(a, b, frame) {
  const [x1, y1] = [a.left + a.width / 2 - frame.left, a.bottom - frame.top + LINE_GAP];
  const [x2, y2] = [b.left + b.width / 2 - frame.left, b.top - frame.top - LINE_GAP];
  const bend = Math.min(LINE_BEND, y2 - y1);
  const from = x2 > x1 ? y1 : y2 - bend;
  const [middle, to] = [from + bend / 2, from + bend];
  return `M${x1} ${y1}V${from}C${x1} ${middle} ${x2} ${middle} ${x2} ${to}V${y2}`;
}

function pathRight(a, b, frame) {
  const [x1, y1] = [a.right - frame.left + LINE_GAP, a.top + a.height / 2 - frame.top];
  const [x2, y2] = [b.left - frame.left - LINE_GAP, b.top + b.height / 2 - frame.top];
  if (Math.abs(y1 - y2) < 1)
    return `M${x1} ${y1}H${x2}`;
  const middle = (x1 + x2) / 2;
  return `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
}

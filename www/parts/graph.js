/* Where the stages of a pipeline stand in a drawing: level is the distance from the start, lane tells
 * branches of one level apart. Pure; no DOM. */

/* [{ name, after: [names] }] → { places: Map name → { level, lane }, edges: [{ from, to }] } */
export function layOut(stages) {
  const byName = new Map(stages.map((stage) => [stage.name, stage]));
  const before = (stage) => (stage.after ?? []).filter((name) => byName.has(name));

  const levels = new Map();
  const levelOf = (name) => {
    if (!levels.has(name)) {
      levels.set(name, 0); /* a cycle cannot come from the server; it must not hang us either */
      const earlier = before(byName.get(name)).map(levelOf);
      levels.set(name, earlier.length ? Math.max(...earlier) + 1 : 0);
    }
    return levels.get(name);
  };

  const lanes = new Map();
  const places = new Map();
  for (const { name } of stages) {
    const level = levelOf(name);
    const lane = lanes.get(level) ?? 0;
    lanes.set(level, lane + 1);
    places.set(name, { level, lane });
  }

  const edges = stages.flatMap((stage) =>
    direct(stage, before, byName).map((from) => ({ from, to: stage.name })),
  );
  return { places, edges };
}

/* Leaves out an edge that follows from others: with a → b → c, a → c tells nothing. */
function direct(stage, before, byName) {
  const names = before(stage);
  const leadsTo = (from, to) =>
    before(byName.get(to)).some((name) => name === from || leadsTo(from, name));
  return names.filter((name) => !names.some((other) => other !== name && leadsTo(name, other)));
}

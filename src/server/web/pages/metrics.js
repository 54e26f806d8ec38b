// Prometheus' text form, and rates from counters that only grow.

// Sums of all samples of each name, whatever their labels ("llamacpp:requests_processing" -> 3).
export function parseMetrics(text) {
  const sums = new Map();
  for (const line of text.split("\n")) {
    const found = /^([A-Za-z_:][\w:]*)(?:\{(?:[^"}]|"(?:\\.|[^"\\])*")*\})?[ \t]+(\S+)/.exec(line);
    if (!found) continue;
    const value = Number(found[2].replace(/^([+-]?)Inf$/, "$1Infinity"));
    if (!Number.isNaN(value)) sums.set(found[1], (sums.get(found[1]) ?? 0) + value);
  }
  return sums;
}

// The value of the first of `names` that there is; otherwise null.
export function metric(sums, ...names) {
  for (const name of names) if (sums.has(name)) return sums.get(name);
  return null;
}

// How much a counter grows a second, between two looks at it. Null on the first look, and where the server began anew.
export function rateOf() {
  let before = null;
  return (value, seconds) => {
    const previous = before;
    before = value === null ? null : { value, seconds };
    if (previous === null || value === null || seconds <= previous.seconds || value < previous.value) return null;
    return (value - previous.value) / (seconds - previous.seconds);
  };
}

// The last `most` values, of which as many are shown as there are, in steps of `step`; those not there yet are null.
export function history(step, most) {
  const values = new Array(step).fill(null);
  let added = 0;
  return {
    values,
    add(value) {
      if (added >= values.length && values.length < most) values.unshift(...new Array(step).fill(null));
      added += 1;
      values.push(value);
      values.shift();
    },
    mean(over) {
      const known = values.slice(-over).filter((value) => value !== null);
      return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
    },
  };
}

// A round number at or above the value, for the top of a scale whose middle is round, too.
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].find((step) => step * power >= value * 0.999) * power;
}

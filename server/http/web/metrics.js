// Reads Prometheus' text format, as far as ssmd writes it, and computes rates and quantiles from two readings.
// Pure.

// Returns a Map of name → [{labels, value}].
export function parse(text) {
  const series = new Map();
  for (const line of text.split('\n')) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[name] = value.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
    }
    const value = match[3] === '+Inf' ? Infinity : Number(match[3]);
    if (!series.has(match[1])) series.set(match[1], []);
    series.get(match[1]).push({ labels, value });
  }
  return series;
}

const fits = (labels, wanted) => Object.entries(wanted).every(([name, value]) => labels[name] === value);

// The sum of what has these labels, or null where nothing has.
export function value(series, name, labels = {}) {
  const found = (series.get(name) ?? []).filter((sample) => fits(sample.labels, labels));
  return found.length === 0 ? null : found.reduce((sum, sample) => sum + sample.value, 0);
}

// {bounds, counts}: counts are cumulative and the last bound is infinite.
export function histogram(series, name, labels = {}) {
  const buckets = new Map();
  for (const sample of series.get(`${name}_bucket`) ?? []) {
    if (!fits(sample.labels, labels)) continue;
    const bound = sample.labels.le === '+Inf' ? Infinity : Number(sample.labels.le);
    buckets.set(bound, (buckets.get(bound) ?? 0) + sample.value);
  }
  const bounds = [...buckets.keys()].sort((a, b) => a - b);
  return { bounds, counts: bounds.map((bound) => buckets.get(bound)) };
}

// What came between two readings. A daemon that began again counts from zero: then all of it is new.
export function difference(later, earlier) {
  const restarted = !earlier || earlier.counts.length !== later.counts.length ||
    later.counts.some((n, i) => n < earlier.counts[i]);
  return { bounds: later.bounds, counts: restarted ? later.counts : later.counts.map((n, i) => n - earlier.counts[i]) };
}

// Of a histogram, linear within its bucket; null where nothing was counted.
export function quantile({ bounds, counts }, q) {
  const total = counts.at(-1) ?? 0;
  if (total <= 0) return null;
  const rank = q * total;
  const i = counts.findIndex((n) => n >= rank);
  const low = i === 0 ? 0 : bounds[i - 1];
  if (bounds[i] === Infinity) return low;
  const before = i === 0 ? 0 : counts[i - 1];
  return low + (bounds[i] - low) * ((rank - before) / (counts[i] - before || 1));
}

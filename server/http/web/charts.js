// Small charts of the last minute, drawn by hand: lines over time, and a bar of shares.

import { el, svg } from './dom.js';

const WIDTH = 260;
const HEIGHT = 56;
export const POINTS = 60;  // one a second

const key = ({ name, kind }, value) => el('span', { class: `key ${kind}` }, `${name} `, el('b', {}, value));

// A round number at or above the largest value, for the top of a chart.
export function ceiling(values, least) {
  const largest = Math.max(least, ...values.filter((value) => value !== null));
  const power = 10 ** Math.floor(Math.log10(largest));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= largest);
}

// Breaks where a value is null, which is where there was nothing to measure.
function linePath(values, top) {
  let path = '';
  let pen = 'M';
  values.forEach((value, i) => {
    if (value === null) {
      pen = 'M';
      return;
    }
    const x = WIDTH - (values.length - 1 - i) * (WIDTH / (POINTS - 1));
    const y = HEIGHT - 1 - (Math.min(value, top) / top) * (HEIGHT - 4);
    path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    // A value on its own is a dot.
    if (pen === 'M' && (values[i + 1] ?? null) === null) path += 'h.1';
    pen = 'L';
  });
  return path;
}

// lines: [{name, kind}], `kind` being the colour's class.
export class LineChart {
  #svg = svg('svg', { class: 'chart', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' });
  #values = el('span', { class: 'values' });
  #top = el('span', { class: 'top' });

  constructor(title, lines, { least, show }) {
    this.title = title;
    this.lines = lines;
    this.least = least;
    this.show = show;
    this.history = lines.map(() => []);
    this.element = el('figure', { class: 'figure' },
      el('figcaption', {}, el('span', {}, title), this.#values), el('div', { class: 'plot' }, this.#top, this.#svg));
    this.push(lines.map(() => null));
  }

  push(values) {
    values.forEach((value, i) => {
      this.history[i].push(value);
      if (this.history[i].length > POINTS) this.history[i].shift();
    });
    const top = ceiling(this.history.flat(), this.least);
    this.#svg.replaceChildren(...this.lines.map(({ kind }, i) =>
      svg('path', { class: `plotted ${kind}`, d: linePath(this.history[i], top) })));
    this.#top.textContent = this.show(top);
    const shown = values.map((value) => (value === null ? '–' : this.show(value)));
    this.#values.replaceChildren(...this.lines.map((line, i) => key(line, shown[i])));
    this.#svg.setAttribute('aria-label',
      `${this.title}: ${this.lines.map(({ name }, i) => `${name} ${shown[i]}`).join(', ')}`);
  }
}

// parts: [{name, kind}].
export class ShareBar {
  #bar = el('div', { class: 'share', role: 'img' });
  #legend = el('p', { class: 'legend' });
  #total = el('b', {});

  constructor(title, parts) {
    this.title = title;
    this.parts = parts;
    this.element = el('figure', { class: 'figure' },
      el('figcaption', {}, el('span', {}, title), el('span', { class: 'values' }, this.#total)),
      this.#bar, this.#legend);
    this.set(parts.map(() => null), '–');
  }

  set(values, total) {
    const sum = values.reduce((a, b) => a + (b ?? 0), 0);
    this.#bar.replaceChildren(...this.parts.flatMap(({ kind }, i) => {
      if (!values[i]) return [];
      const part = el('i', { class: kind });
      part.style.flexGrow = String(values[i] / sum);
      return [part];
    }));
    this.#legend.replaceChildren(...this.parts.map((part, i) => key(part, String(values[i] ?? '–'))));
    this.#total.textContent = total;
    this.#bar.setAttribute('aria-label',
      `${this.title}: ${this.parts.map(({ name }, i) => `${values[i] ?? 'unknown'} ${name}`).join(', ')}`);
  }
}

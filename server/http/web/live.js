// Reads /metrics each second while somebody can see it, and charts what it says of the chosen model.

import { LineChart, ShareBar } from './charts.js';
import { count, seconds } from './format.js';
import { difference, histogram, parse, quantile, value } from './metrics.js';

const INTERVAL_MS = 1000;
// Latencies are of what came in the last so many readings: single seconds have too few.
const WINDOW = 10;

const rate = (number) => (number >= 100 ? count(Math.round(number)) : number.toFixed(number < 10 ? 1 : 0));

export class Live {
  #readings = [];  // of one model: {at, series}
  #model = '';
  #timer = null;

  constructor(root, note, api) {
    this.root = root;
    this.note = note;
    this.api = api;
    const quantiles = [{ name: 'p50', kind: 'blue' }, { name: 'p99', kind: 'amber' }];
    const both = [{ name: 'written', kind: 'blue' }, { name: 'read', kind: 'amber' }];
    this.tokens = new LineChart('Tokens per second', both, { least: 10, show: rate });
    this.first = new LineChart('First token', quantiles, { least: 0.01, show: seconds });
    this.next = new LineChart('Between tokens', quantiles, { least: 0.005, show: seconds });
    this.slots = new ShareBar('State slots', [{ name: 'used', kind: 'blue' }, { name: 'free', kind: 'pale' }]);
    this.tiers = new ShareBar('States by where they are', [
      { name: 'device', kind: 'blue' }, { name: 'host', kind: 'green' }, { name: 'disk', kind: 'amber' },
      { name: 'lost', kind: 'red' }, { name: 'none', kind: 'pale' },
    ]);
    root.append(...[this.tokens, this.first, this.next, this.slots, this.tiers].map((chart) => chart.element));
    this.#loop();
  }

  set model(name) {
    if (name === this.#model) return;
    this.#model = name;
    this.#readings = [];
    this.again();
  }

  // Reads at once.
  again() {
    clearTimeout(this.#timer);
    this.#loop();
  }

  #visible() {
    return document.visibilityState === 'visible' && this.root.offsetParent !== null;
  }

  async #loop() {
    const begun = performance.now();
    if (this.#visible()) await this.#read();
    else this.#readings = [];
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#loop(), Math.max(50, INTERVAL_MS - (performance.now() - begun)));
  }

  async #read() {
    const model = this.#model;
    try {
      const series = parse(await this.api.metrics(AbortSignal.timeout(5000)));
      if (model !== '' && model === this.#model) this.#take(series);
      this.#say('');
    } catch (cause) {
      this.#readings = [];
      this.#say({
        0: 'No figures: the server does not answer.',
        401: 'No figures: this server shows them only with a token. Enter one under Token above.',
        403: 'No figures: this token may not see them.',
      }[cause.status ?? 0] ?? `No figures: ${cause.message}`);
    }
  }

  #say(text) {
    this.note.textContent = text;
    this.note.hidden = text === '';
  }

  #take(series) {
    const labels = { model: this.#model };
    const now = { at: performance.now(), series };
    const last = this.#readings.at(-1);
    const oldest = this.#readings[0];
    this.#readings.push(now);
    if (this.#readings.length > WINDOW) this.#readings.shift();

    const perSecond = (name) => {
      const total = value(series, name, labels);
      if (!last || total === null) return null;
      const before = value(last.series, name, labels) ?? 0;
      return (total >= before ? total - before : total) / ((now.at - last.at) / 1000);
    };
    this.tokens.push([perSecond('ssmd_generation_tokens_total'), perSecond('ssmd_read_tokens_total')]);
    for (const [chart, name] of [[this.first, 'ssmd_time_to_first_token_seconds'],
      [this.next, 'ssmd_inter_token_latency_seconds']]) {
      const lately = oldest && difference(histogram(series, name, labels), histogram(oldest.series, name, labels));
      chart.push([0.5, 0.99].map((q) => (lately ? quantile(lately, q) : null)));
    }
    const gauge = (name, label, of) => value(series, name, { ...labels, [label]: of });
    const slots = ['used', 'free'].map((state) => gauge('ssmd_state_slots', 'state', state));
    this.slots.set(slots, slots[0] === null ? '–' : `${count(slots[0])} of ${count(slots[0] + slots[1])}`);
    const tiers = ['device', 'host', 'disk', 'lost', 'none'].map((tier) => gauge('ssmd_sessions', 'tier', tier));
    this.tiers.set(tiers, tiers[0] === null ? '–' : `${count(tiers.reduce((a, b) => a + b, 0))} sessions`);
  }
}

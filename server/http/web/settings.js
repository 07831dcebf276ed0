// How the next token is chosen: the controls, their ranges, and what they send. An empty field leaves the choice
// to the server.

import { el } from './dom.js';

const CONTROLS = [
  { name: 'temperature', label: 'Temperature', min: 0, max: 10, step: 0.05, initial: 0.8, server: '1',
    help: '0 always takes the likeliest token; more is bolder.' },
  { name: 'top_p', label: 'Top p', min: 0, max: 1, step: 0.01, above: true, server: '1',
    help: 'Keep the likeliest tokens that together reach this probability.' },
  { name: 'top_k', label: 'Top k', min: 0, step: 1, whole: true, server: 'all',
    help: 'Keep only this many of the likeliest tokens; 0 keeps all.' },
  { name: 'min_p', label: 'Min p', min: 0, max: 1, step: 0.01, server: '0',
    help: 'Keep tokens at least this fraction as likely as the likeliest.' },
  { name: 'repetition_penalty', label: 'Repetition penalty', min: 0, max: 10, step: 0.05, above: true, server: '1',
    help: 'Above 1, tokens that were there lately become less likely.' },
  { name: 'presence_penalty', label: 'Presence penalty', min: -2, max: 2, step: 0.1, server: '0',
    help: 'Taken once from each token that was written lately.' },
  { name: 'frequency_penalty', label: 'Frequency penalty', min: -2, max: 2, step: 0.1, server: '0',
    help: 'Taken for each time that a token was written lately.' },
  { name: 'max_tokens', label: 'Max tokens', min: 1, step: 1, whole: true, initial: 200, server: 'server’s',
    help: 'An answer ends after so many tokens at the latest.' },
  { name: 'seed', label: 'Seed', min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, whole: true, server: 'random',
    help: 'The same seed after the same text draws the same answer.' },
];
const STOPS_MAX = 16;

// What is wrong with a control's text, or null.
export function complaint(control, text) {
  if (text.trim() === '') return null;
  const number = Number(text);
  if (!Number.isFinite(number)) return 'This is not a number.';
  if (control.whole && !Number.isInteger(number)) return 'A whole number is wanted.';
  if (control.above && number <= control.min) return `More than ${control.min} is wanted.`;
  if (number < control.min) return `At least ${control.min} is wanted.`;
  if (control.max !== undefined && number > control.max) return `At most ${control.max} is possible.`;
  return null;
}

// One a line; \n and \t within a line stand for what they are.
export function stopsOf(text) {
  return text.split('\n').filter((line) => line !== '')
    .map((line) => line.replace(/\\(n|t|\\)/g, (_, c) => ({ n: '\n', t: '\t', '\\': '\\' })[c]));
}

export class SettingsPanel {
  #fields = new Map();
  #store;

  // `changed` is called after each change.
  constructor(root, store, changed) {
    this.#store = store;
    const kept = store.setting('sampling', {});
    for (const control of CONTROLS) {
      const value = kept[control.name] ?? String(control.initial ?? '');
      root.append(this.#numberField(control, value, changed));
    }
    root.append(this.#stopField(kept.stop ?? '', changed));
  }

  #row(name, label, help, input) {
    const error = el('p', { class: 'field-error', id: `${name}-error`, hidden: true });
    input.setAttribute('aria-describedby', `${name}-help ${name}-error`);
    this.#fields.set(name, { input, error });
    return el('div', { class: 'field', dataset: { name } },
      el('label', { for: input.id }, label), input,
      el('p', { class: 'help', id: `${name}-help` }, help), error);
  }

  #numberField(control, value, changed) {
    const input = el('input', {
      id: `set-${control.name}`, type: 'text', inputmode: 'decimal', autocomplete: 'off', placeholder: control.server,
      value, oninput: () => this.#check(control, changed),
      onkeydown: (event) => this.#step(event, control, changed),
    });
    const row = this.#row(control.name, control.label, control.help, input);
    this.mark(control.name, complaint(control, value));
    return row;
  }

  #stopField(value, changed) {
    const input = el('textarea', { id: 'set-stop', rows: 2, spellcheck: 'false', placeholder: 'one a line' });
    input.value = value;
    input.addEventListener('input', () => {
      const most = stopsOf(input.value).length > STOPS_MAX ? `At most ${STOPS_MAX} are possible.` : null;
      this.mark('stop', most);
      this.#keep(changed);
    });
    return this.#row('stop', 'Stop strings', 'An answer ends before any of these. \\n is a new line.', input);
  }

  // Arrows up and down step a number, as they do in number fields of the browser's own.
  #step(event, control, changed) {
    const direction = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!direction) return;
    event.preventDefault();
    const { input } = this.#fields.get(control.name);
    const digits = control.whole ? 0 : 2;
    const begin = Number(input.value || control.initial || Number(control.server) || 0);
    const next = Math.max(control.min, Math.min(control.max ?? Infinity, begin + direction * control.step));
    input.value = String(Number(next.toFixed(digits)));
    this.#check(control, changed);
  }

  #check(control, changed) {
    this.mark(control.name, complaint(control, this.#fields.get(control.name).input.value));
    this.#keep(changed);
  }

  #keep(changed) {
    const texts = [...this.#fields].map(([name, { input }]) => [name, input.value]);
    this.#store.keepSetting('sampling', Object.fromEntries(texts));
    changed();
  }

  // Shows a complaint at a control, or takes it away. False where there is no such control.
  mark(name, message) {
    const field = this.#fields.get(name === 'max_completion_tokens' ? 'max_tokens' : name);
    if (!field) return false;
    field.error.textContent = message ?? '';
    field.error.hidden = !message;
    field.input.setAttribute('aria-invalid', String(Boolean(message)));
    return true;
  }

  focus(name) {
    this.#fields.get(name)?.input.focus();
  }

  // The name of the first control with a complaint, or null.
  firstInvalid() {
    for (const [name, { error }] of this.#fields) if (!error.hidden) return name;
    return null;
  }

  reset(changed) {
    for (const control of CONTROLS) this.#fields.get(control.name).input.value = String(control.initial ?? '');
    this.#fields.get('stop').input.value = '';
    for (const name of this.#fields.keys()) this.mark(name, null);
    this.#keep(changed);
  }

  // The fields of a request.
  sampling() {
    const out = {};
    for (const { name } of CONTROLS) {
      const text = this.#fields.get(name).input.value.trim();
      if (text !== '') out[name] = Number(text);
    }
    const stop = stopsOf(this.#fields.get('stop').input.value);
    if (stop.length > 0) out.stop = stop;
    return out;
  }
}

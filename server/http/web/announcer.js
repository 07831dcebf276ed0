// Reads an answer out to screen readers sentence by sentence rather than token by token.

import { el } from './dom.js';

const KEPT_MAX = 12;

export class Announcer {
  #root;
  #node = null;
  #spoken = 0;

  constructor(root) {
    this.#root = root;
  }

  follow(node) {
    if (node !== this.#node) {
      this.#node = node;
      this.#spoken = 0;
    }
    const rest = node.text.slice(this.#spoken);
    const ended = node.finish !== null;
    const length = ended ? rest.length : Math.max(...['. ', '? ', '! ', '\n'].map((end) => rest.lastIndexOf(end) + 1));
    if (length > 0) this.say(rest.slice(0, length));
    this.#spoken += length;
    if (ended) this.say(node.finish === 'stop' ? 'End of the answer.' : 'The answer was cut short.');
  }

  say(text) {
    this.#root.append(el('p', {}, text.trim()));
    while (this.#root.childNodes.length > KEPT_MAX) this.#root.firstChild.remove();
  }
}

// An answer's text, piece by piece of its tokens, each marked by how likely it was; and the card that says what
// else the model thought of. One card serves the whole page.

import { el } from './dom.js';
import { percent } from './format.js';
import { align, probability, surprise } from './tokens.js';

const pieces = new WeakMap();  // of elements

// Keeps an element in step with a node that grows.
export class AnswerText {
  #shown = [];

  // `same`: how many characters at the beginning are no difference to what it is compared with. `lead`: whether white
  // space at the beginning is shown.
  constructor(node, { tokens, same = 0, lead = true, label }) {
    this.node = node;
    this.tokens = tokens;
    this.same = same;
    this.lead = lead;
    this.element = el('div', {
      class: 'answer-text', role: 'group', tabindex: 0, dataset: { answer: node.id },
      'aria-label': `${label}. Left and right arrows step through its tokens.`,
    });
    this.draw();
  }

  draw() {
    const { text, tokens } = this.node;
    let offset = 0;
    const wanted = (this.tokens && tokens ? align(text, tokens) : [{ text, tokens: [] }]).map((piece) => {
      offset += piece.text.length;
      return { ...piece, key: `${piece.tokens.length} ${offset <= this.same} ${piece.text}` };
    });
    let first = 0;
    while (first < wanted.length && wanted[first].key === this.#shown[first]) first += 1;
    while (this.element.childNodes.length > first) this.element.lastChild.remove();
    offset = wanted.slice(0, first).reduce((sum, piece) => sum + piece.text.length, 0);
    for (const piece of wanted.slice(first)) {
      offset += piece.text.length;
      const element = this.#piece(piece, offset <= this.same);
      if (!this.lead && text.slice(0, offset).trim() === '') element.classList.add('lead');
      this.element.append(element);
    }
    this.#shown = wanted.map((piece) => piece.key);
  }

  #piece(piece, same) {
    if (piece.tokens.length === 0) return el('span', { class: same ? 'plain same' : 'plain' }, piece.text);
    // The space before a word is not underlined: it would hang at the ends of lines.
    const [, space, word] = /^( *)(.*)$/s.exec(piece.text);
    const token = el('span', { class: `token s${surprise(piece)}` }, word || space);
    pieces.set(token, piece);
    return el('span', { class: same ? 'same' : null }, word === '' ? '' : space, token);
  }
}

// White space that could not be seen otherwise.
function visible(text) {
  const raw = /^bytes:((?:\\x..)+)$/.exec(text);
  if (raw) return `‹${raw[1].slice(2).replaceAll('\\x', ' ')}›`;
  return text.replace(/ /g, '␣').replace(/\n/g, '⏎').replace(/\t/g, '⇥') || '(nothing)';
}

export class TokenCard {
  #card = el('div', { class: 'token-card', id: 'token-card', role: 'status', hidden: true });
  #active = null;

  constructor(root) {
    document.body.append(this.#card);
    root.addEventListener('pointerover', ({ target, pointerType }) => {
      if (pointerType === 'mouse') this.#show(pieces.has(target) ? target : null);
    });
    root.addEventListener('pointerleave', () => this.hide());
    root.addEventListener('click', ({ target }) => this.#show(pieces.has(target) ? target : null));
    root.addEventListener('keydown', (event) => this.#key(event));
    root.addEventListener('focusout', () => this.hide());
    addEventListener('scroll', () => this.hide(), { capture: true, passive: true });
  }

  hide() {
    this.#show(null);
  }

  #show(span) {
    if (span === this.#active) return;
    this.#active?.classList.remove('active');
    this.#active = span;
    this.#card.hidden = span === null;
    if (span === null) return;
    span.classList.add('active');
    this.#fill(pieces.get(span));
    this.#place(span.getClientRects()[0] ?? span.getBoundingClientRect());
  }

  #fill(piece) {
    const [token] = piece.tokens;
    const { length } = piece.tokens;
    const several = length > 1 && el('p', { class: 'help' }, `${length} tokens. The first could have been:`);
    const others = token.top.map((other) => this.#alternative(other, other.text === token.text));
    this.#card.replaceChildren(
      el('p', { class: 'token-head' }, el('b', {}, visible(piece.text)), ' ', percent(probability(piece))),
      ...(several ? [several] : []),
      el('ol', { 'aria-label': 'Likeliest tokens here' }, ...others));
  }

  #alternative({ text, logprob }, chosen) {
    const bar = el('i', { class: 'bar' });
    bar.style.width = `${Math.max(1, Math.exp(logprob) * 100)}%`;
    return el('li', { class: chosen ? 'chosen' : null }, bar, el('span', {}, visible(text)),
      el('span', {}, percent(Math.exp(logprob))));
  }

  // Below the token, or above where there is no room.
  #place(rect) {
    const { offsetWidth: width, offsetHeight: height } = this.#card;
    const left = Math.max(8, Math.min(rect.left, innerWidth - width - 8));
    const below = rect.bottom + 6;
    const top = below + height > innerHeight - 8 ? Math.max(8, rect.top - height - 6) : below;
    this.#card.style.left = `${left}px`;
    this.#card.style.top = `${top}px`;
  }

  #key(event) {
    const answer = event.target.closest?.('.answer-text');
    if (!answer) return;
    if (event.key === 'Escape' && this.#active) {
      event.stopPropagation();
      this.hide();
    }
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!direction) return;
    const all = [...answer.querySelectorAll('span:not(.lead) > .token')];
    if (all.length === 0) return;
    event.preventDefault();
    const at = all.indexOf(this.#active);
    const next = at < 0 ? (direction > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + direction));
    this.#show(all[next]);
  }
}

// Shows the turns that lead to the chosen answer, and two such paths side by side. A chat is a list of turns; a
// text is one text in which every answer's end can be gone back to.

import { AnswerText } from './answer_text.js';
import { el, svg } from './dom.js';
import { count, plural, seconds } from './format.js';
import { commonPrefix } from './tree.js';

const SOURCES = {
  fresh: 'from an empty state',
  resident: 'state was in its slot on the device',
  host: 'state came from host memory',
  disk: 'state came from disk',
  prefix: 'the beginning was read before, for someone else',
  replayed: 'state was lost, so the text was read again',
  remote: 'state came from another store',
};

// How an answer ended, where that is worth a word.
function end({ finish, held, error }) {
  if (finish === 'length') return 'Ended at max tokens.';
  const kept = held ? 'The state after these words is kept.' : 'Going on from here reads this turn again.';
  if (finish === 'stopped') return `Stopped. ${kept}`;
  return finish === 'error' ? `Broke off: ${error} ${kept}` : null;
}

// How much of what the model had to know was in the state already, and how much was read.
function meter({ reused, computed }) {
  const width = 72;
  const part = reused + computed === 0 ? 0 : (reused / (reused + computed)) * width;
  return svg('svg', { class: 'meter', width, height: 8, 'aria-hidden': 'true' },
    svg('rect', { class: 'reused', width: part, height: 8 }),
    svg('rect', { class: 'computed', x: part, width: width - part, height: 8 }));
}

function stats({ stats: s }) {
  const parts = [`read ${plural(s.computed, 'token')}`];
  parts.push(s.reused > 0 ? `${count(s.reused)} already in the state` : 'nothing to reuse');
  if (s.recomputed > 0) parts.push(`${count(s.recomputed)} read again`);
  if (s.firstTokenMs) parts.push(`first token ${seconds(s.firstTokenMs / 1000)}`);
  const writing = (s.totalMs - s.firstTokenMs) / 1000;
  if (s.generated > 1 && writing > 0) parts.push(`${count(Math.round((s.generated - 1) / writing))} tokens/s`);
  return el('span', { class: 'stats' }, meter(s), ...parts.map((part) => el('span', {}, part)),
    s.source && el('span', { class: 'source', title: SOURCES[s.source] ?? '' }, s.source));
}

export class TalkView {
  #root;
  #actions;
  #answers = [];  // AnswerTexts on show
  #view = null;

  // actions: choose(id), regenerate(id), pin(id), unpin(), swap(), copy(text)
  constructor(root, actions) {
    this.#root = root;
    this.#actions = actions;
  }

  // view: {conversation, pinned, tokens, busy, progress, intro}
  render(view) {
    this.#view = view;
    this.#answers = [];
    const { conversation, pinned } = view;
    const comparing = pinned !== null && pinned !== conversation.current && conversation.current !== null;
    this.#root.classList.toggle('comparing', comparing);
    if (comparing) this.#root.replaceChildren(...this.#comparison());
    else if (conversation.isEmpty) this.#root.replaceChildren(view.intro());
    else this.#root.replaceChildren(...this.#turns(conversation.path(conversation.current)), this.#onward());
  }

  // A node that is being written has changed.
  update(node, progress) {
    for (const answer of this.#answers) if (answer.node === node) answer.draw();
    const line = this.#root.querySelector(`[data-foot="${node.id}"] .writing`);
    if (line) line.textContent = progress ?? 'Writing …';
  }

  #turns(nodes, same = null) {
    if (this.#view.conversation.mode === 'prompt') return nodes.length === 0 ? [] : [this.#text(nodes, same)];
    return nodes.map((node, i) => this.#turn(node, i === 0 ? same : null));
  }

  #answer(node, same) {
    const { tokens, conversation } = this.#view;
    const lead = conversation.mode === 'prompt';
    const answer = new AnswerText(node, { tokens, same: same?.text ?? 0, lead, label: 'Answer' });
    this.#answers.push(answer);
    return answer.element;
  }

  // `same` says how much of prompt and text is no difference.
  static #prompt(node, same) {
    const shared = same?.prompt ?? 0;
    return [shared > 0 && el('span', { class: 'same' }, node.prompt.slice(0, shared)), node.prompt.slice(shared)];
  }

  #turn(node, same) {
    return el('article', { class: 'turn', dataset: { turn: node.id } },
      node.system && el('p', { class: 'system' }, node.system),
      el('div', { class: 'prompt', 'aria-label': 'You' }, ...TalkView.#prompt(node, same)),
      this.#answer(node, same), this.#foot(node));
  }

  #text(nodes, same) {
    const parts = nodes.flatMap((node, i) => {
      const shared = i === 0 ? same : null;
      const mark = el('button', {
        class: 'mark', type: 'button', title: 'Go on from here', 'aria-label': `Go on from here, after turn ${i + 1}`,
        onclick: () => this.#actions.choose(node.id),
      });
      return [el('span', { class: 'prompt' }, ...TalkView.#prompt(node, shared)), this.#answer(node, shared),
        node !== nodes.at(-1) && mark];
    });
    return el('article', { class: 'document', dataset: { turn: nodes.at(-1).id } },
      el('div', { class: 'flow' }, ...parts), this.#foot(nodes.at(-1)));
  }

  #foot(node) {
    const words = end(node);
    return el('footer', { class: 'foot', dataset: { foot: node.id } },
      node.finish === null && el('p', { class: 'writing' }, this.#view.progress ?? 'Writing …'),
      node.finish !== null && node.stats && stats(node),
      words && el('p', { class: node.finish === 'error' ? 'end bad' : 'end' }, words),
      node.finish !== null && this.#buttons(node));
  }

  #buttons(node) {
    const { conversation, pinned, busy } = this.#view;
    const button = (label, title, act, disabled = false) =>
      el('button', { type: 'button', class: 'quiet', title, disabled, onclick: act }, label);
    const compare = pinned === node.id
      ? button('Stop comparing', 'Let go of this answer', () => this.#actions.unpin())
      : button('Compare', 'Keep this answer on the left and choose another', () => this.#actions.pin(node.id));
    const comparing = this.#root.classList.contains('comparing');
    return el('div', { class: 'actions' },
      this.#pager(node),
      node.id !== conversation.current && node.id !== pinned &&
        button('Branch from here', 'Go on from the state after this answer', () => this.#actions.choose(node.id)),
      button('Regenerate', 'Another answer from the same state', () => this.#actions.regenerate(node.id), busy),
      !comparing && compare,
      button('Copy', 'Copy this answer', () => this.#actions.copy(node.text)));
  }

  #pager(node) {
    const siblings = this.#view.conversation.siblings(node.id);
    if (siblings.length < 2) return null;
    const at = siblings.indexOf(node.id);
    const to = (i, label, sign) => el('button', {
      type: 'button', class: 'quiet', 'aria-label': label, disabled: !siblings[i],
      onclick: () => this.#actions.choose(this.#view.conversation.latestLeaf(siblings[i])),
    }, sign);
    return el('span', { class: 'pager', role: 'group', 'aria-label': 'Branches here' },
      to(at - 1, 'Earlier branch', '‹'), `${at + 1} of ${siblings.length}`, to(at + 1, 'Later branch', '›'));
  }

  // What goes on from the chosen answer already, below it.
  #onward() {
    const { conversation } = this.#view;
    const children = conversation.childrenOf(conversation.current);
    if (children.length === 0) return '';
    const here = conversation.current === null ? 'You are at the beginning.' : 'You are at an earlier answer.';
    return el('p', { class: 'onward' },
      `${here} What you write now is a new branch; ${plural(children.length, 'other')} `,
      children.length === 1 ? 'goes' : 'go', ' on from here: ',
      ...children.map((id, i) => el('button', {
        type: 'button', class: 'quiet', onclick: () => this.#actions.choose(conversation.latestLeaf(id)),
      }, `branch ${i + 1}`)));
  }

  #comparison() {
    const { conversation, pinned } = this.#view;
    const { common, left, right } = conversation.compare(pinned, conversation.current);
    const same = left.length > 0 && right.length > 0 ? {
      prompt: commonPrefix(left[0].prompt, right[0].prompt),
      text: left[0].prompt === right[0].prompt ? commonPrefix(left[0].text, right[0].text) : 0,
    } : null;
    const shared = common.length === 0 ? 'Both begin differently.' : `Both share ${plural(common.length, 'turn')}.`;
    return [
      el('div', { class: 'shared' },
        el('p', {}, `${shared} What they have in common is pale.`),
        el('button', { type: 'button', class: 'quiet', onclick: () => this.#actions.unpin() }, 'Stop comparing')),
      common.length > 0 &&
        el('details', { class: 'common' }, el('summary', {}, 'The common part'), ...this.#turns(common)),
      el('div', { class: 'columns' },
        this.#column('Pinned', 'pinned', left, same, pinned),
        this.#column('Chosen', 'chosen', right, same, null)),
    ].filter(Boolean);
  }

  #column(title, kind, nodes, same, id) {
    return el('section', { class: `column ${kind}`, 'aria-label': `${title} branch` },
      el('header', {}, el('h3', {}, title),
        id !== null && el('button', {
          type: 'button', class: 'quiet', title: 'What you write goes on from this one',
          onclick: () => this.#actions.swap(),
        }, 'Go on from this one')),
      ...(nodes.length > 0 ? this.#turns(nodes, same) : [el('p', { class: 'end' }, 'Ends with the common part.')]));
  }
}

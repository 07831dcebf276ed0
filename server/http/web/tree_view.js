// Draws the tree of forks: a list of turns that keyboards and screen readers walk through as a tree, with the
// branches drawn beside it.

import { el, svg } from './dom.js';
import { snippet } from './format.js';
import { rows } from './tree.js';

const ROW = 46;
const LANE = 18;
const LANES_MAX = 9;  // deeper forks share the last lane
const LEFT = 14;
const CURVE = 12;

const x = (lane) => LEFT + Math.min(lane, LANES_MAX) * LANE;
const y = (row) => row * ROW + ROW / 2;

// From a turn down its lane, and over to the lane of one that goes on from it.
function branch(from, to) {
  if (from.x === to.x) return `M${from.x} ${from.y}V${to.y}`;
  return `M${from.x} ${from.y}V${to.y - CURVE}Q${from.x} ${to.y} ${from.x + CURVE} ${to.y}H${to.x}`;
}

const STATES = [
  ['running', (node) => node.finish === null, 'being written'],
  ['held', (node) => node.held, 'its state is held'],
  ['lost', () => true, 'its state is not held: going on from here reads the text again'],
];

export class TreeView {
  #root;
  #choose;
  #settle;
  #conversation = null;
  #items = [];  // elements in the order of their rows; the first is the beginning
  #ids = [];

  // `choose` is called with the id of a turn, or null for the beginning; `settle` once somebody is done choosing.
  constructor(root, choose, settle) {
    this.#root = root;
    this.#choose = choose;
    this.#settle = settle;
    root.addEventListener('keydown', (event) => this.#key(event));
  }

  render(conversation, pinned) {
    const hadFocus = this.#root.contains(document.activeElement);
    this.#conversation = conversation;
    const list = rows(conversation);
    const chosen = new Set(conversation.path(conversation.current).map((node) => node.id));
    const compared = new Set(pinned === null ? [] : conversation.path(pinned).map((node) => node.id));
    this.#ids = [null, ...list.map(({ node }) => node.id)];
    this.#items = [this.#beginning(conversation), ...list.map((row) => this.#item(row, conversation, pinned))];
    this.#root.replaceChildren(this.#drawing(list, chosen, compared, conversation.current), ...this.#items);
    const current = this.#items[this.#ids.indexOf(conversation.current)];
    if (hadFocus) current.focus({ preventScroll: true });
    current.scrollIntoView({ block: 'nearest' });
  }

  focus() {
    this.#items[this.#ids.indexOf(this.#conversation.current)].focus();
  }

  // The words of a turn that is being written.
  update(node) {
    const item = this.#items[this.#ids.indexOf(node.id)];
    if (item) item.querySelector('.tree-answer').textContent = snippet(node.text.slice(0, 200));
  }

  #drawing(list, chosen, compared, current) {
    const lanes = Math.max(0, ...list.map((row) => Math.min(row.lane, LANES_MAX)));
    const height = (list.length + 1) * ROW;
    const place = (row) => (row < 0 ? { x: x(0), y: y(0) } : { x: x(list[row].lane), y: y(row + 1) });
    const kind = (id) => (chosen.has(id) ? ' chosen' : compared.has(id) ? ' compared' : '');
    const lines = list.map((row, i) => ({ kind: kind(row.node.id), d: branch(place(row.parentRow), place(i)) }));
    // Chosen lines lie above those that they share a lane with.
    lines.sort((a, b) => a.kind.length - b.kind.length || a.kind.localeCompare(b.kind));
    return svg('svg', { class: 'tree-lines', 'aria-hidden': 'true', width: x(lanes) + LEFT, height },
      ...lines.map((line) => svg('path', { class: `line${line.kind}`, d: line.d })),
      svg('rect', { class: 'beginning', x: x(0) - 5, y: y(0) - 5, width: 10, height: 10, rx: 2 }),
      ...list.map(({ node }, i) => {
        const { x: cx, y: cy } = place(i);
        const [state] = STATES.find(([, holds]) => holds(node));
        const now = node.id === current ? ' current' : '';
        return svg('circle', { class: `dot ${state}${kind(node.id)}${now}`, cx, cy, r: now ? 6.5 : 5 });
      }));
  }

  #element(id, { level, lane, selected, label, words }) {
    const item = el('div', {
      class: 'tree-item', role: 'treeitem', tabindex: selected ? 0 : -1, 'aria-level': level,
      'aria-selected': String(selected), 'aria-label': label, dataset: { id: id ?? 'start' },
      onclick: () => {
        this.#choose(id);
        this.#settle(false);
      },
    }, ...words);
    item.style.paddingLeft = `${x(lane) + LEFT}px`;
    return item;
  }

  #beginning(conversation) {
    const selected = conversation.current === null;
    return this.#element(null, {
      level: 1, lane: 0, selected, label: 'The beginning: an empty state',
      words: [el('span', { class: 'tree-prompt' }, 'Start'), el('span', { class: 'tree-answer' }, 'an empty state')],
    });
  }

  #item({ node, lane, depth }, conversation, pinned) {
    const [, , state] = STATES.find(([, holds]) => holds(node));
    const siblings = conversation.siblings(node.id);
    const which = siblings.length > 1 ? ` Branch ${siblings.indexOf(node.id) + 1} of ${siblings.length}.` : '';
    const prompt = snippet(node.prompt) || '(further)';
    const item = this.#element(node.id, {
      level: depth + 1, lane, selected: node.id === conversation.current,
      label: `${prompt}: ${snippet(node.text)}.${which} ${state}${node.id === pinned ? ', pinned for comparison' : ''}`,
      words: [el('span', { class: 'tree-prompt' }, prompt), el('span', { class: 'tree-answer' }, snippet(node.text))],
    });
    item.title = state[0].toUpperCase() + state.slice(1);
    if (node.id === pinned) item.classList.add('pinned');
    return item;
  }

  #key(event) {
    if (event.key === 'Enter') this.#settle(true);
    const { current } = this.#conversation;
    const at = this.#ids.indexOf(current);
    const last = this.#ids.length - 1;
    const targets = {
      ArrowUp: () => this.#ids[Math.max(0, at - 1)],
      ArrowDown: () => this.#ids[Math.min(last, at + 1)],
      ArrowLeft: () => (current === null ? null : this.#conversation.node(current).parent),
      ArrowRight: () => this.#conversation.childrenOf(current)[0] ?? current,
      Home: () => this.#ids[0],
      End: () => this.#ids[last],
    };
    if (!targets[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const id = targets[event.key]();
    if (id !== current) this.#choose(id);
  }
}

// A conversation: a tree whose nodes are turns, each what the user wrote and what the model answered. Every
// answer can be gone on from any number of times. Pure: knows neither the page nor the server.
//
// node = {
//   id, parent, children    ids within this conversation; parent is null for those that begin it
//   system, prompt, text    system only in chats, and only where it begins one
//   tokens                  as tokens.js has them, or null where they were not asked for or not kept
//   finish                  null while it is written; 'stop' | 'length' | 'stopped' | 'error'
//   sessionId, revision     the server's session that is as this answer left it; null where none was made or kept
//   held                    whether the server is thought to have its state
//   model, stats, error, created
// }

export class Conversation {
  constructor({ id, mode, model, title = '', nodes = [], current = null, created, updated, next = 1 }) {
    this.id = id;
    this.mode = mode;  // 'chat' | 'prompt'
    this.model = model;
    this.title = title;
    this.nodes = new Map(nodes.map((node) => [node.id, node]));
    this.current = this.nodes.has(current) ? current : null;
    this.created = created;
    this.updated = updated ?? created;
    this.next = next;
  }

  static fromJson(json) {
    return new Conversation(json);
  }

  toJson() {
    return {
      version: 1, id: this.id, mode: this.mode, model: this.model, title: this.title,
      nodes: [...this.nodes.values()], current: this.current, created: this.created, updated: this.updated,
      next: this.next,
    };
  }

  get isEmpty() {
    return this.nodes.size === 0;
  }

  node(id) {
    return this.nodes.get(id) ?? null;
  }

  childrenOf(id) {
    if (id !== null) return this.nodes.get(id).children;
    return [...this.nodes.values()].filter((node) => node.parent === null).map((node) => node.id);
  }

  add(parent, { prompt, system = '', model, created }) {
    const id = `n${this.next++}`;
    this.nodes.set(id, {
      id, parent, children: [], system, prompt, model, created,
      text: '', tokens: null, finish: null, sessionId: null, revision: null, held: false, stats: null, error: null,
    });
    if (parent !== null) this.nodes.get(parent).children.push(id);
    if (this.title === '') this.title = prompt;
    this.updated = created;
    return this.nodes.get(id);
  }

  // Takes back a turn that nothing goes on from.
  remove(id) {
    const node = this.nodes.get(id);
    if (node.children.length > 0) throw new Error(`${id} has children`);
    this.nodes.delete(id);
    if (node.parent !== null) {
      const siblings = this.nodes.get(node.parent).children;
      siblings.splice(siblings.indexOf(id), 1);
    }
    if (this.current === id) this.current = node.parent;
    if (this.isEmpty) this.title = '';
  }

  // From the beginning to the node, which is the last; empty for null.
  path(id) {
    const nodes = [];
    for (let at = id; at !== null; at = this.nodes.get(at).parent) nodes.push(this.nodes.get(at));
    return nodes.reverse();
  }

  siblings(id) {
    return this.childrenOf(this.nodes.get(id).parent);
  }

  // Where the newest answers below a node lead.
  latestLeaf(id) {
    while (this.nodes.get(id).children.length > 0) id = this.nodes.get(id).children.at(-1);
    return id;
  }

  // {common, left, right}: what both have, and what each has of its own.
  compare(leftId, rightId) {
    const left = this.path(leftId);
    const right = this.path(rightId);
    let shared = 0;
    while (shared < left.length && shared < right.length && left[shared] === right[shared]) shared += 1;
    return { common: left.slice(0, shared), left: left.slice(shared), right: right.slice(shared) };
  }

  // What a turn of a model after `parent` takes: the nearest state that the server holds, {from: node | null}, and
  // the turns after it that have to be read again. States are of one model and no use to another.
  resume(parent, model) {
    const path = parent === null ? [] : this.path(parent);
    const usable = (node) => node.held && node.model === model;
    let at = path.length;
    while (at > 0 && !usable(path[at - 1])) at -= 1;
    return { from: at > 0 ? path[at - 1] : null, again: path.slice(at) };
  }

  // The server no longer has the states of a path.
  markLost(id) {
    for (const node of this.path(id)) node.held = false;
  }

  sessionIds() {
    return [...this.nodes.values()].map((node) => node.sessionId).filter(Boolean);
  }
}

// What a turn's model has to read, beyond the state that it goes on from.
export function turnInput(conversation, { parent, prompt, system, model }) {
  const { from, again } = conversation.resume(parent, model);
  if (conversation.mode === 'prompt') return { prompt: again.map((node) => node.prompt + node.text).join('') + prompt };
  const messages = again.flatMap((node) => [
    { role: 'user', content: node.prompt },
    { role: 'assistant', content: node.text },
  ]);
  messages.push({ role: 'user', content: prompt });
  const instructions = again.length > 0 ? again[0].system : system;
  if (from === null && instructions) messages.unshift({ role: 'system', content: instructions });
  return { messages };
}

// Rows to draw the tree in: {node, lane, depth, parentRow, last}. The first answer after each goes straight down in
// its lane; later ones branch off to the right of it, above, so that no two lines cross.
export function rows(conversation) {
  const out = [];
  const rowOf = new Map([[null, -1]]);
  // A stack rather than recursion: conversations may be thousands of turns deep.
  const stack = [];
  const pushChildren = (parent, lane, depth) => {
    const children = conversation.childrenOf(parent);
    children.forEach((id, i) => stack.push({ id, lane: lane + (i === 0 ? 0 : 1), depth }));
  };
  pushChildren(null, 0, 1);
  while (stack.length > 0) {
    const { id, lane, depth } = stack.pop();
    const node = conversation.node(id);
    rowOf.set(id, out.length);
    out.push({ node, lane, depth, parentRow: rowOf.get(node.parent) });
    pushChildren(id, lane, depth + 1);
  }
  return out;
}

// How many characters at their beginnings two texts share, never half of one.
export function commonPrefix(a, b) {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  const last = a.charCodeAt(length - 1);
  return last >= 0xd800 && last < 0xdc00 ? length - 1 : length;
}

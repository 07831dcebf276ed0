// What the page keeps in the browser: conversations, settings, drafts. All of it is bounded, and a full or
// forbidden storage is reported rather than thrown.

import { Conversation } from './tree.js';

const PREFIX = 'ssmd.playground.';
const CONVERSATION = `${PREFIX}conversation.`;
const DRAFT = `${PREFIX}draft.`;
export const CONVERSATIONS_MAX = 100;
// Token details are the bulk of a conversation: only so many of the newest are kept.
const TOKENS_KEPT_MAX = 4000;

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

// False where there is no room, or no storage.
function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

function remove(key) {
  try {
    localStorage.removeItem(key);
  } catch {
    // Nothing was kept.
  }
}

// Drops token details, oldest answers first, until at most `most` tokens have them.
function trimTokens(json, most) {
  let kept = 0;
  const nodes = json.nodes.toReversed().map((node) => {
    kept += node.tokens?.length ?? 0;
    return kept > most ? { ...node, tokens: null } : node;
  });
  return { ...json, nodes: nodes.reverse() };
}

export class Store {
  // [{id, title, updated}], newest first.
  list() {
    return read(`${PREFIX}index`) ?? [];
  }

  load(id) {
    const json = read(CONVERSATION + id);
    if (json?.version !== 1) return null;
    const conversation = Conversation.fromJson(json);
    for (const node of conversation.nodes.values()) {
      // The page went away while it was written.
      if (node.finish === null) node.finish = 'stopped';
    }
    return conversation;
  }

  // False where it could not be kept.
  save(conversation) {
    const json = conversation.toJson();
    const key = CONVERSATION + conversation.id;
    const entry = { id: conversation.id, title: conversation.title.slice(0, 200), updated: conversation.updated };
    const others = this.list().filter(({ id }) => id !== conversation.id);
    const all = [entry, ...others].sort((a, b) => b.updated - a.updated);
    const index = all.slice(0, CONVERSATIONS_MAX);
    for (const { id } of all.slice(CONVERSATIONS_MAX)) remove(CONVERSATION + id);
    const put = () => write(key, trimTokens(json, TOKENS_KEPT_MAX)) && write(`${PREFIX}index`, index);
    if (put()) return true;
    for (const { id } of others.toReversed()) {
      const other = read(CONVERSATION + id);
      if (other) write(CONVERSATION + id, trimTokens(other, 0));
      if (put()) return true;
    }
    return write(key, trimTokens(json, 0)) && write(`${PREFIX}index`, index);
  }

  delete(id) {
    remove(CONVERSATION + id);
    remove(DRAFT + id);
    write(`${PREFIX}index`, this.list().filter((entry) => entry.id !== id));
  }

  draft(id) {
    return read(DRAFT + id) ?? '';
  }

  keepDraft(id, text) {
    if (text === '') remove(DRAFT + id);
    else write(DRAFT + id, text);
  }

  setting(name, otherwise) {
    return read(PREFIX + name) ?? otherwise;
  }

  keepSetting(name, value) {
    write(PREFIX + name, value);
  }

  // Plain text, as theme.js reads it.
  get theme() {
    try {
      return localStorage.getItem(`${PREFIX}theme`) ?? 'auto';
    } catch {
      return 'auto';
    }
  }

  set theme(name) {
    try {
      if (name === 'auto') localStorage.removeItem(`${PREFIX}theme`);
      else localStorage.setItem(`${PREFIX}theme`, name);
    } catch {
      // It lasts as long as the page.
    }
  }

  // Of this browser window only.
  get token() {
    try {
      return sessionStorage.getItem(`${PREFIX}token`) ?? '';
    } catch {
      return '';
    }
  }

  set token(token) {
    try {
      if (token === '') sessionStorage.removeItem(`${PREFIX}token`);
      else sessionStorage.setItem(`${PREFIX}token`, token);
    } catch {
      // Asked for again after a reload.
    }
  }

  // Calls back with the id of a conversation that another window changed.
  onOtherWindow(changed) {
    addEventListener('storage', ({ key }) => {
      if (key === `${PREFIX}index`) changed(null);
      else if (key?.startsWith(CONVERSATION)) changed(key.slice(CONVERSATION.length));
    });
  }
}

// The list of conversations that the browser keeps.

import { el } from './dom.js';
import { snippet, when } from './format.js';
import { WORDS } from './notices.js';
import { Conversation } from './tree.js';

export class Library {
  #root;
  #sure = null;  // the conversation whose deletion was asked for once

  // actions: open(id), deleted(id)
  constructor(root, store, api, notices, actions) {
    this.#root = root;
    this.store = store;
    this.api = api;
    this.notices = notices;
    this.actions = actions;
  }

  // One that is kept from its first turn on.
  blank(mode, model) {
    // Not crypto.randomUUID: pages from other hosts without TLS have none.
    const id = `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 10)}`;
    return new Conversation({ id, mode, model, created: Date.now() });
  }

  render(open) {
    const list = this.store.list();
    const items = list.map((entry) => this.#item(entry, entry.id === open));
    if (items.length === 0) items.push(el('li', { class: 'help' }, 'None yet. They are kept in this browser.'));
    this.#root.replaceChildren(...items);
    this.opened = open;
  }

  #item({ id, title, updated }, isOpen) {
    const name = snippet(title) || 'Untitled';
    const sure = this.#sure === id;
    return el('li', { class: isOpen ? 'open' : null },
      el('button', {
        type: 'button', class: 'conversation', 'aria-current': isOpen ? 'true' : null,
        onclick: () => this.actions.open(id),
      }, el('span', {}, name), el('small', {}, when(updated))),
      el('button', {
        type: 'button', class: sure ? 'quiet sure' : 'quiet',
        'aria-label': `${sure ? 'Really delete' : 'Delete'}: ${name}`,
        title: 'Delete it here, and its states on the server',
        onclick: () => (sure ? this.#delete(id) : this.#ask(id)),
      }, sure ? 'Really?' : '×'));
  }

  #ask(id) {
    this.#sure = id;
    this.render(this.opened);
    this.#root.querySelector('.sure').focus();
  }

  async #delete(id) {
    this.#sure = null;
    const conversation = this.store.load(id);
    this.store.delete(id);
    this.actions.deleted(id);
    let kept = 0;
    for (const session of conversation?.sessionIds() ?? []) {
      try {
        await this.api.deleteSession(session);
      } catch (error) {
        if (error.status !== 404) kept += 1;
      }
    }
    if (kept > 0) {
      this.notices.show('sessions', WORDS.sessionsLeft(kept), { kind: 'info' });
    }
  }
}

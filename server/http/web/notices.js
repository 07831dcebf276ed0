// Tells people what went wrong, in plain words, and what they can do about it.

import { el } from './dom.js';
import { plural } from './format.js';

export const WORDS = {
  noModel: 'There is no model to ask yet.',
  noModels: 'This server serves no model.',
  newMode: 'A chat and a text are read differently, so this is a new conversation. The one before is in the list.',
  storageFull: 'The browser keeps nothing more for this page, so a reload would lose what is new. ' +
    'Delete old conversations to make room.',
  noCopy: 'The browser does not let this page copy: select the text and copy it by hand.',
  cannotChat: (model) => `${model} goes on with text and cannot chat. ` +
    'Choose another model, or begin a new conversation.',
  lost: 'The server no longer has the state of this conversation: it was started anew, or the state was given up ' +
    'after a while. The text is all here, and the server can read it again.',
  sameSeed: 'With a fixed seed, or temperature 0, the same answer comes again.',
  outOfRange: 'A sampling setting is out of its range.',
  sessionsLeft: (states) => `The conversation is deleted here. ${plural(states, 'state')} on the server could not ` +
    'be: it gives them up by itself once they have been idle long enough.',
};

export class Notices {
  #root;
  #shown = new Map();

  constructor(root) {
    this.#root = root;
  }

  // One notice of a key at a time. actions: [{label, act}]; acting takes the notice away.
  show(key, text, { actions = [], kind = 'bad' } = {}) {
    if (this.#shown.get(key)?.firstChild.textContent === text) return;
    this.clear(key);
    const close = () => this.clear(key);
    const notice = el('div', { class: `notice ${kind}`, dataset: { notice: key } },
      el('p', {}, text),
      ...actions.map(({ label, act }) => el('button', {
        type: 'button',
        onclick: () => {
          close();
          act();
        },
      }, label)),
      el('button', { type: 'button', class: 'quiet', 'aria-label': 'Close this message', onclick: close }, '×'));
    this.#shown.set(key, notice);
    this.#root.append(notice);
  }

  clear(key) {
    this.#shown.get(key)?.remove();
    this.#shown.delete(key);
  }
}

// The words for an ApiError. Messages of the server are shown too: they say which limit it was.
export function explain(error) {
  const later = error.retryAfter ? `in ${plural(error.retryAfter, 'second')}` : 'in a moment';
  switch (error.status) {
    case 0:
      return `${error.message} Is ssmd still running, and is the network there? What you wrote is kept.`;
    case 401:
      return 'This server wants a token with each request, and the one it got (if any) is not valid.';
    case 403:
      return `This token may not do that. The server says: ${error.message}`;
    case 404:
      return `The server does not have what was asked for: ${error.message}`;
    case 413:
      return `That is more text than this server takes at once: ${error.message}`;
    case 429:
      return `The server has too much to do for you just now; try again ${later}. It says: ${error.message}`;
    case 503:
      return `The server takes no new work at the moment; try again ${later}. It says: ${error.message}`;
    default:
      return error.status >= 500 ? `Something went wrong in the server: ${error.message}`
        : `The server did not accept that: ${error.message}`;
  }
}

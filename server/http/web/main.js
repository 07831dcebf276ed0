// Puts the page together: one conversation on show, at most one answer being written, and everything that people
// can do with them.

import { Announcer } from './announcer.js';
import { TokenCard } from './answer_text.js';
import { Api } from './api.js';
import { Library } from './library.js';
import { byId, oncePerFrame } from './dom.js';
import { bytes, plural } from './format.js';
import { canChat, setUpPanels, setUpTheme, setUpToken, showModel, showModels } from './header.js';
import { intro } from './intro.js';
import { Live } from './live.js';
import { Notices, WORDS, explain } from './notices.js';
import { SettingsPanel } from './settings.js';
import { Store } from './store.js';
import { TalkView } from './talk_view.js';
import { TreeView } from './tree_view.js';
import { runTurn } from './turn.js';

const SAVE_AFTER_MS = 800;
const MODELS_AGAIN_MS = 3000;
const NEAR_END_PX = 80;

class Playground {
  store = new Store();
  api = new Api(() => this.store.token);
  notices = new Notices(byId('notices'));
  announcer = new Announcer(byId('spoken'));
  settings = new SettingsPanel(byId('settings'), this.store, () => {});
  live = new Live(byId('live'), byId('live-note'), this.api);
  tree = new TreeView(byId('tree'), (id) => this.choose(id), (byKey) => this.#chosen(byKey));
  talk = new TalkView(byId('turns'), {
    choose: (id) => this.choose(id),
    regenerate: (id) => this.regenerate(id),
    pin: (id) => this.pin(id),
    unpin: () => this.pin(null),
    swap: () => this.swap(),
    copy: (text) => this.copy(text),
  });
  library = new Library(byId('conversations'), this.store, this.api, this.notices, {
    open: (id) => this.open(id),
    deleted: (id) => this.forget(id),
  });

  models = [];
  model = null;
  pinned = null;
  run = null;  // {conversation, node, controller, progress, deleted}
  #saveTimer = null;
  #leaving = false;
  #modelsTimer = null;
  #drawn = oncePerFrame(() => this.#drawRun());

  constructor() {
    this.prompt = byId('prompt');
    this.system = byId('system');
    this.tokens = byId('tokens');
    new TokenCard(byId('turns'));
    setUpTheme(this.store);
    this.showPanel = setUpPanels(() => this.#fitPrompt());
    this.openToken = setUpToken(this.store, () => this.#tokenGiven());
    this.tokens.checked = this.store.setting('tokens', true);
    this.system.value = this.store.setting('system', '');
    this.#listen();
    this.open(this.store.setting('open', null));
    this.loadModels();
  }

  #listen() {
    byId('model').addEventListener('change', ({ target }) => this.#chooseModel(target.value));
    for (const radio of document.querySelectorAll('[name=mode]')) {
      radio.addEventListener('change', () => this.#chooseMode(radio.value));
    }
    byId('new').addEventListener('click', () => this.open(null));
    byId('send').addEventListener('click', () => this.send());
    byId('stop').addEventListener('click', () => this.stop());
    byId('reset').addEventListener('click', () => this.settings.reset(() => {}));
    this.tokens.addEventListener('change', () => {
      this.store.keepSetting('tokens', this.tokens.checked);
      this.render();
    });
    this.prompt.addEventListener('input', () => this.#typed());
    this.system.addEventListener('input', () => this.store.keepSetting('system', this.system.value));
    this.prompt.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.send();
    });
    document.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || byId('token-dialog').open) return;
      if (this.run) this.stop();
      else if (this.pinned !== null) this.pin(null);
    });
    // What breaks because the page goes away is no news to keep.
    addEventListener('pagehide', () => {
      this.#save();
      this.#leaving = true;
    });
    addEventListener('pageshow', () => {
      this.#leaving = false;
    });
    this.store.onOtherWindow((id) => this.#changedElsewhere(id));
  }

  // Models and modes.

  async loadModels() {
    try {
      this.models = await this.api.models();
    } catch (error) {
      this.#modelsFailed(error);
      return;
    }
    this.notices.clear('models');
    const wanted = this.conversation.model ?? this.store.setting('model', '');
    const found = this.models.find(({ id }) => id === wanted) ?? this.models[0];
    showModels(this.models, found?.id);
    if (found) this.#chooseModel(found.id);
    else {
      const look = { label: 'Look again', act: () => this.loadModels() };
      this.notices.show('models', WORDS.noModels, { actions: [look] });
    }
  }

  #modelsFailed(error) {
    const again = { label: 'Try again', act: () => this.loadModels() };
    const token = { label: 'Enter a token', act: this.openToken };
    this.notices.show('models', explain(error), { actions: [error.status === 401 ? token : again] });
    clearTimeout(this.#modelsTimer);
    if (error.status === 0 || error.status === 503) {
      this.#modelsTimer = setTimeout(() => this.loadModels(), MODELS_AGAIN_MS);
    }
  }

  #tokenGiven() {
    this.notices.clear('turn');
    this.live.again();
    this.loadModels();
  }

  #chooseModel(id) {
    this.model = this.models.find((model) => model.id === id) ?? null;
    this.live.model = id;
    this.store.keepSetting('model', id);
    if (this.conversation.isEmpty) {
      this.conversation.model = id;
      const wanted = this.store.setting('mode', 'chat');
      this.conversation.mode = canChat(this.model) ? wanted : 'prompt';
    }
    this.render();
  }

  #chooseMode(mode) {
    this.store.keepSetting('mode', mode);
    if (!this.conversation.isEmpty) {
      const draft = this.prompt.value;
      this.open(null);
      this.prompt.value = draft;
      this.notices.show('mode', WORDS.newMode, { kind: 'info' });
    }
    this.conversation.mode = mode;
    this.render();
    this.prompt.focus();
  }

  // Conversations.

  // null begins a new one.
  open(id) {
    const found = id === null ? null : this.store.load(id);
    const mode = this.store.setting('mode', 'chat');
    this.#show(this.run?.conversation.id === id ? this.run.conversation : found ??
      this.library.blank(this.model && !canChat(this.model) ? 'prompt' : mode, this.model?.id ?? null));
    if (id === null) this.showPanel('talk');
  }

  #show(conversation) {
    this.conversation = conversation;
    this.pinned = null;
    this.store.keepSetting('open', conversation.isEmpty ? null : conversation.id);
    this.prompt.value = this.store.draft(this.#draftKey());
    const model = this.models.find((one) => one.id === this.conversation.model);
    if (model && model !== this.model) {
      byId('model').value = model.id;
      this.#chooseModel(model.id);
    }
    this.notices.clear('turn');
    this.notices.clear('mode');
    this.render();
    this.#fitPrompt();
    this.#toEnd();
  }

  // A conversation was deleted.
  forget(id) {
    if (this.run?.conversation.id === id) {
      this.run.deleted = true;
      this.stop();
    }
    if (this.conversation.id === id) this.open(null);
    else this.render();
  }

  // What is typed before there is a conversation to keep it for is kept for the next new one.
  #draftKey() {
    return this.conversation.isEmpty ? 'new' : this.conversation.id;
  }

  #changedElsewhere(id) {
    if (id === this.conversation.id && this.run?.conversation !== this.conversation) {
      const fresh = this.store.load(id);
      if (fresh) {
        const { current } = this.conversation;
        this.conversation = fresh;
        if (fresh.node(current)) fresh.current = current;
        if (!fresh.node(this.pinned)) this.pinned = null;
      }
    }
    this.render();
  }

  #saveSoon() {
    this.#saveTimer ??= setTimeout(() => this.#save(), SAVE_AFTER_MS);
  }

  #save() {
    clearTimeout(this.#saveTimer);
    this.#saveTimer = null;
    if (this.#leaving) return;
    for (const conversation of new Set([this.run?.conversation, this.conversation])) {
      const deleted = this.run?.deleted && this.run.conversation === conversation;
      if (!conversation || conversation.isEmpty || deleted) continue;
      if (this.store.save(conversation)) this.notices.clear('storage');
      else this.notices.show('storage', WORDS.storageFull);
    }
  }

  // The tree.

  choose(id) {
    this.conversation.current = id;
    this.#saveSoon();
    this.render();
    this.#toEnd();
  }

  // In the tree; now it is to be read, or gone on from.
  #chosen(byKey) {
    if (this.#isNarrow()) this.showPanel('talk');
    this.#toEnd();
    if (byKey) this.prompt.focus();
  }

  #isNarrow = () => matchMedia('(max-width: 720px)').matches;

  pin(id) {
    this.pinned = id;
    this.render();
    if (id === null) return;
    if (this.#isNarrow()) this.showPanel('tree');
    this.announcer.say('Pinned. Choose another answer in the tree to compare with.');
    if (this.conversation.current === id) this.tree.focus();
  }

  swap() {
    const { current } = this.conversation;
    this.conversation.current = this.pinned;
    this.pinned = current;
    this.render();
    this.prompt.focus();
  }

  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      this.announcer.say('Copied.');
    } catch {
      this.notices.show('copy', WORDS.noCopy, { kind: 'info' });
    }
  }

  // Turns.

  send() {
    const prompt = this.prompt.value;
    const { conversation } = this;
    if (this.run) return;
    const goesOn = conversation.mode === 'prompt' && conversation.current !== null;
    if (prompt.trim() === '' && !goesOn) {
      this.prompt.focus();
      return;
    }
    if (!this.#mayAsk()) return;
    const key = this.#draftKey();
    this.prompt.value = '';
    this.store.keepDraft(key, '');
    this.#fitPrompt();
    const system = conversation.mode === 'chat' && conversation.current === null ? this.system.value.trim() : '';
    this.#turn(conversation.current, { prompt, system, written: true });
  }

  // Another answer to the same: a sibling.
  regenerate(id) {
    if (this.run || !this.#mayAsk()) return;
    const { parent, prompt, system } = this.conversation.node(id);
    this.#turn(parent, { prompt, system, before: this.conversation.current });
    const { seed, temperature } = this.settings.sampling();
    if (seed !== undefined || temperature === 0) {
      this.notices.show('seed', WORDS.sameSeed, { kind: 'info' });
    }
  }

  stop() {
    this.run?.controller.abort();
  }

  #mayAsk() {
    for (const key of ['turn', 'seed', 'mode']) this.notices.clear(key);
    const invalid = this.settings.firstInvalid();
    if (invalid !== null) {
      this.#complain(WORDS.outOfRange, invalid);
      return false;
    }
    if (!this.model) {
      const look = { label: 'Look for models', act: () => this.loadModels() };
      this.notices.show('turn', WORDS.noModel, { actions: [look] });
      return false;
    }
    if (this.conversation.mode === 'chat' && !canChat(this.model)) {
      this.notices.show('turn', WORDS.cannotChat(this.model.id));
      return false;
    }
    return true;
  }

  #complain(text, name) {
    this.notices.show('turn', text, { actions: [{
      label: 'Show the setting',
      act: () => {
        this.showPanel('sampling');
        this.settings.focus(name);
      },
    }] });
  }

  // A turn that failed, as it was; what was typed since stays where it is.
  #again(conversation, parent, turn, { lost = false } = {}) {
    if (this.run) return;
    if (conversation.id !== this.conversation.id) this.#show(conversation);
    if (lost) this.conversation.markLost(parent);
    if (!this.#mayAsk()) return;
    if (turn.written && this.prompt.value === turn.prompt) {
      this.prompt.value = '';
      this.store.keepDraft(this.#draftKey(), '');
      this.#fitPrompt();
    }
    this.#turn(parent, turn);
  }

  // `written`: the prompt was typed, rather than taken from another turn. `before` is the answer that was on show.
  async #turn(parent, turn) {
    const { prompt, system, before = null } = turn;
    const { conversation } = this;
    const node = conversation.add(parent, { prompt, system, model: this.model.id, created: Date.now() });
    conversation.current = node.id;
    this.store.keepSetting('open', conversation.id);
    const controller = new AbortController();
    this.run = { conversation, node, controller, progress: null, deleted: false };
    const options = { sampling: this.settings.sampling(), wantTokens: this.tokens.checked };
    const { from } = conversation.resume(parent, node.model);
    this.render();
    this.#toEnd();
    let failure = null;
    try {
      await runTurn(this.api, conversation, node, options, controller.signal, (comment) => this.#progress(comment));
    } catch (error) {
      failure = error;
    }
    const { deleted } = this.run;
    this.run = null;
    if (deleted) {
      if (node.sessionId) this.api.deleteSession(node.sessionId).catch(() => {});
      this.render();
      return;
    }
    const nothing = node.text === '' && !node.held && node.finish !== 'stop' && node.finish !== 'length';
    const takenBack = nothing && this.#takeBack(conversation, node, turn);
    if (!takenBack) this.announcer.follow(node);
    this.#save();
    if (conversation !== this.conversation) this.store.save(conversation);
    const followed = this.#isNearEnd();
    this.render();
    if (followed) this.#toEnd();
    if (!failure) return;
    const same = takenBack ? turn : { prompt, system, before: node.id };
    const again = (how) => this.#again(conversation, parent, same, how);
    this.#failed(failure, { from, again });
  }

  // Nothing came: what was written goes back to where it was written. False where something else is there by now,
  // and the turn is kept.
  #takeBack(conversation, node, { written = false, before = null }) {
    const here = conversation === this.conversation;
    if (written && here && this.prompt.value !== '') return false;
    conversation.remove(node.id);
    if (before !== null) conversation.current = before;
    if (!written) return true;
    this.store.keepDraft(conversation.isEmpty ? 'new' : conversation.id, node.prompt);
    if (here) this.prompt.value = node.prompt;
    this.#fitPrompt();
    return true;
  }

  #failed(error, { from, again }) {
    const param = error.param ?? '';
    if (error.status === 401) {
      this.notices.show('turn', explain(error), { actions: [{ label: 'Enter a token', act: this.openToken }] });
      this.openToken();
    } else if (error.status === 404 && from !== null && param !== 'model') {
      this.notices.show('turn', WORDS.lost, {
        actions: [{ label: 'Read the conversation again', act: () => again({ lost: true }) }],
      });
    } else if (error.status === 400 && this.settings.mark(param, error.message)) {
      this.#complain(explain(error), param === 'max_completion_tokens' ? 'max_tokens' : param);
    } else if (error.status === 400) {
      this.notices.show('turn', explain(error));
    } else {
      this.notices.show('turn', explain(error), { actions: [{ label: 'Try again', act: () => again() }] });
    }
  }

  #progress(comment) {
    const read = /prefill (\d+) of (\d+)/.exec(comment ?? '');
    if (read) this.run.progress = `Reading: ${read[1]} of ${read[2]} tokens`;
    else if (comment === null) this.run.progress = null;
    this.#saveSoon();
    this.#drawn();
  }

  #drawRun() {
    if (!this.run) return;
    const { conversation, node, progress } = this.run;
    if (conversation === this.conversation) {
      const follow = this.#isNearEnd();
      this.talk.update(node, progress);
      this.tree.update(node);
      if (follow) this.#toEnd();
    }
    this.announcer.follow(node);
  }

  // Drawing.

  render() {
    const { conversation } = this;
    showModel(this.model, conversation.mode);
    byId('tree-hint').hidden = this.pinned === null || this.pinned !== conversation.current;
    this.tree.render(conversation, this.pinned);
    this.talk.render({
      conversation, pinned: this.pinned, tokens: this.tokens.checked, busy: this.run !== null,
      progress: this.run?.progress ?? null,
      intro: () => intro(conversation.mode, this.model, (text) => this.#begin(text)),
    });
    this.library.render(conversation.id);
    this.#renderComposer();
  }

  #renderComposer() {
    const { conversation } = this;
    const chat = conversation.mode === 'chat';
    byId('send').hidden = this.run !== null;
    byId('stop').hidden = this.run === null;
    byId('send').textContent = chat ? 'Send' : 'Write on';
    byId('prompt-label').textContent = chat ? 'Message' : 'Text';
    byId('system-row').hidden = !(chat && conversation.current === null);
    const begun = conversation.current !== null;
    const forText = begun ? 'Further text, or nothing, and the model goes on' : 'The beginning of a text';
    this.prompt.placeholder = chat ? 'Say something' : forText;
    byId('from').textContent = this.#fromWords();
  }

  // What the next turn goes on from.
  #fromWords() {
    const { conversation, model } = this;
    const comparing = this.pinned !== null;
    if (comparing && this.pinned === conversation.current) {
      return 'Pinned. Choose another answer in the tree to compare with it.';
    }
    if (conversation.current === null) return 'Begins with an empty state.';
    const node = conversation.node(conversation.current);
    if (node.finish === null) return '';
    const { again } = conversation.resume(node.id, model?.id);
    if (again.length > 0) return `No state is held here: ${plural(again.length, 'turn')} will be read again first.`;
    const size = model?.ssmd ? ` (${bytes(model.ssmd.state_bytes_per_session)})` : '';
    const which = comparing ? 'the chosen' : 'this';
    return `Goes on from the state${size} after ${which} answer: only what you write is read.`;
  }

  #begin(text) {
    this.prompt.value = text;
    this.#typed();
    this.prompt.focus();
  }

  #typed() {
    this.store.keepDraft(this.#draftKey(), this.prompt.value);
    this.#fitPrompt();
  }

  // As high as its text, within reason.
  #fitPrompt() {
    this.prompt.style.height = 'auto';
    this.prompt.style.height = `${Math.min(this.prompt.scrollHeight + 2, innerHeight * 0.35)}px`;
  }

  #isNearEnd() {
    const turns = byId('turns');
    return turns.scrollHeight - turns.scrollTop - turns.clientHeight < NEAR_END_PX;
  }

  #toEnd() {
    const turns = byId('turns');
    turns.scrollTop = turns.classList.contains('comparing') ? 0 : turns.scrollHeight;
  }
}

new Playground();

// What stands at the top of the page: models, mode, token, theme, and the panels of narrow screens.

import { byId, el } from './dom.js';
import { bytes, magnitude } from './format.js';

const THEMES = { auto: 'Auto', light: 'Light', dark: 'Dark' };

export function setUpTheme(store) {
  const button = byId('theme');
  const names = Object.keys(THEMES);
  let { theme } = store;
  const show = () => {
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `◐ ${THEMES[theme]}`;
    button.setAttribute('aria-label', `Colours: ${THEMES[theme]}. Change them`);
  };
  button.addEventListener('click', () => {
    theme = names[(names.indexOf(theme) + 1) % names.length];
    store.theme = theme;
    show();
  });
  show();
}

// Narrow screens show one panel at a time; `changed` is called with its name.
export function setUpPanels(changed) {
  const buttons = [...document.querySelectorAll('.tabs button')];
  const show = (panel) => {
    document.body.dataset.panel = panel;
    for (const button of buttons) button.setAttribute('aria-pressed', String(button.dataset.panel === panel));
    changed(panel);
  };
  for (const button of buttons) button.addEventListener('click', () => show(button.dataset.panel));
  show('talk');
  return show;
}

// Returns what opens the dialog; `given` is called once a token was given or forgotten.
export function setUpToken(store, given) {
  const dialog = byId('token-dialog');
  const input = byId('token');
  const keep = (token) => {
    store.token = token;
    dialog.close();
    given();
  };
  byId('token-form').addEventListener('submit', (event) => {
    event.preventDefault();
    keep(input.value.trim());
  });
  byId('token-forget').addEventListener('click', () => keep(''));
  byId('token-cancel').addEventListener('click', () => dialog.close());
  const open = () => {
    input.value = store.token;
    if (!dialog.open) dialog.showModal();
    input.select();
  };
  byId('token-open').addEventListener('click', open);
  return open;
}

export const canChat = (model) => Boolean(model) && (model.ssmd?.chat_format ?? 'none') !== 'none';

export function showModels(models, chosen) {
  const options = models.map(({ id }) => el('option', { value: id, selected: id === chosen }, id));
  byId('model').replaceChildren(...(options.length > 0 ? options : [el('option', { value: '' }, 'No model')]));
}

export function showModel(model, mode) {
  const facts = model?.ssmd;
  byId('model-facts').textContent = !facts ? '' : [
    `a state is ${bytes(facts.state_bytes_per_session)}`, facts.architecture,
    `${magnitude(facts.parameters)} parameters in ${facts.weights}`, facts.device,
  ].join(' · ');
  const [chat, prompt] = ['chat', 'prompt'].map((name) => document.querySelector(`[name=mode][value=${name}]`));
  chat.disabled = Boolean(model) && !canChat(model);
  chat.parentElement.title = chat.disabled ? 'This model has no chat format: it goes on with text'
    : 'You and the model take turns';
  prompt.parentElement.title = 'The model goes on with your text';
  (mode === 'chat' ? chat : prompt).checked = true;
  const size = facts ? `${bytes(facts.state_bytes_per_session)} however long the text` : 'small, however long the text';
  byId('tree-why').textContent = `Branching is free: a state is ${size}, and the one after each answer is kept. ` +
    'A branch goes on from it, reads only what is new and leaves it untouched. Arrow keys walk through the tree.';
}

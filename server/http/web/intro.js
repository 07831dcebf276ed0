// What a new conversation shows: what this is, and how to begin.

import { el, svg } from './dom.js';
import { bytes } from './format.js';

const BEGINNINGS = {
  chat: ['Tell me a short story about a fox.', 'What is a state-space model?', 'Write a haiku about the sea.'],
  prompt: ['Once upon a time', 'One day, a girl named Lily', 'The old lighthouse keeper'],
};

// A state, and the branches that go on from it.
function figure() {
  const box = (x, y, kind) => svg('rect', { class: kind, x, y, width: 26, height: 18, rx: 4 });
  const line = (d) => svg('path', { class: 'line', d });
  return svg('svg', { class: 'intro-figure', viewBox: '0 0 230 96', 'aria-hidden': 'true' },
    line('M28 48H62'), line('M88 48H122'), line('M88 48Q105 48 105 34T122 16'), line('M88 48Q105 48 105 62T122 80'),
    line('M148 16H182'), line('M148 48H182'), line('M148 80H182'),
    box(2, 39, 'empty'), box(62, 39, 'state'),
    ...[16, 48, 80].flatMap((y) => [box(122, y - 9, 'state'), box(182, y - 9, 'state')]));
}

export function intro(mode, model, begin) {
  const state = model?.ssmd ? `one state of ${bytes(model.ssmd.state_bytes_per_session)}` : 'one small state';
  return el('section', { class: 'intro' }, figure(),
    el('h2', {}, 'One state, many ways on'),
    el('p', {}, `A state-space model keeps all that it has read in ${state}, which never grows. ssmd holds the state ` +
      'after every answer, so you can go on from any of them, as often as you like, and nothing is read twice.'),
    el('div', { class: 'beginnings', role: 'group', 'aria-label': 'Ways to begin' },
      ...BEGINNINGS[mode].map((text) => el('button', { type: 'button', onclick: () => begin(text) }, text))));
}

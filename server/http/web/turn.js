// One turn over the wire: sends what the model has to read and fills the node with what it answers, as it comes.

import { tokensOf } from './tokens.js';
import { turnInput } from './tree.js';

const ALTERNATIVES = 5;
// A turn that was cut off is asked for so often, and so long.
const SETTLE_EVERY_MS = 20;
const SETTLE_WITHIN_MS = 5000;

// What is cut off leaves of its session what had been delivered, and asked for once more, by its name, is told again.
function body(conversation, node, options) {
  const chat = conversation.mode === 'chat';
  const logprobs = chat ? { logprobs: true, top_logprobs: ALTERNATIVES } : { logprobs: ALTERNATIVES };
  return {
    model: node.model,
    ...turnInput(conversation, node),
    ssmd: { session_id: node.sessionId, request_id: `${conversation.id}.${node.id}`, commit: 'partial' },
    stream: true,
    stream_options: { include_usage: true },
    ...(options.wantTokens ? logprobs : {}),
    ...options.sampling,
  };
}

// What the server says of a turn, in the last chunk of its stream.
function statsOf(chunk) {
  const { ssmd, usage } = chunk;
  return {
    source: ssmd?.state_source ?? null,
    reused: ssmd?.reused_tokens ?? usage?.prompt_tokens_details?.cached_tokens ?? 0,
    computed: ssmd?.computed_tokens ?? usage?.prompt_tokens ?? 0,
    recomputed: ssmd?.recomputed_tokens ?? 0,
    generated: usage?.completion_tokens ?? null,
    seed: ssmd?.seed ?? null,
    firstTokenMs: ssmd?.timings_ms?.first_token ?? null,
    totalMs: ssmd?.timings_ms?.total ?? null,
  };
}

function take(node, chunk) {
  const choice = chunk.choices?.[0];
  if (choice) {
    node.text += choice.delta?.content ?? choice.text ?? '';
    for (const token of tokensOf(choice.logprobs)) (node.tokens ??= []).push(token);
    if (choice.finish_reason) node.finish = choice.finish_reason;
  }
  if (chunk.ssmd || chunk.usage) {
    node.stats = { ...node.stats, ...statsOf(chunk) };
    if (chunk.ssmd?.session_id) {
      node.revision = chunk.ssmd.revision;
      node.held = true;
    }
  }
}

// What the server has of a turn that was cut off may be more than had come here: exactly that becomes the answer.
// Where it has none of it, or does not say, the session is given up, and the answer's text would be read again.
async function settle(api, path, request, base, node) {
  const signal = AbortSignal.timeout(SETTLE_WITHIN_MS);
  const told = { text: '', held: false };
  try {
    let session = await api.session(node.sessionId, signal);
    while (session.running) {
      await new Promise((resume) => setTimeout(resume, SETTLE_EVERY_MS));
      session = await api.session(node.sessionId, signal);
    }
    if (session.revision === base + 1) {
      for await (const { chunk } of api.stream(path, request, signal)) if (chunk) take(told, chunk);
    }
  } catch {
    // It stays as it is.
  }
  if (told.held && told.text !== '' && told.text.startsWith(node.text)) {
    const { text, stats, revision, held } = told;
    Object.assign(node, { text, stats, revision, held });
    return;
  }
  api.deleteSession(node.sessionId).catch(() => {});
}

// Calls `progress` with a comment of the server, or nothing, whenever the node has changed. When it returns or
// throws the node has ended; where it throws ApiError, node.error says why. Ending `signal` stops it and is no
// error.
export async function runTurn(api, conversation, node, options, signal, progress) {
  const path = conversation.mode === 'chat' ? '/v1/chat/completions' : '/v1/completions';
  const { from } = conversation.resume(node.parent, node.model);
  let request = null;
  let base = 0;
  try {
    const session = await (from === null ? api.newSession(node.model, signal)
      : api.forkSession(from.sessionId, from.revision, signal));
    base = session.revision;
    node.sessionId = session.id;
    request = body(conversation, node, options);
    for await (const { chunk, comment } of api.stream(path, request, signal)) {
      if (chunk) take(node, chunk);
      progress(comment ?? null);
    }
    node.finish ??= 'stop';
  } catch (cause) {
    if (request !== null && !node.held) await settle(api, path, request, base, node);
    const stopped = cause.name === 'AbortError';
    node.finish = stopped ? 'stopped' : 'error';
    if (!stopped) {
      node.error = cause.message;
      throw cause;
    }
  }
}

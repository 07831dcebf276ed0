// One turn over the wire: sends what the model has to read and fills the node with what it answers, as it comes.

import { tokensOf } from './tokens.js';
import { turnRequest } from './tree.js';

const ALTERNATIVES = 5;

function body(conversation, node, options) {
  const chat = conversation.mode === 'chat';
  const logprobs = chat ? { logprobs: true, top_logprobs: ALTERNATIVES } : { logprobs: ALTERNATIVES };
  return {
    model: node.model,
    ...turnRequest(conversation, node),
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
      node.answerId = chunk.id;
      node.sessionId = chunk.ssmd.session_id;
      node.held = true;
    }
  }
}

// Calls `progress` with a comment of the server, or nothing, whenever the node has changed. When it returns or
// throws the node has ended; where it throws ApiError, node.error says why. Ending `signal` stops it and is no
// error.
export async function runTurn(api, conversation, node, options, signal, progress) {
  const path = conversation.mode === 'chat' ? '/v1/chat/completions' : '/v1/completions';
  try {
    for await (const { chunk, comment } of api.stream(path, body(conversation, node, options), signal)) {
      if (chunk) take(node, chunk);
      progress(comment ?? null);
    }
    node.finish ??= 'stop';
  } catch (cause) {
    const stopped = cause.name === 'AbortError';
    node.finish = stopped ? 'stopped' : 'error';
    if (!stopped) {
      node.error = cause.message;
      throw cause;
    }
  }
}

// Which part of an answer's text came from which tokens. Tokens are pieces of bytes and may end within a
// character; pieces made here never do. Pure.
//
// A token is {text, logprob, top: [{text, logprob}]}. One whose bytes are no text has "bytes:\xe2\x80" for its
// text, as the completions endpoint writes it. A piece is {text, tokens}; without tokens it is text that none is
// known for.

const encoder = new TextEncoder();
const decoder = new TextDecoder();
// How many tokens, and how many bytes for each, are skipped in search of one that fits again.
const SKIPPED_TOKENS_MAX = 8;
const SKIPPED_BYTES_EACH = 24;

function bytesOfText(text) {
  if (!/^bytes:(\\x[0-9a-fA-F]{2})+$/.test(text)) return encoder.encode(text);
  return Uint8Array.from(text.matchAll(/\\x(..)/g), (match) => parseInt(match[1], 16));
}

function matches(bytes, position, token) {
  return position + token.length <= bytes.length && token.every((byte, i) => bytes[position + i] === byte);
}

const startsCharacter = (bytes, position) => position >= bytes.length || (bytes[position] & 0xc0) !== 0x80;

// Where in the text the next token that fits begins: {skipped tokens, position}, or null.
function resynchronise(bytes, position, tokens, first) {
  for (let skipped = 1; skipped <= SKIPPED_TOKENS_MAX && first + skipped < tokens.length; ++skipped) {
    const wanted = tokens[first + skipped];
    if (wanted.length === 0) continue;
    for (let at = position; at <= position + skipped * SKIPPED_BYTES_EACH; ++at) {
      if (startsCharacter(bytes, at) && matches(bytes, at, wanted)) return { skipped, position: at };
    }
  }
  return null;
}

export function align(text, tokens) {
  const bytes = encoder.encode(text);
  const encoded = tokens.map((token) => bytesOfText(token.text));
  const pieces = [];
  let position = 0;
  let group = [];
  let start = 0;
  const close = () => {
    if (position > start) pieces.push({ text: decoder.decode(bytes.subarray(start, position)), tokens: group });
    else if (group.length > 0 && pieces.length > 0) pieces.at(-1).tokens.push(...group);
    start = position;
    group = [];
  };
  for (let i = 0; i < tokens.length && position < bytes.length; ++i) {
    let token = encoded[i];
    // Tokenizers write a space before the first word that is not in the text.
    if (i === 0 && token[0] === 0x20 && bytes[0] !== 0x20) token = token.subarray(1);
    if (matches(bytes, position, token)) {
      group.push(tokens[i]);
      position += token.length;
      if (startsCharacter(bytes, position)) close();
      continue;
    }
    const found = resynchronise(bytes, position, encoded, i);
    if (found === null) break;
    group.push(...tokens.slice(i, i + found.skipped));
    position = found.position;
    close();
    i += found.skipped - 1;
  }
  // The rest has no tokens that fit it: they are still to come, or the last one was cut by a stop string.
  if (position < bytes.length) {
    position = bytes.length;
    close();
  }
  return pieces;
}

// The probability of a piece is that of all its tokens.
export const probability = (piece) =>
  Math.exp(piece.tokens.reduce((sum, token) => sum + (token.logprob ?? 0), 0));

// How likely a piece was next to the likeliest there: 0 for half as likely or more … 3 for hardly thought of. Next to,
// because a model that knows little finds everything unlikely, and that says nothing of a token.
export function surprise(piece) {
  const behind = ({ logprob, top }) => Math.max(logprob, ...top.map((other) => other.logprob)) - logprob;
  const ratio = Math.exp(-piece.tokens.reduce((sum, token) => sum + behind(token), 0));
  return [1 / 2, 1 / 5, 1 / 20].filter((limit) => ratio < limit).length;
}

const rounded = (logprob) => (logprob === null || logprob === undefined ? null : Math.round(logprob * 1e4) / 1e4);

const hex = (byte) => `\\x${byte.toString(16).padStart(2, '0')}`;

// The text of a token, or its bytes where they are no text on their own.
function textOf(text, bytes) {
  return !bytes || String(bytes) === String([...bytesOfText(text)]) ? text : `bytes:${bytes.map(hex).join('')}`;
}

function token(text, bytes, logprob, top) {
  return { text: textOf(text, bytes), logprob: rounded(logprob), top };
}

// Tokens of a chunk, of either endpoint.
export function tokensOf(logprobs) {
  if (!logprobs) return [];
  if (Array.isArray(logprobs.content)) {
    const alternative = (other) => ({ text: textOf(other.token, other.bytes), logprob: rounded(other.logprob) });
    return logprobs.content.map((entry) =>
      token(entry.token, entry.bytes, entry.logprob, (entry.top_logprobs ?? []).map(alternative)));
  }
  return (logprobs.tokens ?? []).map((text, i) => token(text, logprobs.bytes?.[i], logprobs.token_logprobs?.[i],
    Object.entries(logprobs.top_logprobs?.[i] ?? {})
      .map(([other, logprob]) => ({ text: other, logprob: rounded(logprob) }))
      .sort((a, b) => b.logprob - a.logprob)));
}

// The daemon's HTTP API as this page uses it: JSON, streams of server-sent events, and errors that say what
// went wrong. Knows nothing of the page.

// How long the server keeps a session that nobody uses: a page that is closed deletes nothing.
const KEPT_SECONDS = 86400;

export class ApiError extends Error {
  // status 0: there was no answer.
  constructor(status, message, { param = null, code = null, retryAfter = null } = {}) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.param = param;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

function errorOf(status, body, retryAfter = null) {
  const error = body?.error ?? {};
  const message = typeof error === 'string' ? error : (error.message ?? `The server answered with status ${status}.`);
  return new ApiError(status, message, { param: error.param, code: error.code, retryAfter });
}

// Splits a stream of bytes into server-sent events: {data} and {comment}. Chunks may end anywhere.
export class EventParser {
  #decoder = new TextDecoder();
  #rest = '';

  push(chunk) {
    this.#rest += this.#decoder.decode(chunk, { stream: true });
    const lines = this.#rest.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    const events = [];
    for (const line of lines) {
      if (line.startsWith(':')) events.push({ comment: line.slice(1).trim() });
      else if (line.startsWith('data:')) events.push({ data: line.slice(5).trim() });
    }
    return events;
  }
}

export class Api {
  constructor(token = () => '') {
    this.token = token;
  }

  async #fetch(path, { method = 'GET', body, signal } = {}) {
    const headers = {};
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    if (this.token()) headers.Authorization = `Bearer ${this.token()}`;
    let response;
    try {
      response = await fetch(path, {
        method, headers, signal, cache: 'no-store', body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch (cause) {
      if (cause.name === 'AbortError') throw cause;
      throw new ApiError(0, 'The server does not answer.');
    }
    if (response.ok) return response;
    const retryAfter = Number(response.headers.get('Retry-After')) || null;
    throw errorOf(response.status, await response.json().catch(() => null), retryAfter);
  }

  async json(path, options) {
    return (await this.#fetch(path, options)).json();
  }

  async text(path, options) {
    return (await this.#fetch(path, options)).text();
  }

  models = async () => (await this.json('/v1/models')).data;
  metrics = (signal) => this.text('/metrics', { signal });
  session = (id, signal) => this.json(`/v1/sessions/${encodeURIComponent(id)}`, { signal });
  newSession = (model, signal) => this.json('/v1/sessions', { method: 'POST', body: { model, idle_seconds: KEPT_SECONDS }, signal });
  deleteSession = (id) => this.json(`/v1/sessions/${encodeURIComponent(id)}`, { method: 'DELETE' });

  // One that begins where a session was at a revision.
  async forkSession(id, revision, signal) {
    const body = { expected_revision: revision, idle_seconds: KEPT_SECONDS };
    return (await this.json(`/v1/sessions/${encodeURIComponent(id)}/fork`, { method: 'POST', body, signal })).data[0];
  }

  // Yields {chunk} for each piece of an answer and {comment} while a prompt is read. Throws ApiError, also
  // where the stream ends before its [DONE].
  async *stream(path, body, signal) {
    const response = await this.#fetch(path, { method: 'POST', body, signal });
    const reader = response.body.getReader();
    const parser = new EventParser();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) throw new ApiError(0, 'The connection ended before the answer did.');
        for (const event of parser.push(value)) {
          if (event.comment !== undefined) yield { comment: event.comment };
          else if (event.data === '[DONE]') return;
          else yield { chunk: Api.#chunk(event.data) };
        }
      }
    } catch (cause) {
      if (cause instanceof ApiError || cause.name === 'AbortError') throw cause;
      throw new ApiError(0, 'The connection was lost before the answer ended.');
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  static #chunk(data) {
    let chunk;
    try {
      chunk = JSON.parse(data);
    } catch {
      throw new ApiError(502, 'The server sent something that is not an answer.');
    }
    if (chunk.error) throw errorOf(500, chunk);
    return chunk;
  }
}

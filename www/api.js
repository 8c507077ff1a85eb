/* Talks to the server: JSON in and out, every failure a Problem. */

const TIMEOUT_MS = 15_000;

/* What went wrong, from application/problem+json or from the lack of an answer.
 * `status` is 0 when no answer came: then the request may or may not have arrived. */
export class Problem extends Error {
  constructor({ status = 0, title, detail, errors, retryAt = null }) {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.detail = detail ?? '';
    this.errors = Array.isArray(errors) ? errors : [];
    this.retryAt = retryAt; /* Date, or null: the server named none */
  }

  get isUnreachable() {
    return this.status === 0;
  }

  get isBusy() {
    return this.status === 429 || this.status === 503;
  }
}

export const get = (path, options) => request('GET', path, options);
export const post = (path, body, options) => request('POST', path, { ...options, body });

async function request(method, path, { body, headers = {}, signal } = {}) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const init = { method, headers: { Accept: 'application/json', ...headers }, cache: 'no-store' };
  init.signal = signal ? AbortSignal.any([signal, timeout]) : timeout;
  if (body !== undefined) {
    init.headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(body);
  }

  let response, answer;
  try {
    response = await fetch(path, init);
    answer = await response.text();
  } catch (error) {
    if (signal?.aborted)
      throw error;
    throw new Problem({ title: 'The server did not answer' });
  }
  if (!response.ok)
    throw problemOf(response, answer);
  const parsed = parse(answer);
  if (parsed === undefined)
    throw new Problem({ status: response.status, title: 'The answer could not be read' });
  return parsed;
}

function problemOf(response, text) {
  const problem = parse(text) ?? {};
  return new Problem({
    status: response.status,
    title: problem.title ?? (response.statusText || `Error ${response.status}`),
    detail: problem.detail,
    errors: problem.errors,
    retryAt: retryAt(response.headers.get('Retry-After')),
  });
}

/* Retry-After is seconds or an HTTP date. */
function retryAt(header) {
  if (!header)
    return null;
  const time = /^\d+$/.test(header) ? Date.now() + Number(header) * 1000 : Date.parse(header);
  return Number.isNaN(time) ? null : new Date(time);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

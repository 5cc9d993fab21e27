// The way to the server: JSON over the cookie's session, errors as problems (RFC 9457).

const ROOT = '/api/v2';

/** What a request came to grief on, in words for a person. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail);
  }
}

let csrf = '';
let ended: () => void = () => {};

/** The token that goes with every request that changes something. */
export function setCsrf(token: string): void {
  csrf = token;
}

/** What to do when the server says that nobody is logged in any more. */
export function onEnded(what: () => void): void {
  ended = what;
}

export function address(path: string): string {
  return ROOT + path;
}

export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return request<T>('GET', path, undefined, signal);
}

export function send<T = void>(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<T> {
  return request<T>(method, path, body);
}

async function request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (method !== 'GET') headers['x-csrf-token'] = csrf;
  // A link is opened as nobody, also by who is logged in.
  const credentials = path.startsWith('/shared/') ? 'omit' : 'same-origin';
  const init: RequestInit = { method, headers, credentials, signal: signal ?? null };
  if (body !== undefined) {
    headers['content-type'] = 'application/json';
    init.body = JSON.stringify(body);
  }
  let response: Response;
  try {
    response = await fetch(address(path), init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, 'No answer', 'The server does not answer. It may be starting, or the network is down.');
  }
  if (!response.ok) throw await problemOf(response, path);
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

async function problemOf(response: Response, path: string): Promise<Problem> {
  if (response.status === 401 && !path.startsWith('/login') && !path.startsWith('/shared')) ended();
  const fallback = `The server answered ${response.status} ${response.statusText}`.trim();
  try {
    const told = (await response.json()) as { title?: string; detail?: string };
    return new Problem(response.status, told.title ?? 'Error', told.detail ?? fallback);
  } catch {
    return new Problem(response.status, 'Error', fallback);
  }
}

/** The words of whatever was thrown. */
export function words(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text ? text.charAt(0).toUpperCase() + text.slice(1) : 'Something went wrong.';
}

/** A query string of what is set; a list gives its key several times. */
export function query(values: Record<string, string | number | boolean | string[] | null | undefined>): string {
  const pairs = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === '' || value === false) continue;
    for (const one of Array.isArray(value) ? value : [value]) pairs.append(key, String(one));
  }
  const text = pairs.toString();
  return text ? `?${text}` : '';
}

// Where we are: `#/page/argument?query`. A shared link is a path of its own (/s/TOKEN).

export interface Route {
  page: string;
  argument: string;
  query: URLSearchParams;
}

function read(): Route {
  const shared = /^\/s\/([^/]+)/.exec(location.pathname);
  if (shared?.[1]) return { page: 's', argument: shared[1], query: new URLSearchParams() };
  const [path = '', text = ''] = location.hash.replace(/^#\/?/, '').split('?', 2);
  const [page = '', argument = ''] = path.split('/');
  return { page: page || 'status', argument: decode(argument), query: new URLSearchParams(text) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

class Place {
  now = $state.raw(read());

  constructor() {
    addEventListener('hashchange', () => (this.now = read()));
  }
}

export const place = new Place();

export function go(hash: string): void {
  location.hash = hash;
}

/** Changes the query without a step in the history. */
export function rewrite(hash: string): void {
  history.replaceState(null, '', hash);
}

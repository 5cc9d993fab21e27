// What is searched for: the API's own query string is what the address bar and a saved search hold.

export interface Filter {
  from: string;
  to: string;
  party: string;
  callId: string;
  direction: string;
  durationMin: string;
  durationMax: string;
  mosMax: string;
  incomplete: boolean;
  gaps: boolean;
  held: boolean;
  label: string[];
  metadata: string[];
  order: string;
}

const TEXTS = ['from', 'to', 'party', 'callId', 'direction', 'durationMin', 'durationMax', 'mosMax'] as const;

export function fromQuery(query: URLSearchParams): Filter {
  const text = (key: string) => query.get(key) ?? '';
  return {
    from: text('from'),
    to: text('to'),
    party: text('party'),
    callId: text('callId'),
    direction: text('direction'),
    durationMin: text('durationMin'),
    durationMax: text('durationMax'),
    mosMax: text('mosMax'),
    incomplete: text('incomplete') === 'true',
    gaps: text('gaps') === 'true',
    held: text('held') === 'true',
    label: query.getAll('label'),
    metadata: query.getAll('metadata'),
    order: text('order') === 'earliest' ? 'earliest' : 'latest',
  };
}

/** Without a leading question mark; what is not asked for is left out. */
export function toQuery(filter: Filter): string {
  const query = new URLSearchParams();
  for (const key of TEXTS) if (filter[key] !== '') query.set(key, String(filter[key]));
  if (filter.incomplete) query.set('incomplete', 'true');
  if (filter.gaps) query.set('gaps', 'true');
  if (filter.held) query.set('held', 'true');
  for (const label of filter.label) query.append('label', label);
  for (const pair of filter.metadata) query.append('metadata', pair);
  if (filter.order === 'earliest') query.set('order', 'earliest');
  return query.toString();
}

/** An instant as a `datetime-local` field shows it, in the viewer's zone. */
export function toLocal(instant: string): string {
  const at = new Date(instant);
  if (instant === '' || Number.isNaN(at.getTime())) return '';
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export function fromLocal(local: string): string {
  return local === '' ? '' : new Date(local).toISOString();
}

/** How many things are asked for. */
export function asked(filter: Filter): number {
  return [...new URLSearchParams(toQuery(filter)).keys()].filter((key) => key !== 'order').length;
}

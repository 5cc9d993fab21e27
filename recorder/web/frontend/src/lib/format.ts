// Numbers and times as people read them. Times are in the viewer's zone; UTC is in the tooltip.

const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

export function whole(value: number): string {
  return WHOLE.format(value);
}

/** Three digits and a prefix: 12.3 k. */
export function short(value: number): string {
  const [scaled, prefix] = scale(value, 1000, ['', 'k', 'M', 'G', 'T']);
  return prefix ? `${digits(scaled)}\u202f${prefix}` : digits(scaled);
}

export function bits(value: number): string {
  const [scaled, prefix] = scale(value, 1000, ['', 'k', 'M', 'G', 'T']);
  return `${digits(scaled)}\u202f${prefix}bit/s`;
}

export function bytes(value: number): string {
  const [scaled, prefix] = scale(value, 1024, ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi']);
  return `${digits(scaled)}\u202f${prefix}B`;
}

export function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.01) return '< 0.01\u202f%';
  return `${value < 1 ? trim(value.toFixed(2)) : value < 10 ? trim(value.toFixed(1)) : value.toFixed(0)}\u202f%`;
}

function scale(value: number, step: number, prefixes: string[]): [number, string] {
  let index = 0;
  while (Math.abs(value) >= step && index < prefixes.length - 1) {
    value /= step;
    index += 1;
  }
  return [value, prefixes[index] ?? ''];
}

function digits(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 100) return value.toFixed(0);
  return trim(Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2));
}

function trim(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** The server's words, with its times as the viewer reads them. */
export function inOwnTime(text: string): string {
  return text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, (time) => moment(Date.parse(time)));
}

/** A position in sound: 1:02:03, or 2:03; with tenths if asked for. */
export function length(milliseconds: number, tenths = false): string {
  const seconds = Math.max(0, milliseconds / 1000);
  const whole = Math.floor(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const tail = String(s).padStart(2, '0') + (tenths ? `.${Math.floor((seconds % 1) * 10)}` : '');
  return h > 0 ? `${h}:${String(m).padStart(2, '0')}:${tail}` : `${m}:${tail}`;
}

/** A stretch of time in words: 3 h 12 min. */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days`;
}

/** Seconds with as much detail as matters. */
export function seconds(value: number): string {
  if (value >= 120) return span(value * 1000);
  if (value >= 1) return `${digits(value)} s`;
  if (value >= 0.001) return `${digits(value * 1000)} ms`;
  return `${digits(value * 1_000_000)} µs`;
}

export function day(value: string | number): string {
  return DAY.format(new Date(value));
}

export function clock(value: string | number): string {
  return CLOCK.format(new Date(value));
}

export function moment(value: string | number): string {
  return `${day(value)}, ${clock(value)}`;
}

/** The clock alone today, with the day else. */
export function near(value: string | number): string {
  return day(value) === day(Date.now()) ? clock(value) : moment(value);
}

/** For tooltips. */
export function utc(value: string | number): string {
  const text = new Date(value).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, 23)} UTC`;
}

/** `one call`, `2 calls`. */
export function many(count: number, one: string, more = `${one}s`): string {
  return `${whole(count)} ${count === 1 ? one : more}`;
}

/** `flow_table_full` and `journalFull` as words. */
export function plain(name: string): string {
  return name
    .replace(/_/g, ' ')
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase();
}

/** The first letter large. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

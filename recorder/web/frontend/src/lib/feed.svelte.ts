// The status as it comes, and whether it still comes. What is old is never shown as if it were so now.

import { address, get } from './api';
import { inOwnTime, many, span } from './format';
import type { Me, StatusBody } from './types';

/** Without news for this long the page says so. The server sends once a second. */
const PATIENCE_MS = 3000;
/** A connection that is dead without knowing it is made anew after this. */
const REOPEN_MS = 8000;

export type Tone = 'good' | 'warn' | 'bad' | 'quiet';

/** The truth in one line. */
export interface Verdict {
  tone: Tone;
  title: string;
  detail: string;
}

class Feed {
  body = $state.raw<StatusBody | null>(null);
  /** Whether news are overdue. */
  stale = $state(false);
  /** For how long there has been no news, milliseconds. */
  quiet = $state(0);
  /** The viewer's wall clock at the last news. */
  heardAt = $state(0);
  #heard = 0;
  #opened = 0;
  #source: EventSource | null = null;
  #timer: number | undefined;

  start(): void {
    if (this.#timer !== undefined) return;
    this.#heard = performance.now();
    this.stale = false;
    this.#open();
    this.#timer = setInterval(() => this.#look(), 250);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#source?.close();
    this.#source = null;
    this.body = null;
  }

  #open(): void {
    this.#source?.close();
    this.#opened = performance.now();
    const source = new EventSource(address('/status/events'));
    source.addEventListener('status', (event) => this.#take(JSON.parse(event.data as string) as StatusBody));
    source.onerror = () => {
      // The browser opens it anew by itself unless the server refused; a refusal may be the end of the log-in.
      if (source.readyState === EventSource.CLOSED) void get<Me>('/me').catch(() => undefined);
    };
    this.#source = source;
  }

  #take(body: StatusBody): void {
    this.body = body;
    this.#heard = performance.now();
    this.heardAt = Date.now();
    this.quiet = 0;
    this.stale = false;
  }

  #look(): void {
    const now = performance.now();
    this.quiet = now - this.#heard;
    this.stale = this.quiet > PATIENCE_MS;
    if (this.quiet > REOPEN_MS && now - this.#opened > REOPEN_MS) this.#open();
  }

  get verdict(): Verdict {
    if (this.stale) return this.#overdue();
    if (!this.body) return { tone: 'quiet', title: 'Asking the recorder', detail: 'No answer yet.' };
    return judge(this.body);
  }

  #overdue(): Verdict {
    const detail = this.body
      ? `The last news came ${span(this.quiet)} ago. Whether calls are being recorded is not known here.`
      : 'The server sends no status. Whether calls are being recorded is not known here.';
    return { tone: 'bad', title: 'No data', detail };
  }
}

/** What a status comes to. Green only if the recorder itself says so now, and no grave alarm is up. */
export function judge(body: StatusBody): Verdict {
  const status = body.recorder;
  if (!status || body.silentSince) {
    const title = body.silentSince ? 'Recorder silent' : 'No recorder';
    const detail = body.silentSince
      ? 'The recorder says nothing. Calls may not be recorded.'
      : 'No recorder runs here. What was recorded can be searched and heard.';
    return { tone: body.silentSince ? 'bad' : 'warn', title, detail };
  }
  const { state, reason, recovering } = status.recording;
  if (state !== 'recording') return { tone: 'bad', ...(STATES[state] ?? { title: state, detail: '' }), ...told(reason) };
  const grave = status.alarms.filter((alarm) => alarm.severity === 'critical').length;
  const serious = status.alarms.filter((alarm) => alarm.severity === 'major').length;
  if (grave + serious > 0) {
    const detail = `${many(grave + serious, 'grave alarm')} up: see what to do.`;
    return { tone: grave > 0 ? 'bad' : 'warn', title: 'Recording, with trouble', detail };
  }
  const detail = recovering ? 'What an earlier run left is being taken up.' : 'Every call that the mirror port shows.';
  return { tone: 'good', title: 'Recording', detail };
}

const STATES: Record<string, { title: string; detail: string }> = {
  refusing: { title: 'Not recording new calls', detail: 'Calls that are up are recorded, new ones are not.' },
  blind: { title: 'Not recording', detail: 'The interface shows nothing.' },
  stopping: { title: 'Stopping', detail: 'The recorder is being stopped.' },
};

function told(reason: string | null): { detail?: string } {
  return reason ? { detail: `${inOwnTime(reason)}.` } : {};
}

export const feed = new Feed();

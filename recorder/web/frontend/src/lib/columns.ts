// The columns of the list of recordings.

import type { Summary } from './types';

export interface Column {
  key: string;
  title: string;
  number?: boolean;
}

export const COLUMNS: Column[] = [
  { key: 'startTime', title: 'Began' },
  { key: 'caller', title: 'Caller' },
  { key: 'callee', title: 'Callee' },
  { key: 'duration', title: 'Length', number: true },
  { key: 'state', title: 'State' },
  { key: 'direction', title: 'Direction' },
  { key: 'mos', title: 'MOS', number: true },
  { key: 'codecs', title: 'Codecs' },
  { key: 'labels', title: 'Labels' },
  { key: 'callId', title: 'Call-ID' },
  { key: 'node', title: 'Node' },
];

export const USUAL = ['startTime', 'caller', 'callee', 'duration', 'state', 'mos', 'labels'];
const KEY = 'spanreel-columns';

export function storedColumns(): string[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? 'null');
    const known = Array.isArray(stored) ? stored.filter((key) => COLUMNS.some((column) => column.key === key)) : [];
    return known.length > 0 ? (known as string[]) : USUAL;
  } catch {
    return USUAL;
  }
}

export function storeColumns(columns: string[]): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(columns));
  } catch {
    // A browser that stores nothing: they hold for this page.
  }
}

/** What is simply text; the others the list draws itself. */
export function text(recording: Summary, key: string): string {
  switch (key) {
    case 'caller':
      return recording.callerPhoneNumber;
    case 'callee':
      return recording.dialedPhoneNumber;
    case 'mos':
      return recording.mos === null ? '–' : recording.mos.toFixed(2);
    case 'codecs':
      return recording.codecs.join(', ');
    case 'callId':
      return recording.callId ?? '–';
    case 'node':
      return recording.node;
    default:
      return '';
  }
}

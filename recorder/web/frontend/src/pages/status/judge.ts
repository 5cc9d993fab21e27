// When a figure is fine, worth a look, or wrong.

import type { Tone } from '../../lib/feed.svelte';

export function above(value: number, warn: number, bad: number): Tone {
  return value >= bad ? 'bad' : value >= warn ? 'warn' : 'good';
}

export const SAID: Record<Tone, string> = { good: 'fine', warn: 'look', bad: 'wrong', quiet: '' };

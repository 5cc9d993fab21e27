// What is marked on a recording's waveform: gaps, holds, keys that were pressed.

import type { Spot } from '../parts/Player.svelte';
import { plain } from './format';
import type { Sound } from './sound';
import type { Mark, Recording } from './types';

/** In place of a key that is not told. */
const MASKED = '?';

export function spotsOf(recording: Recording, sound: Sound): Spot[] {
  const at = (time: string) => Date.parse(time) - sound.start;
  const gaps = recording.gaps.map((gap): Spot => {
    const packets = gap.packets === null ? '' : `, ${gap.packets} packets`;
    const text = `gap of ${Math.round(gap.duration)} ms (${plain(gap.reason)}${packets})`;
    return { kind: 'gap', from: at(gap.startTime), to: at(gap.startTime) + gap.duration, side: gap.side, text };
  });
  const marks = recording.marks ?? [];
  const keys = marks.filter((mark) => mark.kind === 'dtmf').map((mark) => pressed(mark, at(mark.time)));
  return [...gaps, ...holds(marks, at, sound.duration), ...keys].sort((a, b) => a.from - b.from);
}

/** A key, which the recorder names only if it was told to. */
function pressed({ side, value }: Mark, from: number): Spot {
  const named = value && value !== MASKED;
  return { kind: 'dtmf', from, to: from, side, sign: named ? value : '•', text: named ? `key ${value}` : 'a key; which one is not kept' };
}

/** Each hold until the same side resumes, or until the end. */
function holds(marks: Mark[], at: (time: string) => number, end: number): Spot[] {
  const spots: Spot[] = [];
  const open = new Map<string, Spot>();
  for (const mark of marks) {
    const key = mark.side ?? 'all';
    const from = at(mark.time);
    if (mark.kind === 'hold' && !open.has(key)) {
      const spot: Spot = { kind: 'hold', from, to: end, side: null, text: `hold by the ${mark.side ?? 'parties'}` };
      open.set(key, spot);
      spots.push(spot);
    } else if (mark.kind === 'resume') {
      const spot = open.get(key);
      if (spot) spot.to = from;
      open.delete(key);
    }
  }
  return spots;
}

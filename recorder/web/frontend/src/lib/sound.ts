// What is drawn of a recording's sound, and how its sides are heard.

import type { MediaFile, Recording } from './types';

/** Peaks are of a tenth of a second each. */
const PEAK_MS = 100;

export interface Sound {
  /** When the first sample was, milliseconds since 1970. */
  start: number;
  /** Milliseconds. */
  duration: number;
  channels: number;
  /** For each channel, 0 to 1. */
  peaks: Float32Array[];
}

/** The audio that is played: the first sequence of parts, `audio.flac`, `audio.part2.flac`, ... */
export function played(recording: Recording): MediaFile[] {
  const audio = recording.mediaFiles.filter((file) => file.type.startsWith('audio/') && file.channels > 0);
  const main = audio.filter((file) => /^audio(\.part\d+)?\.[a-z0-9]+$/.test(file.mediaId));
  const files = main.length > 0 ? main : audio.slice(0, 1);
  return files.sort((a, b) => Date.parse(a.startTime) - Date.parse(b.startTime));
}

export function soundOf(recording: Recording): Sound | null {
  const files = played(recording);
  const [first] = files;
  if (!first) return null;
  const channels = first.channels;
  const joined = files.flatMap((file) => padded(file, channels));
  const duration = files.reduce((sum, file) => sum + file.duration, 0);
  return { start: Date.parse(first.startTime), duration, channels, peaks: split(joined, channels) };
}

/** A part's peaks, as many as its length asks for, so that the next part begins at its place. */
function padded(file: MediaFile, channels: number): number[] {
  const wanted = Math.max(1, Math.round(file.duration / PEAK_MS)) * channels;
  const peaks = (file.peaks ?? []).slice(0, wanted);
  while (peaks.length < wanted) peaks.push(0);
  return peaks;
}

/** Interleaved bytes as one line a channel, with the loudest of all near the edge. */
export function split(bytes: number[], channels: number): Float32Array[] {
  const loudest = bytes.reduce((most, value) => Math.max(most, value), 32);
  const lines = Array.from({ length: channels }, () => new Float32Array(Math.floor(bytes.length / channels)));
  for (const [channel, line] of lines.entries()) {
    for (let at = 0; at < line.length; at += 1) line[at] = (bytes[at * channels + channel] ?? 0) / loudest;
  }
  return lines;
}

export type Heard = 'both' | 'caller' | 'callee';

/** Which side of an audio element is heard; one side alone is heard on both ears. */
export class Sides {
  #context: AudioContext;
  /** From caller to left, caller to right, callee to left, callee to right. */
  #ways: GainNode[];

  constructor(audio: HTMLAudioElement) {
    this.#context = new AudioContext();
    const splitter = this.#context.createChannelSplitter(2);
    const merger = this.#context.createChannelMerger(2);
    this.#ways = [0, 1, 2, 3].map((way) => {
      const gain = this.#context.createGain();
      splitter.connect(gain, way >> 1).connect(merger, 0, way & 1);
      return gain;
    });
    this.#context.createMediaElementSource(audio).connect(splitter);
    merger.connect(this.#context.destination);
    this.hear('both');
  }

  hear(heard: Heard): void {
    const gains = { both: [1, 0, 0, 1], caller: [1, 1, 0, 0], callee: [0, 0, 1, 1] }[heard];
    this.#ways.forEach((way, index) => (way.gain.value = gains[index] ?? 0));
  }

  /** Browsers let sound begin only after somebody did something. */
  wake(): Promise<void> {
    return this.#context.resume();
  }

  close(): void {
    void this.#context.close();
  }
}

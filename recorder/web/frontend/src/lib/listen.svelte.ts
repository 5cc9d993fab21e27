// Listening to a call that is up: s16 samples over a WebSocket, caller left, callee right.

import { address } from './api';
import type { Heard } from './sound';
import workletAddress from './listen.worklet.ts?worker&url';

/** Before its samples a message has the time of the first of them: milliseconds since 1970, as u64. */
const HEADER = 8;

/** How much of a peak is left at the next report: what is loud for a moment can be read. */
const FALL = 0.85;

/** How it stands. */
export type Phase = 'connecting' | 'waiting' | 'hearing' | 'ended';

export class Listening {
  phase = $state<Phase>('connecting');
  /** Peaks of caller and callee, 0 to 1, of the last moment. */
  peaks = $state.raw<[number, number]>([0, 0]);
  /** What is in store before it is heard, seconds. */
  stored = $state(0);
  /** Why it ended. */
  reason = $state('');
  #socket: WebSocket;
  #context: AudioContext | null = null;
  #node: AudioWorkletNode | null = null;
  #gains: GainNode[] = [];
  #heard: Heard = 'both';
  #closed = false;

  constructor(call: string) {
    const at = new URL(address(`/calls/${encodeURIComponent(call)}/listen`), location.href);
    at.protocol = at.protocol === 'http:' ? 'ws:' : 'wss:';
    this.#socket = new WebSocket(at);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (typeof event.data === 'string') void this.#told(JSON.parse(event.data) as { rate?: number; ended?: string });
      else this.#samples(event.data);
    };
    this.#socket.onclose = () => this.#end('The connection ended.');
  }

  async #told(words: { rate?: number; ended?: string }): Promise<void> {
    if (words.ended !== undefined) this.#end(words.ended);
    if (!words.rate || this.#context) return;
    // The context runs at the call's own rate; the browser brings it to the loudspeaker's.
    const context = new AudioContext({ sampleRate: words.rate, latencyHint: 'interactive' });
    this.#context = context;
    await context.audioWorklet.addModule(workletAddress);
    if (this.#closed) return;
    const node = new AudioWorkletNode(context, 'listen', { numberOfInputs: 0, outputChannelCount: [2] });
    node.port.onmessage = (event: MessageEvent<{ peaks: [number, number]; stored: number }>) => {
      const [caller, callee] = event.data.peaks;
      this.peaks = [Math.max(caller, this.peaks[0] * FALL), Math.max(callee, this.peaks[1] * FALL)];
      this.stored = event.data.stored;
    };
    this.#connect(context, node);
    this.#node = node;
    this.phase = 'waiting';
    await context.resume();
  }

  #connect(context: AudioContext, node: AudioWorkletNode): void {
    const splitter = context.createChannelSplitter(2);
    const merger = context.createChannelMerger(2);
    node.connect(splitter);
    this.#gains = [0, 1, 2, 3].map((way) => {
      const gain = context.createGain();
      splitter.connect(gain, way >> 1).connect(merger, 0, way & 1);
      return gain;
    });
    merger.connect(context.destination);
    this.hear(this.#heard);
  }

  #samples(data: ArrayBuffer): void {
    if (!this.#node || data.byteLength <= HEADER) return;
    const view = new DataView(data, HEADER);
    const count = Math.floor(view.byteLength / 4);
    const [left, right] = [new Float32Array(count), new Float32Array(count)];
    for (let at = 0; at < count; at += 1) {
      left[at] = view.getInt16(at * 4, true) / 32_768;
      right[at] = view.getInt16(at * 4 + 2, true) / 32_768;
    }
    this.#node.port.postMessage({ left, right }, [left.buffer, right.buffer]);
    this.phase = 'hearing';
  }

  hear(heard: Heard): void {
    this.#heard = heard;
    const gains = { both: [1, 0, 0, 1], caller: [1, 1, 0, 0], callee: [0, 0, 1, 1] }[heard];
    this.#gains.forEach((gain, way) => (gain.gain.value = gains[way] ?? 0));
  }

  #end(reason: string): void {
    if (this.phase === 'ended') return;
    this.phase = 'ended';
    this.reason = reason;
    this.peaks = [0, 0];
    this.close();
  }

  close(): void {
    this.#closed = true;
    this.#socket.onclose = null;
    this.#socket.close();
    if (this.#context?.state !== 'closed') void this.#context?.close();
  }
}

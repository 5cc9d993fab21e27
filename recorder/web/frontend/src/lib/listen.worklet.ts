// Plays what comes from a call that is up, in the browser's audio thread. It keeps a small store against unsteady
// arrival; what would make the sound lag is left out.

/** Sound begins when so much is in store, seconds. */
const CUSHION = 0.12;
/** More than this is lag: it is cut down to the cushion. */
const MOST = 0.45;
/** How often the page hears of levels, seconds. */
const REPORT = 0.05;

interface Frame {
  left: Float32Array;
  right: Float32Array;
}

// The scope of audio worklets is not in TypeScript's libraries.
declare const sampleRate: number;
declare function registerProcessor(name: string, kind: unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

class Listen extends AudioWorkletProcessor {
  #frames: Frame[] = [];
  #at = 0;
  #stored = 0;
  #playing = false;
  #peaks: [number, number] = [0, 0];
  #since = 0;

  constructor() {
    super();
    this.port.onmessage = (event: MessageEvent<Frame>) => {
      this.#frames.push(event.data);
      this.#stored += event.data.left.length;
      if (this.#stored > MOST * sampleRate) this.#drop(this.#stored - CUSHION * sampleRate);
    };
  }

  #drop(samples: number): void {
    while (samples > 0 && this.#frames[0]) {
      const here = Math.min(samples, this.#frames[0].left.length - this.#at);
      this.#at += here;
      this.#stored -= here;
      samples -= here;
      this.#next();
    }
  }

  #next(): void {
    if (this.#frames[0] && this.#at >= this.#frames[0].left.length) {
      this.#frames.shift();
      this.#at = 0;
    }
  }

  process(_: Float32Array[][], outputs: Float32Array[][]): boolean {
    const [left, right] = outputs[0] ?? [];
    if (!left || !right) return true;
    this.#playing = this.#playing ? this.#stored > 0 : this.#stored >= CUSHION * sampleRate;
    for (let i = 0; this.#playing && i < left.length && this.#frames[0]; i += 1) {
      left[i] = this.#frames[0].left[this.#at] ?? 0;
      right[i] = this.#frames[0].right[this.#at] ?? 0;
      this.#peaks[0] = Math.max(this.#peaks[0], Math.abs(left[i] ?? 0));
      this.#peaks[1] = Math.max(this.#peaks[1], Math.abs(right[i] ?? 0));
      this.#at += 1;
      this.#stored -= 1;
      this.#next();
    }
    this.#report(left.length);
    return true;
  }

  #report(samples: number): void {
    this.#since += samples;
    if (this.#since < REPORT * sampleRate) return;
    this.port.postMessage({ peaks: this.#peaks, stored: this.#stored / sampleRate });
    this.#peaks = [0, 0];
    this.#since = 0;
  }
}

registerProcessor('listen', Listen);

// The calls that are up: asked for once, kept true by what the server tells of them. Each question is an entry in the
// audit log, so that none is asked that the events answer.

import { address, get, query } from './api';
import { Loaded } from './load.svelte';
import type { LiveCall } from './types';

/** As many are shown; the others are found by searching. */
const SHOWN = 100;
/** Ended calls leave room for older ones, which are asked for no more often than this, ms. */
const REFILL_MS = 5000;

export class CallsUp {
  loaded = new Loaded<{ calls: LiveCall[]; total: number }>();
  /** No events come. */
  cut = $state(false);
  #party = '';
  /** Ended while a question was under way: its answer may still have them. */
  #ended = new Set<string>();
  #refill: number | undefined;

  /** Only calls of which caller, callee or Call-ID contains this. */
  find(party: string): void {
    this.#party = party;
    void this.ask();
  }

  ask = (): Promise<void> => {
    this.#ended.clear();
    return this.loaded.ask(async () => {
      const found = await get<{ calls: LiveCall[]; total: number }>(`/calls${query({ party: this.#party, limit: SHOWN })}`);
      const calls = found.calls.filter((call) => !this.#ended.has(call.id));
      return { calls, total: found.total - (found.calls.length - calls.length) };
    });
  };

  /** Until the answer is called. */
  follow(): () => void {
    const source = new EventSource(address('/calls/events'));
    for (const what of ['began', 'changed', 'ended']) {
      source.addEventListener(what, (event) => this.#told(what, JSON.parse((event as MessageEvent<string>).data) as LiveCall));
    }
    source.addEventListener('lost', () => void this.ask());
    source.onopen = () => {
      // What was missed while there was no connection.
      if (this.cut) void this.ask();
      this.cut = false;
    };
    source.onerror = () => (this.cut = true);
    return () => {
      source.close();
      clearTimeout(this.#refill);
    };
  }

  #told(what: string, call: LiveCall): void {
    if (what === 'ended') this.#ended.add(call.id);
    const shown = this.loaded.value;
    if (!shown || !this.#matches(call)) return;
    const others = shown.calls.filter((other) => other.id !== call.id);
    const known = others.length < shown.calls.length;
    if (what === 'ended') {
      const total = Math.max(shown.total - 1, others.length);
      this.loaded.value = { calls: others, total };
      if (others.length < Math.min(total, SHOWN)) this.#fill();
    } else if (known) {
      this.loaded.value = { ...shown, calls: shown.calls.map((other) => (other.id === call.id ? call : other)) };
    } else if (what === 'began') {
      this.loaded.value = { calls: [call, ...others].slice(0, SHOWN), total: shown.total + 1 };
    }
  }

  #fill(): void {
    this.#refill ??= setTimeout(() => {
      this.#refill = undefined;
      void this.ask();
    }, REFILL_MS);
  }

  #matches({ caller, callee, callId }: LiveCall): boolean {
    const party = this.#party.toLowerCase();
    return [caller, callee, callId].some((text) => text?.toLowerCase().includes(party));
  }
}

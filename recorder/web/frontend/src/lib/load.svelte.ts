// Something that is asked of the server: what came, whether it is under way, what went wrong.

export class Loaded<T> {
  value = $state.raw<T | null>(null);
  failure = $state.raw<unknown>(null);
  busy = $state(false);
  #turn = 0;

  /** Asks; an answer that comes after a later question is dropped. */
  async ask(question: () => Promise<T>): Promise<void> {
    const turn = ++this.#turn;
    this.busy = true;
    try {
      const value = await question();
      if (turn !== this.#turn) return;
      this.value = value;
      this.failure = null;
    } catch (error) {
      if (turn === this.#turn) this.failure = error;
    } finally {
      if (turn === this.#turn) this.busy = false;
    }
  }
}

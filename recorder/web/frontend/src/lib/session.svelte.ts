// Who is logged in.

import { get, onEnded, Problem, send, setCsrf } from './api';
import type { Me, Right } from './types';

class Session {
  /** Null: nobody. */
  me = $state.raw<Me | null>(null);
  /** Whether the server has been asked. */
  known = $state(false);
  /** Whether this window still has no user at all. */
  fresh = $state(false);
  /** Why the server could not be asked. */
  failure = $state.raw<unknown>(null);

  constructor() {
    onEnded(() => this.take(null));
  }

  may(right: Right): boolean {
    return this.me?.rights.includes(right) ?? false;
  }

  take(me: Me | null): void {
    this.me = me;
    setCsrf(me?.csrf ?? '');
  }

  async ask(): Promise<void> {
    this.failure = null;
    try {
      this.take(await get<Me>('/me'));
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) {
        this.failure = error;
        return;
      }
      this.fresh = (await get<{ needed: boolean }>('/setup').catch(() => ({ needed: false }))).needed;
    }
    this.known = true;
  }

  async logOut(): Promise<void> {
    await send('POST', '/logout').catch(() => undefined);
    this.take(null);
  }
}

export const session = new Session();

// Light or dark: by the system unless the viewer chose.

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'spanreel-theme';
const DARK = matchMedia('(prefers-color-scheme: dark)');

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : 'system';
  } catch {
    return 'system';
  }
}

class Look {
  theme = $state<Theme>(stored());
  #system = $state(DARK.matches);

  constructor() {
    DARK.addEventListener('change', () => (this.#system = DARK.matches));
    this.#apply();
  }

  get dark(): boolean {
    return this.theme === 'dark' || (this.theme === 'system' && this.#system);
  }

  choose(theme: Theme): void {
    this.theme = theme;
    try {
      if (theme === 'system') localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // A browser that stores nothing: the choice holds for this page.
    }
    this.#apply();
  }

  #apply(): void {
    if (this.theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.theme;
  }
}

export const look = new Look();

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// The server forbids inline scripts and styles and data: URLs (Content-Security-Policy), so nothing is inlined.
export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  // For work on the pages: `npx vite` beside a window that listens on its usual port.
  server: { proxy: { '/api': { target: 'https://localhost:8443', secure: false, ws: true } } },
});

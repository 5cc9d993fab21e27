// A browser as a person uses one, and what it complains of.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

import { chromium } from 'playwright-core';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const PATIENCE_MS = 60_000;

export class Browser {
  /** What no page may cause: errors, what the security policy forbade, requests to elsewhere. */
  complaints = [];

  static async launch(url) {
    const browser = new Browser();
    browser.url = url;
    browser.chromium = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--autoplay-policy=user-gesture-required'],
    });
    return browser;
  }

  /** A profile that knows nothing, with one page. `expected`: answers that are to be errors. */
  async profile({ viewport = { width: 1280, height: 800 }, colorScheme = 'light', expected = [] } = {}) {
    const context = await this.chromium.newContext({ viewport, colorScheme, ignoreHTTPSErrors: true, acceptDownloads: true });
    context.setDefaultTimeout(PATIENCE_MS);
    await context.addInitScript(meter);
    const page = await context.newPage();
    page.expected = expected;
    page.on('pageerror', (error) => this.complaints.push(`error in the page: ${error.message}`));
    page.on('console', (message) => this.#heard(page, message));
    page.on('request', (request) => {
      if (!request.url().startsWith(this.url) && !/^(data|blob|about):/.test(request.url())) {
        this.complaints.push(`a request to elsewhere: ${request.url()}`);
      }
    });
    return page;
  }

  #heard(page, message) {
    if (message.type() !== 'error') return;
    const text = `${message.text()} ${message.location().url}`;
    if (!page.expected.some((pattern) => pattern.test(text))) this.complaints.push(text);
  }

  close() {
    return this.chromium.close();
  }
}

export async function logIn(page, url, name, password) {
  await page.goto(`${url}/`);
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
}

/** The serious and critical faults that axe finds. */
export async function faults(page) {
  await page.evaluate(await readFile(AXE, 'utf8'));
  const found = await page.evaluate(() =>
    globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
  );
  const grave = found.violations.filter((violation) => ['serious', 'critical'].includes(violation.impact));
  return grave.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join(' | ')}`);
}

/** The same in light and in dark, by what of the page it is about. */
export async function faultsInEachLight(page, what) {
  const found = [];
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    found.push(...(await faults(page)).map((fault) => `${what}, ${colorScheme}: ${fault}`));
  }
  return found;
}

/** In the page, before all else: what goes to the loudspeaker goes by a meter for each ear too. */
function meter() {
  const { connect } = AudioNode.prototype;
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof AudioDestinationNode) {
      const ears = new ChannelSplitterNode(this.context, { numberOfOutputs: 2 });
      connect.call(this, ears);
      globalThis.meters = [0, 1].map((ear) => {
        const analyser = new AnalyserNode(this.context, { fftSize: 8192 });
        connect.call(ears, analyser, ear);
        return analyser;
      });
    }
    return connect.call(this, to, ...rest);
  };
}

/** How loud it is at each ear now: root mean square of full scale. */
export function heard(page) {
  return page.evaluate(() =>
    (globalThis.meters ?? []).map((analyser) => {
      const samples = new Float32Array(analyser.fftSize);
      analyser.getFloatTimeDomainData(samples);
      return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
    }),
  );
}

/** What a page's audio is: decoded by the browser; how loud each channel is (root mean square). */
export function decoded(page, address) {
  return page.evaluate(async (address) => {
    const response = await fetch(address);
    if (!response.ok) throw new Error(`${address}: ${response.status}`);
    const context = new OfflineAudioContext(2, 1, 8000);
    const sound = await context.decodeAudioData(await response.arrayBuffer());
    const loudness = Array.from({ length: sound.numberOfChannels }, (_, channel) => {
      const samples = sound.getChannelData(channel);
      return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
    });
    return { seconds: sound.duration, loudness };
  }, address);
}

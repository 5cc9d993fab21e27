// Pictures of every page for the documentation: light and dark, desktop and phone. The calls are synthetic, and so is
// the past that the status page's charts show; the rest is the real program.

import { execFile } from 'node:child_process';
import { mkdir, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Browser, logIn } from './browser.js';
import { CALLER } from './call.js';
import { offline, Rig, until } from './rig.js';

const OUT = fileURLToPath(new URL('../../docs/screenshots/', import.meta.url));
const ANNA = { name: 'anna', password: 'correct horse battery' };
const SHAPES = {
  desktop: { width: 1280, height: 800 },
  phone: { width: 390, height: 844 },
};
const SCHEMES = ['light', 'dark'];

if (offline) {
  console.error(`no pictures: ${offline}`);
  process.exit(1);
}
await mkdir(OUT, { recursive: true });
const rig = await Rig.start({ short: { calls: 16, seconds: 24, spread: 8, seed: 3 } });
const browser = await Browser.launch(rig.url);
try {
  await take();
  await shrink();
} finally {
  await browser.close();
  await rig.stop();
}

async function take() {
  const windows = [];
  for (const [shape, viewport] of Object.entries(SHAPES)) {
    for (const colorScheme of SCHEMES) {
      const page = await browser.profile({ viewport, colorScheme });
      await page.route(/\/api\/v2\/status\/history/, (route) => route.fulfill({ json: day() }));
      windows.push({ page, name: `${shape}-${colorScheme}` });
    }
  }
  const everywhere = async (name, prepare, options) => {
    for (const { page, name: shape } of windows) {
      await prepare(page);
      await page.waitForTimeout(700);
      await page.screenshot({ path: `${OUT}${name}-${shape}.png`, ...options });
    }
    console.log(name);
  };

  rig.sending(await rig.synth('long', { calls: 48, seconds: 500, spread: 20, seed: 4 }));
  await everywhere('set-up', async (page) => {
    await page.goto(rig.url + rig.setUp);
    await page.getByLabel('Name').fill(ANNA.name);
  });
  await first(windows[0].page);
  const lossy = await rig.synth('lossy', { calls: 3, seconds: 32, seed: 5, more: ['--loss', 2, '--jitter', 25] });
  await everywhere('log-in', (page) => page.goto(`${rig.url}/`));
  for (const { page } of windows) {
    await logIn(page, rig.url, ANNA.name, ANNA.password);
    await page.getByRole('heading', { level: 1, name: 'Status' }).waitFor();
  }
  const at = (hash, text) => async (page) => {
    await page.goto(`${rig.url}/${hash}`);
    await page.getByText(text).first().waitFor();
  };
  // The pause before the calls is an alarm for a while.
  await windows[0].page.locator('.verdict.good').waitFor();
  await everywhere('status', at('#/status', /It balances|Packets are under way/), { fullPage: true });
  await rig.send(lossy);
  const { id, eventful } = await prepared(windows[0].page);
  await everywhere('search', at('#/search', /recordings$/));
  await everywhere('recording', at(`#/recording/${id}`, 'Every file is as it was sealed'), { fullPage: true });
  await everywhere('recording-keys', at(`#/recording/${eventful}`, 'Every file is as it was sealed'));
  await everywhere('share', async (page) => {
    await page.getByRole('button', { name: 'Share' }).click();
  });
  await everywhere('live', async (page) => {
    await at('#/live', / calls up/)(page);
    await page.getByRole('button', { name: /^Listen to the call/ }).first().click();
    await page.locator('[data-phase=hearing]').waitFor();
    await page.waitForTimeout(2500);
  });
  const link = await shared(windows[0].page, id);
  await everywhere('shares', at('#/shares', 'for the customer'));
  await everywhere('audit', at('#/audit', 'Entries, the newest first'));
  await everywhere('users', at('#/users', 'API tokens'));
  await everywhere('account', at('#/me', 'You may'));
  await everywhere('shared', async (page) => {
    await page.goto(link);
    await page.locator('p', { hasText: 'Shared by' }).waitFor();
  });
  await rig.cable(false);
  await everywhere('status-alarm', async (page) => {
    await page.goto(`${rig.url}/#/status`);
    await page.locator('[data-alarm=interface_down]').waitFor();
  });
  await rig.cable(true);
  await rig.kill();
  await everywhere('status-no-data', (page) => page.getByText('No data', { exact: true }).first().waitFor());
}

/** A palette of 256 colours is enough for what is drawn, and a third of the bytes. */
async function shrink() {
  const files = (await readdir(OUT)).filter((name) => name.endsWith('.png'));
  await promisify(execFile)('pngquant', ['--force', '--ext', '.png', '--strip', '--speed', '1', '256', ...files], { cwd: OUT });
}

/** Makes the first user, and others. */
async function first(page) {
  await page.getByLabel('Password').first().fill(ANNA.password);
  await page.getByLabel('Password again').fill(ANNA.password);
  await page.getByRole('button', { name: 'Make user and log in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Status' }).waitFor();
  for (const [name, roles] of [
    ['ben', ['supervisor']],
    ['carla', ['compliance', 'viewer']],
    ['noc', ['viewer']],
  ]) {
    await post(page, '/users', { name, roles, password: `a word for ${name.length} letters` });
  }
  const expires = new Date(Date.now() + 90 * 86_400_000).toISOString();
  await post(page, '/tokens', { name: 'grafana', rights: ['seeStatus'], expires });
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('button', { name: 'Log in' }).waitFor();
}

/** Says something of recordings; gives the two that are shown: one with gaps, one with a hold and keys. */
async function prepared(page) {
  const list = () => page.evaluate(async () => (await (await fetch('/api/v2/recordings')).json()).recordings);
  const recordings = await until(async () => {
    const found = await list();
    return found.length >= 20 && found;
  }, 'the recordings');
  const shown = recordings.find((recording) => !recording.complete);
  const eventful = recordings.find((recording) => recording.callerPhoneNumber === CALLER.number);
  for (const [index, recording] of recordings.entries()) {
    if (index % 4 === 1) await send(page, 'PUT', `/recordings/${recording.id}/labels/${index % 8 === 1 ? 'complaint' : 'training'}`);
  }
  await send(page, 'PUT', `/recordings/${shown.id}/labels/complaint`);
  await send(page, 'PUT', `/recordings/${shown.id}/metadata`, { case: '4711', customer: 'Example AG' });
  await send(page, 'PUT', `/recordings/${recordings[5].id}/non-deletion`, { reason: 'Case 4711, asked for by the court' });
  await post(page, '/searches', { name: 'Bad sound today', query: 'mosMax=3.5', columns: [] });
  await post(page, '/searches', { name: 'Complaints', query: 'label=complaint', columns: [] });
  return { id: shown.id, eventful: eventful.id };
}

async function shared(page, id) {
  const expires = new Date(Date.now() + 7 * 86_400_000).toISOString();
  await post(page, `/recordings/${id}/shares`, { expires, uses: null, passcode: 'open sesame', note: 'second opinion' });
  const { url } = await post(page, `/recordings/${id}/shares`, { expires, uses: 20, passcode: null, note: 'for the customer' });
  return rig.url + new URL(url).pathname;
}

function post(page, path, body) {
  return send(page, 'POST', path, body);
}

/** A request as the page itself would make it. */
function send(page, method, path, body) {
  return page.evaluate(
    async ({ method, path, body }) => {
      const { csrf } = await (await fetch('/api/v2/me')).json();
      const headers = { 'x-csrf-token': csrf, 'content-type': 'application/json' };
      const response = await fetch(`/api/v2${path}`, { method, headers, body: body && JSON.stringify(body) });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${text}`);
      return text ? JSON.parse(text) : null;
    },
    { method, path, body },
  );
}

/** A working day of an office, a point a minute until now. */
function day() {
  const now = Date.now();
  const points = Array.from({ length: 1440 }, (_, minute) => {
    const at = now - (1440 - minute) * 60_000;
    const hour = new Date(at).getHours() + new Date(at).getMinutes() / 60;
    const busy = Math.exp(-(((hour - 10.5) / 2.2) ** 2)) + 0.9 * Math.exp(-(((hour - 15) / 2.1) ** 2));
    const concurrent = Math.max(0, Math.round(430 * busy + 9 * Math.sin(minute / 3.1) + 7 * Math.sin(minute / 1.7) + 12));
    const packetsPerSecond = concurrent * 100;
    return { time: new Date(at).toISOString(), concurrent, packetsPerSecond, bitsPerSecond: packetsPerSecond * 1712, lost: 0 };
  });
  return { step: 60, points };
}

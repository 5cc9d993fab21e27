// The window as people use it, from the first start to the day when the server dies. In order: each goes on from the
// one before.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { Browser, decoded, faults, logIn } from './browser.js';
import { CALLER, EVENTS } from './call.js';
import { offline, Rig, until } from './rig.js';

const ANNA = { name: 'anna', password: 'correct horse battery' };
const BEN = { name: 'ben', password: 'staple of the evening' };
const SHORT = { calls: 10, seconds: 5, seed: 7 };
/** The short ones, and the one of `call.js`. */
const RECORDED = SHORT.calls + 1;
const LONG = { calls: 30, seconds: 170, seed: 8, spread: 4 };
/** The status page's first load may weigh so much, bytes on the wire. */
const WEIGHT_MAX = 200_000;
/** Louder than silence: root mean square of full scale. */
const SILENCE = 0.001;

let rig;
let browser;
let page;
/** A call that is recorded, as whoever made it knows it; its recording's id. */
let call;
let id;

before(async () => {
  if (offline) console.log(`skipped: whatever is live, because ${offline}`);
  rig = await Rig.start({ short: SHORT });
  browser = await Browser.launch(rig.url);
  page = await browser.profile({ expected: [/401.*\/api\/v2\/(me|login)/] });
  [call] = await rig.truth('short');
});

after(async () => {
  await browser?.close();
  await rig?.stop();
});

async function go(hash, heading, on = page) {
  await on.goto(`${rig.url}/${hash}`);
  await on.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor();
}

test('first start: the link from the console makes the first user, once', async () => {
  await page.goto(rig.url + rig.setUp);
  await page.getByLabel('Name').fill(ANNA.name);
  await page.getByLabel('Password', { exact: false }).first().fill(ANNA.password);
  await page.getByLabel('Password again').fill(ANNA.password);
  await page.getByRole('button', { name: 'Make user and log in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Status' }).waitFor();

  const other = await browser.profile({ expected: [/401.*\/api\/v2\/me/] });
  await other.goto(rig.url + rig.setUp);
  await other.getByText('This window is set up already').waitFor();
  await other.context().close();
});

test('log-in: a wrong password is refused, the right one opens', async () => {
  await page.getByRole('button', { name: 'Log out' }).click();
  await logIn(page, rig.url, ANNA.name, 'not the password at all');
  await page.getByRole('alert').waitFor();
  await page.getByLabel('Password').fill(ANNA.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Status' }).waitFor();
});

test('status: live under load, and true', { skip: offline ?? false }, async () => {
  rig.sending(await rig.synth('long', LONG));
  await go('#/status', 'Status');
  const state = page.getByRole('region', { name: 'State of the recorder' });
  await state.getByText('Recording', { exact: true }).first().waitFor();
  const figure = (label) => page.getByRole('list', { name: 'Figures' }).getByRole('listitem').filter({ hasText: label }).locator('strong');
  await until(async () => Number(await figure('Calls up').innerText()) === LONG.calls, `${LONG.calls} calls up`);
  await until(async () => /[1-9]/.test(await figure('Packets per second').innerText()), 'packets');
  assert.equal((await figure('Packets lost').innerText()).trim(), '0');
  await page.getByText(/It balances|Packets are under way/).first().waitFor();
  // What was recorded before is counted, none of it lacking.
  const made = Number(await figure('Recordings made').innerText());
  assert.equal(made, RECORDED);
});

test('status: the first load is light', async () => {
  const fresh = await browser.profile({ expected: [/401.*\/api\/v2\/me/] });
  await logIn(fresh, rig.url, ANNA.name, ANNA.password);
  await fresh.getByRole('heading', { level: 1, name: 'Status' }).waitFor();
  const network = await fresh.context().newCDPSession(fresh);
  await network.send('Network.enable');
  await network.send('Network.setCacheDisabled', { cacheDisabled: true });
  let weight = 0;
  network.on('Network.dataReceived', ({ encodedDataLength }) => (weight += encodedDataLength));
  network.on('Network.responseReceived', ({ response }) => (weight += response.encodedDataLength));
  await fresh.goto('about:blank');
  await fresh.goto(`${rig.url}/#/status`, { waitUntil: 'load' });
  await fresh.getByRole('region', { name: 'The last 24 hours' }).waitFor();
  await fresh.waitForTimeout(1500);
  assert.ok(weight > 20_000 && weight < WEIGHT_MAX, `the status page weighs ${weight} bytes`);
  console.log(`the status page's first load: ${Math.round(weight / 1000)} kB`);
  await fresh.context().close();
});

test('search: one call of many, by its number; the list as CSV', async () => {
  await go('#/search', 'Recordings');
  const rows = page.locator('[data-recording]');
  await until(async () => (await rows.count()) === RECORDED, 'all recordings');
  await page.getByLabel('Caller or callee').fill(call.caller);
  await page.getByRole('button', { name: 'Search', exact: true }).click();
  await until(async () => (await rows.count()) === 1, 'one recording');
  id = await rows.first().getAttribute('data-recording');
  assert.match(await rows.first().innerText(), new RegExp(call.dialed));
  await page.getByText('1 recording found').waitFor();

  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'CSV' }).click()]);
  const csv = await readFile(await file.path(), 'utf8');
  assert.match(csv, new RegExp(id));
  assert.equal(csv.trim().split('\n').length, 2, csv);
});

test('search: what is saved comes back', async () => {
  await page.getByRole('button', { name: 'Save this search' }).click();
  await page.getByLabel('Name of the search').fill('one caller');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('button', { name: 'one caller', exact: true }).waitFor();
  await go('#/search', 'Recordings');
  await page.getByRole('button', { name: 'one caller', exact: true }).click();
  await until(async () => (await page.locator('[data-recording]').count()) === 1, 'one recording');
});

test('play: from the list, at once, and both sides sound', async () => {
  await page.getByRole('link', { name: /^Play the call/ }).click();
  await page.getByRole('heading', { level: 1, name: 'Recorded call' }).waitFor();
  const audio = page.locator('audio');
  const moves = () => audio.evaluate((it) => it.currentTime > 0.3 && !it.paused);
  await until(moves, 'that it plays', 10_000);
  await page.getByRole('button', { name: 'Pause' }).click();

  const sound = await decoded(page, `/api/v2/recordings/${id}/audio?format=flac`);
  assert.equal(sound.loudness.length, 2);
  assert.ok(Math.abs(sound.seconds - SHORT.seconds) < 1.5, `${sound.seconds} s`);
  for (const loudness of sound.loudness) assert.ok(loudness > SILENCE, `loudness ${sound.loudness}`);
});

test('play: seek by keyboard, speed, one side alone', async () => {
  const audio = page.locator('audio');
  await page.getByRole('slider', { name: 'Place in the recording' }).focus();
  await page.keyboard.press('Home');
  assert.equal(await audio.evaluate((it) => it.currentTime), 0);
  await page.keyboard.press('ArrowRight');
  assert.ok((await audio.evaluate((it) => it.currentTime)) > 3);
  await page.getByLabel('Speed').selectOption('1.5');
  assert.equal(await audio.evaluate((it) => it.playbackRate), 1.5);
  await page.getByRole('button', { name: 'Caller', exact: true }).click();
  assert.equal(await page.getByRole('button', { name: 'Caller', exact: true }).getAttribute('aria-pressed'), 'true');
});

test('a recording: waveform drawn, ladder, evidence verified now', async () => {
  const drawn = () =>
    page.evaluate(() => {
      const shadow = [...document.querySelectorAll('.host > div')].map((it) => it.shadowRoot).find(Boolean);
      const canvas = shadow?.querySelector('canvas');
      if (!canvas?.width) return 0;
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((value, index) => index % 4 === 3 && value > 0).length;
    });
  await until(async () => (await drawn()) > 200, 'a waveform');
  await page.locator('[data-verified=true]').waitFor();
  const ladder = await page.getByRole('region', { name: 'Signalling' }).first().innerText();
  assert.match(ladder, /INVITE/);
  assert.match(ladder, /BYE/);
});

test('a recording: a hold and keys are marked at their places', async (t) => {
  const found = await page.evaluate(async (party) => {
    const list = await (await fetch(`/api/v2/recordings?party=${encodeURIComponent(party)}`)).json();
    return (await fetch(`/api/v2/recordings/${list.recordings[0].id}`)).json();
  }, CALLER.number);
  if (!found.marks?.length) return t.skip('this recorder notes no holds and keys');
  await go(`#/recording/${found.id}`, 'Recorded call');
  const width = (await page.getByRole('slider', { name: 'Place in the recording' }).boundingBox()).width;
  const place = async (spot) => (await spot.boundingBox()).width / width;
  const hold = page.locator('.spot.hold');
  await hold.waitFor();
  const spoken = EVENTS.end - EVENTS.answer;
  assert.ok(Math.abs((await place(hold)) - (EVENTS.resume - EVENTS.hold) / spoken) < 0.02);
  const keys = await page.locator('.spot.dtmf').allInnerTexts();
  assert.deepEqual(keys.map((key) => key.trim()), EVENTS.keys.map(([, key]) => key));
  await go(`#/recording/${id}`, 'Recorded call');
});

test('a recording: label, metadata and hold stay', async () => {
  await page.getByLabel('New label').fill('complaint');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('button', { name: 'Remove the label complaint' }).waitFor();
  await page.getByLabel('Key', { exact: true }).fill('case');
  await page.getByLabel('Value', { exact: true }).fill('4711');
  await page.getByRole('button', { name: 'Set', exact: true }).click();
  await page.getByRole('button', { name: 'Remove case' }).waitFor();
  await page.getByLabel('Reason for the hold').fill('a court wants it');
  await page.getByRole('button', { name: 'Hold', exact: true }).click();
  await page.getByText('Must not be deleted.').waitFor();
  await go('#/search?label=complaint&metadata=case%3A4711&held=true', 'Recordings');
  await page.locator(`[data-recording="${id}"]`).waitFor();
});

test('live: the calls that are up, and one is heard', { skip: offline ?? false }, async () => {
  await go('#/live', 'Live calls');
  await page.getByText(`${LONG.calls} calls up`).waitFor();
  await page.getByRole('button', { name: /^Listen to the call/ }).first().click();
  const ear = page.locator('[data-phase=hearing]');
  await ear.waitFor();
  const loudest = [0, 0];
  await until(async () => {
    const peaks = (await ear.getAttribute('data-peaks')).split(' ').map(Number);
    peaks.forEach((peak, side) => (loudest[side] = Math.max(loudest[side], peak)));
    return loudest.every((peak) => peak > 0.01);
  }, 'sound of both sides');
  await page.getByRole('button', { name: 'Stop' }).click();
});

test('share: the link opens just that recording in a clean profile; revoked, it does not', async () => {
  await go(`#/recording/${id}`, 'Recorded call');
  await page.getByRole('button', { name: 'Share' }).click();
  await page.getByLabel('Note for the list of links').fill('for the customer');
  await page.getByLabel('Passcode, if wanted').fill('open sesame');
  await page.getByRole('button', { name: 'Make link' }).click();
  const link = await page.getByLabel('Link to the recording').inputValue();
  const path = new URL(link).pathname;

  const guest = await browser.profile({ expected: [/40[0-9].*\/api\/v2\/shared/, /41[0-9].*\/api\/v2\/shared/] });
  await guest.goto(rig.url + path);
  await guest.getByLabel('Passcode').fill('open sesame');
  await guest.getByRole('button', { name: 'Open' }).click();
  await guest.getByText('Shared by anna').first().waitFor();
  const source = await guest.locator('audio').getAttribute('src');
  const sound = await decoded(guest, source);
  for (const loudness of sound.loudness) assert.ok(loudness > SILENCE, `loudness ${sound.loudness}`);
  assert.deepEqual(await faults(guest), []);

  await go('#/shares', 'Shared links');
  await page.getByRole('row', { name: /for the customer/ }).getByRole('button', { name: 'Revoke' }).click();
  await page.getByText('revoked').waitFor();
  await guest.reload();
  await guest.getByRole('alert').or(guest.getByLabel('Passcode')).first().waitFor();
  if (await guest.getByLabel('Passcode').isVisible()) {
    await guest.getByLabel('Passcode').fill('open sesame');
    await guest.getByRole('button', { name: 'Open' }).click();
    await guest.getByRole('alert').waitFor();
  }
  assert.equal(await guest.locator('audio').count(), 0);
  await guest.context().close();
});

test('roles: a viewer sees the status, and nothing else', async () => {
  await go('#/users', 'Users and tokens');
  await page.getByRole('button', { name: 'New user' }).click();
  await page.getByLabel('Name', { exact: true }).fill(BEN.name);
  await page.getByRole('dialog').getByLabel('Password').fill(BEN.password);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('rowheader', { name: BEN.name }).waitFor();

  const ben = await browser.profile({ expected: [/401.*\/api\/v2\/me/, /403.*\/api\/v2\/recordings/] });
  await logIn(ben, rig.url, BEN.name, BEN.password);
  await ben.getByRole('heading', { level: 1, name: 'Status' }).waitFor();
  assert.deepEqual(await ben.getByRole('navigation').getByRole('link').allInnerTexts(), ['Status']);
  await go(`#/recording/${id}`, 'Recorded call', ben);
  await ben.getByText('Your role does not let you see this').waitFor();
  assert.equal(await ben.evaluate(async (id) => (await fetch(`/api/v2/recordings/${id}`)).status, id), 403);
  await ben.context().close();
});

test('audit: what was done is there, and what was refused', async () => {
  await go('#/audit', 'Audit log');
  await page.getByLabel('What was done').selectOption('play');
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.getByRole('row', { name: new RegExp(`anna.*play.*${id.slice(0, 8)}`) }).first().waitFor();
  await page.getByLabel('What was done').selectOption('see');
  await page.getByLabel('Who').fill(BEN.name);
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.getByRole('row', { name: /ben.*refused/ }).first().waitFor();
});

const PAGES = () => [
  ['#/status', 'Status'],
  ['#/search', 'Recordings'],
  [`#/recording/${id}`, 'Recorded call'],
  ['#/live', 'Live calls'],
  ['#/shares', 'Shared links'],
  ['#/audit', 'Audit log'],
  ['#/users', 'Users and tokens'],
  ['#/me', 'My account'],
];

for (const colorScheme of ['light', 'dark']) {
  test(`no grave accessibility fault, and no page wider than a small phone: ${colorScheme}`, async () => {
    const phone = await browser.profile({ viewport: { width: 360, height: 740 }, colorScheme, expected: [/401.*\/api\/v2\/me/] });
    await phone.goto(rig.url);
    await phone.getByRole('button', { name: 'Log in' }).waitFor();
    assert.deepEqual(await faults(phone), [], 'log-in');
    await logIn(phone, rig.url, ANNA.name, ANNA.password);
    await phone.getByRole('heading', { level: 1, name: 'Status' }).waitFor();
    for (const [hash, heading] of PAGES()) {
      for (const width of [360, 1280]) {
        await phone.setViewportSize({ width, height: 800 });
        await go(hash, heading, phone);
        await phone.waitForTimeout(400);
        assert.deepEqual(await faults(phone), [], `${heading}, ${width} wide`);
        const over = await phone.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(over <= 0, `${heading} is ${over} pixels wider than ${width}`);
      }
    }
    await phone.context().close();
  });
}

test('an alarm rises and clears', { skip: offline ?? false }, async () => {
  await go('#/status', 'Status');
  await rig.cable(false);
  await page.locator('[data-alarm=interface_down]').waitFor();
  const state = page.getByRole('region', { name: 'State of the recorder' });
  assert.match(await state.getAttribute('class'), /bad/);
  assert.match(await page.locator('[data-alarm=interface_down]').innerText(), /What to do:/);
  await rig.cable(true);
  await page.locator('[data-alarm=interface_down]').waitFor({ state: 'detached', timeout: 30_000 });
  await page.locator('[data-cleared=interface_down]').first().waitFor({ state: 'attached' });
});

test('killed: the page says that no data come, and shows nothing as if it were so now', async () => {
  await go('#/status', 'Status');
  const state = page.getByRole('region', { name: 'State of the recorder' });
  if (!offline) await until(async () => !(await state.innerText()).includes('No data'), 'news');
  page.expected.push(/./);
  await rig.kill();
  await state.getByText('No data', { exact: true }).first().waitFor({ timeout: 6000 });
  assert.match(await state.getAttribute('class'), /bad/);
  assert.match(await page.locator('.told').getAttribute('class'), /old/);
  assert.equal(await page.title(), 'No data · Spanreel');
});

test('no page complained of anything', () => {
  assert.deepEqual(browser.complaints, []);
});

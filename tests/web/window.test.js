// The window as people use it, from the first start to the day when the server dies. In order: each goes on from the
// one before.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test as only } from 'node:test';

import { Browser, decoded, faults, faultsInEachLight, heard, logIn } from './browser.js';
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

let failed = null;

/** A step. What comes after one that failed would fail too, and say nothing. `live`: it needs a mirror port. */
function test(name, { live = false }, step) {
  only(name, { skip: live && offline ? offline : false }, async (t) => {
    if (failed) return t.skip(`after "${failed}"`);
    failed = name;
    await step(t);
    failed = null;
  });
}

before(async () => {
  if (offline) console.log(`skipped: whatever is live, because ${offline}`);
  rig = await Rig.start({ short: SHORT });
  browser = await Browser.launch(rig.url);
  page = await browser.profile({ expected: [/401.*\/api\/v2\/(me|login)/] });
  [call] = await rig.truth('short');
});

after(async () => {
  if (failed && page) console.log(`${page.url()} shows:\n${await page.locator('body').innerText()}\n\nThe program printed:\n${rig.printed}`);
  await browser?.close();
  await rig?.stop();
});

async function go(hash, heading, on = page) {
  await on.goto(`${rig.url}/${hash}`);
  await on.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor();
}

test('first start: the link from the console makes the first user, once', {}, async () => {
  await page.goto(rig.url + rig.setUp);
  await page.getByRole('button', { name: 'Make user and log in' }).waitFor();
  assert.deepEqual(await faultsInEachLight(page, 'set-up'), []);
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

test('log-in: a wrong password is refused, the right one opens', {}, async () => {
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('button', { name: 'Log in' }).waitFor();
  await logIn(page, rig.url, ANNA.name, 'not the password at all');
  await page.getByRole('alert').waitFor();
  assert.equal(await page.evaluate(async () => (await fetch('/api/v2/me')).status), 401);
  await page.getByLabel('Password').fill(ANNA.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Status' }).waitFor();
});

test('status: live under load, and true', { live: true }, async () => {
  rig.sending(await rig.synth('long', LONG));
  await go('#/status', 'Status');
  const state = page.getByRole('region', { name: 'State of the recorder' });
  await state.getByText('Recording', { exact: true }).first().waitFor();
  const figure = (label) => page.getByRole('list', { name: 'Figures' }).getByRole('listitem').filter({ hasText: label }).locator('strong');
  await until(async () => Number(await figure('Calls up').innerText()) === LONG.calls, `${LONG.calls} calls up`);
  await until(async () => /[1-9]/.test(await figure('Packets per second').innerText()), 'packets');
  assert.equal((await figure('Packets lost').innerText()).trim(), '0');
  const ledger = page.getByRole('region', { name: 'Packet ledger' }).first();
  await until(async () => /It balances|Packets are under way/.test(await ledger.innerText()), () => ledger.innerText());
  // What was recorded before is counted.
  await until(async () => Number(await figure('Recordings made').innerText()) === RECORDED, `${RECORDED} recordings`);
});

test('live: the calls that are up, and one is heard', { live: true }, async () => {
  await go('#/live', 'Live calls');
  await page.getByText(`${LONG.calls} calls up`).waitFor();
  await page.getByRole('button', { name: /^Listen to the call/ }).first().click();
  const ear = page.locator('[data-phase=hearing]');
  await ear.waitFor();
  assert.deepEqual(await faultsInEachLight(page, 'listening'), []);
  const loudest = [0, 0];
  await until(async () => {
    const peaks = (await ear.getAttribute('data-peaks')).split(' ').map(Number);
    peaks.forEach((peak, side) => (loudest[side] = Math.max(loudest[side], peak)));
    return loudest.every((peak) => peak > 0.01);
  }, 'sound of both sides');
  await until(async () => (await heard(page)).every((ear) => ear > SILENCE), 'sound at both ears');
  await page.getByRole('button', { name: 'Stop' }).click();
});

test('status: the first load is light', {}, async () => {
  const fresh = await browser.profile({ expected: [/401.*\/api\/v2\/me/] });
  await logIn(fresh, rig.url, ANNA.name, ANNA.password);
  await fresh.getByRole('heading', { level: 1, name: 'Status' }).waitFor();
  const network = await fresh.context().newCDPSession(fresh);
  await network.send('Network.enable');
  await network.send('Network.setCacheDisabled', { cacheDisabled: true });
  let weight = 0;
  network.on('Network.dataReceived', ({ encodedDataLength }) => (weight += encodedDataLength));
  network.on('Network.responseReceived', ({ response }) => (weight += response.encodedDataLength));
  await fresh.addInitScript(() => {
    const look = () => {
      const state = document.querySelector('[aria-label="State of the recorder"]')?.textContent ?? 'Asking';
      if (state.includes('Asking')) requestAnimationFrame(look);
      else globalThis.shownAt = performance.now();
    };
    look();
  });
  await fresh.goto('about:blank');
  await fresh.goto(`${rig.url}/#/status`, { waitUntil: 'load' });
  await fresh.getByRole('region', { name: 'The last 24 hours' }).waitFor();
  const shown = await until(() => fresh.evaluate(() => globalThis.shownAt), 'the state of the recorder');
  await fresh.waitForTimeout(1500);
  assert.ok(weight > 20_000 && weight < WEIGHT_MAX, `the status page weighs ${weight} bytes`);
  console.log(`the status page's first load: ${Math.round(weight / 1000)} kB, the recorder's state after ${Math.round(shown)} ms`);
  await fresh.context().close();
});

test('search: one call of many, by its number; the list as CSV', {}, async () => {
  await go('#/search', 'Recordings');
  const rows = page.locator('[data-recording]');
  await until(async () => (await rows.count()) === RECORDED, 'all recordings');
  await page.getByLabel('Caller or callee').fill(call.caller);
  await page.getByRole('button', { name: 'Search', exact: true }).click();
  await until(async () => (await rows.count()) === 1, 'one recording');
  id = await rows.first().getAttribute('data-recording');
  assert.ok((await rows.first().innerText()).includes(call.dialed), call.dialed);
  await page.getByText('1 recording found').waitFor();

  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'CSV' }).click()]);
  const csv = await readFile(await file.path(), 'utf8');
  assert.match(csv, new RegExp(id));
  assert.equal(csv.trim().split('\n').length, 2, csv);
});

test('search: what is saved comes back', {}, async () => {
  await page.getByRole('button', { name: 'Save this search' }).click();
  await page.getByLabel('Name of the search').fill('one caller');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('button', { name: 'one caller', exact: true }).waitFor();
  await go('#/search', 'Recordings');
  await page.getByRole('button', { name: 'one caller', exact: true }).click();
  await until(async () => (await page.locator('[data-recording]').count()) === 1, 'one recording');
});

test('play: from the list, at once, and both sides sound', {}, async () => {
  await page.getByRole('link', { name: /^Play the call/ }).click();
  await page.getByRole('heading', { level: 1, name: 'Recorded call' }).waitFor();
  const audio = page.locator('audio');
  const moves = () => audio.evaluate((it) => it.currentTime > 0.3 && !it.paused);
  await until(moves, 'that it plays');
  await until(async () => (await heard(page)).every((ear) => ear > SILENCE), 'sound at both ears');
  await page.getByRole('button', { name: 'Pause' }).click();

  const sound = await decoded(page, `/api/v2/recordings/${id}/audio?format=flac`);
  assert.equal(sound.loudness.length, 2);
  assert.ok(Math.abs(sound.seconds - SHORT.seconds) < 1.5, `${sound.seconds} s`);
  for (const loudness of sound.loudness) assert.ok(loudness > SILENCE, `loudness ${sound.loudness}`);
});

test('play: seek by keyboard, speed, one side alone', {}, async () => {
  const audio = page.locator('audio');
  await page.getByRole('slider', { name: 'Place in the recording' }).focus();
  await page.keyboard.press('Home');
  assert.equal(await audio.evaluate((it) => it.currentTime), 0);
  await page.keyboard.press('ArrowRight');
  assert.ok((await audio.evaluate((it) => it.currentTime)) > 3);
  await page.getByLabel('Speed').selectOption('1.5');
  assert.equal(await audio.evaluate((it) => it.playbackRate), 1.5);
  const side = page.getByRole('button', { name: 'Caller', exact: true });
  await side.click();
  assert.equal(await side.getAttribute('aria-pressed'), 'true');
  assert.ok(await audio.evaluate((it) => it.paused), 'who chooses a side does not start the sound');
  await page.getByRole('slider', { name: 'Place in the recording' }).focus();
  await page.keyboard.press('Home');
  await page.getByRole('button', { name: 'Play', exact: true }).click();
  // The same at both ears, which two sides never are; read one after the other, so not to the last sample.
  let ears;
  await until(async () => {
    ears = await heard(page);
    return ears[0] > SILENCE && Math.abs(ears[0] - ears[1]) < ears[0] / 20;
  }, () => `one side at both ears: ${ears}`);
  await page.getByRole('button', { name: 'Pause' }).click();
});

test('a recording: waveform drawn, ladder, evidence verified now', {}, async () => {
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

test('a recording: a hold and keys are marked at their places', {}, async () => {
  const found = await until(async () => {
    const path = `/api/v2/recordings?party=${encodeURIComponent(CALLER.number)}`;
    return page.evaluate(async (path) => (await (await fetch(path)).json()).recordings[0], path);
  }, 'the call with a hold');
  assert.equal(found.direction, 'outbound');
  await go(`#/recording/${found.id}`, 'Recorded call');
  const wave = await page.getByRole('slider', { name: 'Place in the recording' }).boundingBox();
  const hold = page.locator('.spot.hold');
  await hold.waitFor();
  const keys = page.locator('.spot.dtmf');
  assert.deepEqual((await keys.allInnerTexts()).map((key) => key.trim()), EVENTS.keys.map(([, key]) => key));
  // The sound begins with the first packet of either side, a tenth of a second after the answer.
  const begin = EVENTS.answer + 0.1;
  const isAt = async (spot, from, to) => {
    const { x, width } = await spot.boundingBox();
    const [left, right] = [x, x + width].map((edge) => begin + ((edge - wave.x) / wave.width) * (EVENTS.end - begin));
    assert.ok(Math.abs(left - from) < 0.7 && Math.abs(right - to) < 0.7, `marked from ${left} to ${right} s, happened from ${from} to ${to}`);
  };
  await isAt(hold, EVENTS.hold, EVENTS.resume);
  for (const [index, [at]] of EVENTS.keys.entries()) await isAt(keys.nth(index), at, at);
  await page.getByText('3 marks').click();
  await page.getByText('hold by the caller').waitFor();

  // As a recorder tells it that is not to name keys.
  await page.route(`**/api/v2/recordings/${found.id}`, async (route) => {
    const response = await route.fetch();
    const told = await response.json();
    for (const mark of told.marks) if (mark.kind === 'dtmf') mark.value = '?';
    await route.fulfill({ response, json: told });
  });
  await page.reload();
  await until(async () => (await keys.allInnerTexts()).every((key) => key.trim() === '•') && (await keys.count()) === 2, 'masked keys');
  await page.unrouteAll();
  await go(`#/recording/${id}`, 'Recorded call');
});

test('a recording: label, metadata and hold stay', {}, async () => {
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

test('share: the link opens just that recording in a clean profile; revoked, it does not', {}, async () => {
  await go(`#/recording/${id}`, 'Recorded call');
  await page.getByRole('button', { name: 'Share' }).click();
  assert.deepEqual(await faultsInEachLight(page, 'sharing'), []);
  await page.getByLabel('Note for the list of links').fill('for the customer');
  await page.getByLabel('Passcode, if wanted').fill('open sesame');
  await page.getByRole('button', { name: 'Make link' }).click();
  const link = await page.getByLabel('Link to the recording').inputValue();
  const path = new URL(link).pathname;

  const guest = await browser.profile({ expected: [/4[01][0-9].*\/api\/v2\/(shared|recordings|status)/] });
  let openings = 0;
  guest.on('request', (request) => (openings += request.method() === 'POST' && request.url().includes('/shared/')));
  await guest.goto(rig.url + path);
  await guest.getByLabel('Passcode').waitFor();
  assert.deepEqual(await faultsInEachLight(guest, 'passcode'), []);
  await guest.getByLabel('Passcode').pressSequentially('open sesame');
  await guest.getByRole('button', { name: 'Open' }).click();
  await guest.locator('p', { hasText: 'Shared by anna' }).waitFor();
  assert.equal(openings, 2, 'tried without a passcode, and once with it');
  const source = await guest.locator('audio').getAttribute('src');
  const sound = await decoded(guest, source);
  for (const loudness of sound.loudness) assert.ok(loudness > SILENCE, `loudness ${sound.loudness}`);
  assert.deepEqual(await faultsInEachLight(guest, 'shared'), []);
  // Nothing but that recording is open to who has the link.
  for (const path of [`/api/v2/recordings/${id}`, '/api/v2/recordings', '/api/v2/status']) {
    assert.equal(await guest.evaluate(async (path) => (await fetch(path)).status, path), 401, path);
  }

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

test('roles: a viewer sees the status, and nothing else', {}, async () => {
  await go('#/users', 'Users and tokens');
  await page.getByRole('button', { name: 'New user' }).click();
  assert.deepEqual(await faultsInEachLight(page, 'new user'), []);
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

test('audit: what was done is there, and what was refused', {}, async () => {
  await go('#/audit', 'Audit log');
  await page.getByLabel('What was done').selectOption('play');
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.getByRole('row', { name: new RegExp(`anna.*play.*${id.slice(0, 8)}`) }).first().waitFor();
  await page.getByLabel('What was done').selectOption('see');
  await page.getByLabel('Who').fill(BEN.name);
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.getByRole('row', { name: /ben.*refused/ }).first().waitFor();
});

/** Without a recorder there is nobody to ask for the calls that are up. */
const UNHEARD = offline ? [/503.*\/api\/v2\/calls/] : [];
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
  test(`no grave accessibility fault, and no page wider than a small phone: ${colorScheme}`, {}, async () => {
    const phone = await browser.profile({ viewport: { width: 360, height: 740 }, colorScheme, expected: [/401.*\/api\/v2\/me/, ...UNHEARD] });
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

test('an alarm rises and clears', { live: true }, async () => {
  await go('#/status', 'Status');
  const state = page.getByRole('region', { name: 'State of the recorder' });
  const was = await state.getAttribute('class');
  assert.doesNotMatch(was, /bad/);
  await rig.cable(false);
  await page.locator('[data-alarm=interface_down]').waitFor();
  assert.match(await state.getAttribute('class'), /bad/);
  assert.match(await page.locator('[data-alarm=interface_down]').innerText(), /What to do:/);
  assert.deepEqual(await faultsInEachLight(page, 'alarm'), []);
  await rig.cable(true);
  await page.locator('[data-alarm=interface_down]').waitFor({ state: 'detached' });
  await page.locator('[data-cleared=interface_down]').first().waitFor({ state: 'attached' });
  await until(async () => (await state.getAttribute('class')) === was, 'that all is as before');
});

test('killed: the page says that no data come, and shows nothing as if it were so now', {}, async () => {
  await go('#/status', 'Status');
  const state = page.getByRole('region', { name: 'State of the recorder' });
  if (!offline) await until(async () => !(await state.innerText()).includes('No data'), 'news');
  page.expected.push(/./);
  await rig.kill();
  await state.getByText('No data', { exact: true }).first().waitFor();
  assert.match(await state.getAttribute('class'), /bad/);
  assert.match(await page.locator('.told').getAttribute('class'), /old/);
  assert.equal(await page.title(), 'No data · Spanreel');
  assert.deepEqual(await faultsInEachLight(page, 'no data'), []);
});

test('no page complained of anything', {}, () => {
  assert.deepEqual(browser.complaints, []);
});

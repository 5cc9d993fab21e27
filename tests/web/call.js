// A call in which something happens besides talk: keys are pressed, and it is on hold for a while. As a capture file
// (pcap, Ethernet, microseconds), G.711 A-law.

import { writeFile } from 'node:fs/promises';

const CALLER = { address: [10, 20, 0, 1], number: '+4930901820', port: 40_000, ssrc: 0x1eaf };
const CALLEE = { address: [10, 20, 0, 2], number: '+498923456', port: 40_002, ssrc: 0xbeef };
const SIP = 5060;
/** Seconds of sound in a packet; packets of a key. */
const STEP = 0.02;
const KEY_STEPS = 8;
/** When what happens, seconds from the INVITE. */
export const EVENTS = { answer: 1.5, keys: [[5, '5'], [5.6, '#']], hold: 12, resume: 19, end: 27 };
export { CALLER, CALLEE };

/** Writes the capture. */
export async function writeCall(file) {
  const frames = [...signalling(), ...voice(CALLER, CALLEE), ...voice(CALLEE, CALLER)];
  frames.sort((a, b) => a.at - b.at);
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(65_535, 16);
  head.writeUInt32LE(1, 20);
  await writeFile(file, Buffer.concat([head, ...frames.map(record)]));
}

function record({ at, frame }) {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(1_800_000_000 + Math.floor(at), 0);
  head.writeUInt32LE(Math.round((at % 1) * 1e6), 4);
  head.writeUInt32LE(frame.length, 8);
  head.writeUInt32LE(frame.length, 12);
  return Buffer.concat([head, frame]);
}

/** An Ethernet frame with a UDP datagram (RFC 791, RFC 768; without UDP's checksum, which IPv4 permits). */
function datagram(at, from, to, fromPort, toPort, payload) {
  const frame = Buffer.alloc(42);
  frame.set([2, 0, 0, 0, 0, to.address[3], 2, 0, 0, 0, 0, from.address[3], 8, 0, 0x45]);
  frame.writeUInt16BE(28 + payload.length, 16);
  frame.set([64, 17], 22);
  frame.set(from.address, 26);
  frame.set(to.address, 30);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += frame.readUInt16BE(i);
  sum = (sum & 0xffff) + (sum >>> 16);
  frame.writeUInt16BE(~(sum + (sum >>> 16)) & 0xffff, 24);
  frame.writeUInt16BE(fromPort, 34);
  frame.writeUInt16BE(toPort, 36);
  frame.writeUInt16BE(8 + payload.length, 38);
  return { at, frame: Buffer.concat([frame, payload]) };
}

function signalling() {
  const [a, b] = [CALLER, CALLEE];
  const { answer, hold, resume, end } = EVENTS;
  const request = (at, from, to, method, number, sdp) => message(at, from, to, `${method} sip:${to.number}@${to.address.join('.')} SIP/2.0`, method, number, sdp);
  const response = (at, from, to, status, method, number, sdp) => message(at, from, to, `SIP/2.0 ${status}`, method, number, sdp);
  return [
    request(0, a, b, 'INVITE', 1, describe(a, 'sendrecv')),
    response(0.05, b, a, '100 Trying', 'INVITE', 1),
    response(0.3, b, a, '180 Ringing', 'INVITE', 1),
    response(answer, b, a, '200 OK', 'INVITE', 1, describe(b, 'sendrecv')),
    request(answer + 0.02, a, b, 'ACK', 1),
    request(hold, a, b, 'INVITE', 2, describe(a, 'sendonly')),
    response(hold + 0.04, b, a, '200 OK', 'INVITE', 2, describe(b, 'recvonly')),
    request(hold + 0.06, a, b, 'ACK', 2),
    request(resume, a, b, 'INVITE', 3, describe(a, 'sendrecv')),
    response(resume + 0.04, b, a, '200 OK', 'INVITE', 3, describe(b, 'sendrecv')),
    request(resume + 0.06, a, b, 'ACK', 3),
    request(end, a, b, 'BYE', 4),
    response(end + 0.03, b, a, '200 OK', 'BYE', 4),
  ];
}

function message(at, from, to, start, method, number, sdp = '') {
  const tagged = !(method === 'INVITE' && number === 1 && !start.startsWith('SIP'));
  const lines = [
    start,
    `Via: SIP/2.0/UDP ${CALLER.address.join('.')};branch=z9hG4bK${method}${number}`,
    `From: "Anna Berg" <sip:${CALLER.number}@example.com>;tag=a1`,
    `To: <sip:${CALLEE.number}@example.com>${tagged ? ';tag=b2' : ''}`,
    'Call-ID: hold-and-keys@example.com',
    `CSeq: ${number} ${method}`,
    `Contact: <sip:${from.number}@${from.address.join('.')}>`,
    ...(sdp ? ['Content-Type: application/sdp'] : []),
    `Content-Length: ${sdp.length}`,
  ];
  return datagram(at, from, to, SIP, SIP, Buffer.from(`${lines.join('\r\n')}\r\n\r\n${sdp}`));
}

function describe({ address, port }, direction) {
  const at = `IN IP4 ${address.join('.')}`;
  const audio = [`m=audio ${port} RTP/AVP 8 101`, 'a=rtpmap:8 PCMA/8000', 'a=rtpmap:101 telephone-event/8000', 'a=fmtp:101 0-15', `a=${direction}`];
  return ['v=0', `o=- 1 1 ${at}`, 's=-', `c=${at}`, 't=0 0', ...audio, ''].join('\r\n');
}

function rtp(from, sequence, timestamp, type, payload, marker = false) {
  const head = Buffer.alloc(12);
  head.set([0x80, type | (marker ? 0x80 : 0)]);
  head.writeUInt16BE(sequence & 0xffff, 2);
  head.writeUInt32BE(timestamp >>> 0, 4);
  head.writeUInt32BE(from.ssrc, 8);
  return Buffer.concat([head, payload]);
}

/** What a party sends: vowels in syllables, keys, music for who is on hold; from him nothing. */
function* voice(from, to) {
  const first = from === CALLER ? 0 : 1;
  const begin = EVENTS.answer + 0.1;
  const steps = Math.floor((EVENTS.end - 0.1 - begin) / STEP);
  let sequence = 100;
  for (let step = 0; step < steps; step += 1) {
    const at = begin + step * STEP;
    const held = at > EVENTS.hold + 0.1 && at < EVENTS.resume;
    if (held && from === CALLEE) continue;
    const [key, since] = from === CALLER ? keyAt(step, begin) : [];
    const turn = Math.floor(at / 2.9) % 2 === first;
    const sound = () => Buffer.from(Array.from({ length: 160 }, (_, i) => alaw(sample((step * 160 + i) / 8000, first, turn, held))));
    const packet = key
      ? rtp(from, sequence, 16_000 + (step - since) * 160, 101, pressed(key, since), since === 0)
      : rtp(from, sequence, 16_000 + step * 160, 8, sound(), step === 0);
    yield datagram(at, from, to, from.port, to.port, packet);
    sequence += 1;
  }
}

/** The key that is down at a step, and for how many steps it has been. */
function keyAt(step, begin) {
  for (const [at, key] of EVENTS.keys) {
    const since = step - Math.round((at - begin) / STEP);
    if (since >= 0 && since < KEY_STEPS) return [key, since];
  }
  return [];
}

/** A key as RFC 4733 has it: packets of one event, its duration growing, the end three times. */
function pressed(key, since) {
  const end = since >= KEY_STEPS - 3;
  const payload = Buffer.from(['0123456789*#'.indexOf(key), (end ? 0x80 : 0) | 10, 0, 0]);
  payload.writeUInt16BE(160 * Math.min(KEY_STEPS - 2, since + 1), 2);
  return payload;
}

function sample(t, voice, turn, held) {
  if (held) return 2200 * Math.sin(2 * Math.PI * [392, 494, 587, 784][Math.floor(t * 3) % 4] * t) * Math.exp(-3 * ((t * 3) % 1));
  if (!turn) return 12 * Math.sin(t * 9000);
  const syllable = Math.max(0, Math.sin(2 * Math.PI * 2.1 * t) * Math.sin(2 * Math.PI * 0.37 * t + voice));
  const pitch = (voice ? 190 : 115) * (1 + 0.06 * Math.sin(5 * t));
  const vowel = [1, 2, 3, 4, 5].reduce((sum, n) => sum + Math.sin(2 * Math.PI * pitch * n * t) / n, 0);
  return 9000 * syllable * vowel;
}

/** A-law (ITU-T G.711) of a 16-bit sample. */
function alaw(value) {
  const sign = value >= 0 ? 0x80 : 0;
  const size = Math.min(32_635, Math.abs(Math.round(value)));
  const exponent = size < 256 ? 0 : Math.floor(Math.log2(size)) - 7;
  const mantissa = exponent === 0 ? size >> 4 : (size >> (exponent + 3)) & 15;
  return ((sign | (exponent << 4) | mantissa) ^ 0x55) & 0xff;
}

// The real program on calls that are made for the test: live on a mirror port where that can be, else on a folder that
// `replay` filled. `cargo xtask web test` starts us within a network namespace of our own.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { CALLER, writeCall } from './call.js';

const run = promisify(execFile);
/** What is awaited for longer than this does not come. */
const PATIENCE_MS = 120_000;

const SPANREEL = process.env.SPANREEL;
/** The ends of the wire: recorded on, sent on. */
const [SPAN, FAR] = (process.env.SPANREEL_WIRE ?? '').split(',');
/** Why nothing is live, if it is so. */
export const offline = SPAN ? null : (process.env.SPANREEL_OFFLINE ?? 'a mirror port needs root: start with `cargo xtask web test`');

/** Waits until `what` gives something. `why`: what is awaited, or what tells it. */
export async function until(what, why, patience = PATIENCE_MS) {
  const end = Date.now() + patience;
  for (;;) {
    const got = await what();
    if (got) return got;
    if (Date.now() > end) throw new Error(`in vain awaited: ${typeof why === 'string' ? why : await why()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A port that was free a moment ago. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

export class Rig {
  #children = new Map();
  #printed = '';

  /** Starts the program and has calls recorded: those of `short`, and the one of `call.js`. */
  static async start({ short }) {
    const rig = new Rig();
    try {
      await rig.#begin(short);
    } catch (error) {
      await rig.stop();
      throw new Error(`the program printed:\n${rig.#printed}`, { cause: error });
    }
    return rig;
  }

  async #begin(short) {
    this.folder = await mkdtemp(join(tmpdir(), 'spanreel-window-'));
    this.data = join(this.folder, 'data');
    const listen = `127.0.0.1:${await freePort()}`;
    this.url = `https://${listen}`;
    const capture = await this.synth('short', short);
    const eventful = join(this.folder, 'eventful.pcap');
    await writeCall(eventful);
    if (offline) {
      await run(SPANREEL, ['replay', capture, eventful, '--out', this.data, '--own', CALLER.number, '--dtmf', 'keep']);
      this.#spawn('web', SPANREEL, ['web', '--data', this.data, '--listen', listen]);
    } else {
      this.#spawn('run', SPANREEL, ['run', '--config', await this.#config(listen), '--end-with-parent']);
      await until(() => this.#printed.includes('spanreel: recording'), 'that it records');
      await Promise.all([this.send(capture), this.send(eventful)]);
    }
    this.setUp = await until(() => /https:\/\/\S+(\/#\/setup\?token=\S+)/.exec(this.#printed)?.[1], 'the set-up link');
  }

  /** What is recorded, with which keys were pressed and which way the calls went. */
  async #config(listen) {
    const file = join(this.folder, 'spanreel.toml');
    const lines = [`interface = "${SPAN}"`, `data = "${this.data}"`, `own_numbers = ["${CALLER.number}"]`, 'dtmf = "keep"', '[web]', `listen = "${listen}"`];
    await writeFile(file, `${lines.join('\n')}\n`);
    return file;
  }

  /** Makes a capture of calls; what they are is in `truth`. */
  async synth(name, { calls, seconds, spread = 1, seed = 1, more = [] }) {
    const file = join(this.folder, `${name}.pcap`);
    const shape = ['--calls', calls, '--seconds', seconds, '--start-spread', spread, '--seed', seed, ...more];
    await run(SPANREEL, ['synth', ...shape.map(String), '--to', file]);
    return file;
  }

  /** The calls of a capture, as whoever made them knows them. */
  async truth(name) {
    const lines = (await readFile(join(this.folder, `${name}.pcap.truth.jsonl`), 'utf8')).trim().split('\n');
    return lines.map((line) => JSON.parse(line));
  }

  /** Sends a capture as it was captured, until it is over. */
  send(capture) {
    return run('tcpreplay', ['--quiet', '--timer', 'nano', '--intf1', FAR, capture]);
  }

  /** The same beside what else is done. */
  sending(capture) {
    this.#spawn(capture, 'tcpreplay', ['--quiet', '--timer', 'nano', '--intf1', FAR, capture]);
  }

  /** Pulls the cable, or puts it in. */
  cable(plugged) {
    return run('ip', ['link', 'set', FAR, plugged ? 'up' : 'down']);
  }

  #spawn(name, program, args) {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const take = (text) => {
      if (program === SPANREEL) this.#printed += text;
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('exit', () => this.#children.delete(name));
    this.#children.set(name, child);
  }

  /** Kills the program as a crash would. */
  async kill() {
    for (const name of ['run', 'web']) this.#children.get(name)?.kill('SIGKILL');
    await until(() => !this.#children.has('run') && !this.#children.has('web'), 'that it is gone');
  }

  /** All that it printed. */
  get printed() {
    return this.#printed;
  }

  async stop() {
    for (const child of this.#children.values()) child.kill('SIGKILL');
    await until(() => this.#children.size === 0, 'that all are gone');
    if (this.folder) await rm(this.folder, { recursive: true, force: true });
  }
}

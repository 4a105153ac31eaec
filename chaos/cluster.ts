/**
 * LocalCluster: a cluster of real `polaris node` processes on loopback, which can be killed, paused and started again.
 * The demo, the tests on real processes and the chaos test stand on it.
 *
 * Invariant: it signals only processes that it started, by their id.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { builtPath } from '../src/base/package.ts';
import { takePorts } from './ports.ts';

/** The program as users run it. */
export const PROGRAM = builtPath('bin/polaris.js');

/** Longer than a node itself waits for a commit, so that its own answer comes first. */
const ANSWER_MS = 15_000;

const UNTIL_MS = 120_000;

export interface ClusterStatus {
  readonly id: string | null;
  readonly leader: string | null;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly members: readonly { readonly id: string; readonly address: string; readonly role: string }[];
  readonly workers: readonly { readonly id: string; readonly slots: number; readonly busy: number }[];
}

export interface NodeSpec {
  readonly id: string;
  readonly role: 'voter' | 'worker';
  readonly slots: number;
  /** Where others reach it, such as a proxy; where it listens when left out. */
  readonly advertise?: string;
  /** A voter that enters the cluster of the other voters instead of founding it with them. */
  readonly joins?: boolean;
  /** More flags for this node alone. */
  readonly flags?: readonly string[];
}

export interface ClusterOptions {
  /** Data directories and logs of the nodes go here. */
  readonly dir: string;
  readonly nodes: readonly NodeSpec[];
  /** More flags for every node. */
  readonly flags?: readonly string[];
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

interface Member extends NodeSpec {
  readonly address: string;
  readonly dataDir: string;
  readonly logFile: string;
  process: ChildProcess | null;
}

function reachedAt(member: Member): string {
  return member.advertise ?? member.address;
}

export class LocalCluster {
  readonly #members: readonly Member[];
  readonly #flags: readonly string[];

  private constructor(members: readonly Member[], flags: readonly string[]) {
    this.#members = members;
    this.#flags = flags;
  }

  static async create(options: ClusterOptions): Promise<LocalCluster> {
    mkdirSync(options.dir, { recursive: true });
    const ports = await takePorts(options.nodes.length);
    const members = options.nodes.map((spec, at) => ({
      ...spec,
      address: `127.0.0.1:${ports[at]}`,
      dataDir: join(options.dir, spec.id),
      logFile: join(options.dir, `${spec.id}.log`),
      process: null,
    }));
    return new LocalCluster(members, options.flags ?? []);
  }

  get ids(): readonly string[] {
    return this.#members.map((member) => member.id);
  }

  /** `http://HOST:PORT` of a node. */
  url(id: string): string {
    return `http://${this.#member(id).address}`;
  }

  address(id: string): string {
    return this.#member(id).address;
  }

  dataDir(id: string): string {
    return this.#member(id).dataDir;
  }

  logFile(id: string): string {
    return this.#member(id).logFile;
  }

  /** Process id of a running node. */
  pid(id: string): number {
    const pid = this.#member(id).process?.pid;
    if (pid === undefined) throw new Error(`node ${id} does not run`);
    return pid;
  }

  running(id: string): boolean {
    return this.#member(id).process !== null;
  }

  /** Starts a node, or all that do not run. `wrap` puts a program before it, such as strace. */
  start(id?: string, wrap: readonly string[] = []): void {
    for (const member of this.#members) {
      if ((id === undefined || member.id === id) && member.process === null) this.#spawn(member, wrap);
    }
  }

  /** Sends a signal to the process of a node; SIGKILL and SIGTERM are waited for. */
  async signal(id: string, signal: NodeJS.Signals): Promise<void> {
    const child = this.#member(id).process;
    if (child === null) throw new Error(`node ${id} does not run`);
    const exited = child.exitCode === null ? once(child, 'exit') : Promise.resolve();
    child.kill(signal);
    if (signal === 'SIGKILL' || signal === 'SIGTERM') await exited;
  }

  /** Exit code and signal of a node that ends by itself. */
  async ended(id: string): Promise<{ readonly code: number | null; readonly signal: string | null }> {
    const child = this.#member(id).process;
    if (child === null) throw new Error(`node ${id} does not run`);
    const giveUp = AbortSignal.timeout(UNTIL_MS);
    const [code, signal] = (await once(child, 'exit', { signal: giveUp })) as [number | null, string | null];
    return { code, signal };
  }

  /** One HTTP request to a node; JSON bodies are parsed. Throws when the node cannot be reached. */
  async request(id: string, method: string, path: string, body?: unknown): Promise<Answer> {
    // A paused node accepts connections and answers nothing.
    const init: RequestInit = { method, signal: AbortSignal.timeout(ANSWER_MS) };
    if (body !== undefined) {
      init.headers = { 'content-type': 'application/json' };
      init.body = JSON.stringify(body);
    }
    const response = await fetch(`${this.url(id)}${path}`, init);
    const text = await response.text();
    const json = response.headers.get('content-type')?.includes('json') ?? false;
    return { status: response.status, headers: response.headers, body: json ? JSON.parse(text) : text };
  }

  /** What a node says of the cluster; null when it cannot be reached. */
  async status(id: string): Promise<ClusterStatus | null> {
    try {
      return (await this.request(id, 'GET', '/v1/cluster')).body as ClusterStatus;
    } catch {
      return null;
    }
  }

  /** Asks running nodes until one names a leader that runs and that names itself. */
  async leader(): Promise<string> {
    return this.until('a leader', async () => {
      for (const member of this.#members) {
        if (member.process === null) continue;
        const named = (await this.status(member.id))?.leader;
        if (named === undefined || named === null || !this.running(named)) continue;
        if ((await this.status(named))?.leader === named) return named;
      }
      return null;
    });
  }

  /** Asks until the answer is not null. Two minutes are far above what anything takes; they end what hangs. */
  async until<T>(what: string, ask: () => Promise<T | null>): Promise<T> {
    const deadline = Date.now() + UNTIL_MS;
    for (;;) {
      const found = await ask();
      if (found !== null) return found;
      if (Date.now() > deadline) throw new Error(`waited ${UNTIL_MS / 1_000} s for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  /** Ends every process, the hard way where the soft one takes too long. */
  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await Promise.all(
      this.#members.map(async (member) => {
        const child = member.process;
        if (child === null) return;
        const exited = once(child, 'exit');
        child.kill('SIGCONT');
        child.kill(signal);
        await exited;
      }),
    );
  }

  #member(id: string): Member {
    const member = this.#members.find((one) => one.id === id);
    if (member === undefined) throw new Error(`there is no node ${id}`);
    return member;
  }

  /** Whoever can let a newcomer in: the founders, and where none of them runs any more, those that came later. */
  #hosts(founders: readonly Member[]): readonly Member[] {
    const running = this.#members.filter((one) => one.role === 'voter' && one.process !== null);
    return running.length === 0 || founders.some((one) => one.process !== null) ? founders : running;
  }

  #spawn(member: Member, wrap: readonly string[]): void {
    const voters = this.#members.filter((one) => one.role === 'voter' && one.joins !== true);
    const place =
      member.role === 'voter' && member.joins !== true
        ? ['--peers', voters.map((one) => `${one.id}=${reachedAt(one)}`).join(',')]
        : ['--join', this.#hosts(voters).map(reachedAt).join(',')];
    const flags = ['--id', member.id, '--listen', member.address, '--role', member.role, ...place];
    if (member.advertise !== undefined) flags.push('--advertise', member.advertise);
    const own = ['--data-dir', member.dataDir, '--slots', String(member.slots)];
    const rest = [...own, ...this.#flags, ...(member.flags ?? [])];
    const [program, ...args] = [...wrap, process.execPath, PROGRAM, 'node', ...flags, ...rest];
    const log = createWriteStream(member.logFile, { flags: 'a' });
    const child = spawn(program ?? process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    member.process = child;
    child.once('exit', () => {
      if (member.process === child) member.process = null;
    });
    child.once('close', () => log.end());
  }
}

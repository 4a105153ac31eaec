/**
 * An Env by hand: time that stands still until it is told to go, a network that writes down what is sent, a disk in
 * memory and an executor that does what the test says. Unlike the simulator's, these have no will of their own.
 */

import { must } from '../../src/base/assert.ts';
import { SILENT } from '../../src/base/log.ts';
import { createPrng } from '../../src/base/prng.ts';
import type {
  Clock,
  Collecting,
  Env,
  Executor,
  ExecutorEnding,
  ExecutorHandler,
  FoldEnding,
  FoldOrder,
  MasterCall,
  Timers,
} from '../../src/daemon/env.ts';
import type { Probe, ProbeAnswer, ProbeDone, ProbeRequest } from '../../src/daemon/probe.ts';
import { DELIVERIES } from '../../src/ranges/deliveries.ts';
import type { StampedOutput } from '../../src/ranges/types.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import type { Store, StoreContents } from '../../src/store/types.ts';
import type { Hello, WireMessage } from '../../src/wire/messages.ts';
import type { Network, NetworkHandler, ProbeOutcome } from '../../src/wire/network.ts';

interface Due {
  readonly at: number;
  readonly run: () => void;
  cancelled: boolean;
}

/** A clock and its timers. `soon` runs after all that is due at the same instant, as in the daemon's real loop. */
export class HandTime implements Clock, Timers {
  #now = 1_000;
  #due: Due[] = [];
  #soon: (() => void)[] = [];

  now(): number {
    return this.#now;
  }

  wall(): number {
    return 1_700_000_000_000 + this.#now;
  }

  after(delayMs: number, run: () => void): { cancel(): void } {
    const due: Due = { at: this.#now + delayMs, run, cancelled: false };
    this.#due.push(due);
    return {
      cancel() {
        due.cancelled = true;
      },
    };
  }

  soon(run: () => void): void {
    this.#soon.push(run);
  }

  /** Runs what is to run soon, until nothing is. A turn that always asks for another one is found out. */
  settle(turnsMax = 10_000): void {
    for (let turns = 0; this.#soon.length > 0; turns++) {
      if (turns >= turnsMax) throw new Error(`still busy after ${turnsMax} turns`);
      must(this.#soon.shift(), 'not empty')();
    }
  }

  /** Lets time go by, timer by timer. */
  pass(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      this.settle();
      this.#due = this.#due.filter((one) => !one.cancelled);
      const next = this.#due.filter((one) => one.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#due.splice(this.#due.indexOf(next), 1);
      this.#now = Math.max(this.#now, next.at);
      next.run();
    }
    this.#now = end;
    this.settle();
  }

  /** The process stands still: time goes by and nothing runs. */
  stall(ms: number): void {
    this.#now += ms;
  }
}

export interface Sent {
  readonly to: string;
  readonly message: WireMessage;
}

type MessageOf<T extends WireMessage['type']> = Extract<WireMessage, { readonly type: T }>;

export class HandNetwork implements Network {
  handler: NetworkHandler | null = null;
  readonly sent: Sent[] = [];
  readonly dialled: string[] = [];
  readonly probes: { readonly address: string; readonly done: (outcome: ProbeOutcome) => void }[] = [];
  /** What every probe says; null leaves it to the test. */
  probeOutcome: ProbeOutcome | null = null;
  /** Carries messages on; without it they are only written down. */
  carry: ((to: string, message: WireMessage) => void) | null = null;

  start(handler: NetworkHandler): void {
    this.handler = handler;
  }

  dial(address: string): void {
    this.dialled.push(address);
  }

  forget(): void {}

  send(to: string, message: WireMessage): void {
    this.sent.push({ to, message });
    this.carry?.(to, message);
  }

  probe(address: string, done: (outcome: ProbeOutcome) => void): void {
    if (this.probeOutcome === null) this.probes.push({ address, done });
    else done(this.probeOutcome);
  }

  sameHost(address: string): boolean {
    return address.startsWith('here:');
  }

  /** What was sent of one type since the last call, and forgets it. */
  take<T extends WireMessage['type']>(type: T, to?: string): MessageOf<T>[] {
    const isWanted = (one: Sent) => one.message.type === type && (to === undefined || one.to === to);
    const taken = this.sent.filter(isWanted);
    for (const one of taken) this.sent.splice(this.sent.indexOf(one), 1);
    return taken.map((one) => one.message as MessageOf<T>);
  }
}

export interface HandFold {
  readonly order: FoldOrder;
  readonly done: (ending: FoldEnding) => void;
  givenUp: boolean;
}

/** Writes down its orders. */
export class HandExecutor implements Executor {
  readonly types;
  handler: ExecutorHandler | null = null;
  readonly calls: string[] = [];
  readonly deadlines: number[] = [];
  /** Who asked which end is kept, by epoch, until the test answers. */
  readonly keeps = new Map<number, (end: number) => void>();
  /** Calls of Masters, until the test answers. */
  readonly overseen: { readonly call: MasterCall; readonly done: (error: string | null) => void }[] = [];
  /** Orders to Masters, until the test answers. */
  readonly folds: HandFold[] = [];
  stopped: (() => void) | null = null;

  constructor(
    names: readonly string[] = ['mail'],
    exposure: 'window' | 'task' = 'window',
    overseen = false,
    collects: Collecting | null = null,
  ) {
    this.types = names.map((name) => ({
      name,
      hash: 'h',
      exposure,
      overseen,
      collects,
      deliveries: DELIVERIES,
      metadataSchema: null,
    }));
  }

  useBlobs(): void {}

  start(handler: ExecutorHandler): void {
    this.handler = handler;
  }

  run(order: { readonly epoch: number; readonly cursor: number }): void {
    this.calls.push(`run ${order.epoch} at ${order.cursor}`);
  }

  committed(epoch: number, cursor: number, limit: number): void {
    this.calls.push(`committed ${epoch} ${cursor}, up to ${limit}`);
  }

  checkpointed(epoch: number, stage: number): void {
    this.calls.push(`checkpointed ${epoch} ${stage}`);
  }

  keep(epoch: number, answer: (end: number) => void): void {
    this.calls.push(`keep ${epoch}`);
    this.keeps.set(epoch, answer);
  }

  oversee(call: MasterCall, done: (error: string | null) => void): void {
    this.overseen.push({ call, done });
  }

  fold(order: FoldOrder, done: (ending: FoldEnding) => void): () => void {
    const fold = { order, done, givenUp: false };
    this.folds.push(fold);
    return () => {
      fold.givenUp = true;
    };
  }

  release(epoch: number): void {
    this.calls.push(`release ${epoch}`);
  }

  abort(epoch: number): void {
    this.calls.push(`abort ${epoch}`);
  }

  deadline(at: number): void {
    this.deadlines.push(at);
  }

  stop(done: () => void): void {
    this.stopped = done;
    done();
  }

  progress(epoch: number, cursor: number, begun = cursor, outputs: readonly StampedOutput[] = []): void {
    must(this.handler, 'the executor is started').progress(epoch, cursor, begun, outputs);
  }

  ended(ending: Partial<ExecutorEnding> & { readonly epoch: number }): void {
    const cursor = ending.cursor ?? 0;
    const filled = { cursor, begun: cursor, ending: 'complete', error: '', outputs: [], ...ending } as const;
    must(this.handler, 'the executor is started').ended(filled);
  }

  /** The orders since the last call. */
  take(): string[] {
    return this.calls.splice(0);
  }
}

/** Writes down what it is asked, and answers when the test says so. */
export class HandProbe implements Probe {
  readonly asked: { readonly what: string; readonly request: ProbeRequest | null; readonly done: ProbeDone }[] = [];
  /** What everything is answered with, in the same turn; null leaves it to the test. */
  answer: ProbeAnswer | null = null;

  run(command: readonly string[], environment: { readonly [name: string]: string }, done: ProbeDone): void {
    const given = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    this.#ask([...given, ...command].join(' '), null, done);
  }

  fetch(request: ProbeRequest, done: ProbeDone): void {
    this.#ask(`${request.method} ${request.url}`, request, done);
  }

  /** Answers the question that waits longest, and says what it was. */
  reply(answer: ProbeAnswer): string {
    const { what, done } = must(this.asked.shift(), 'something was asked');
    done(answer);
    return what;
  }

  #ask(what: string, request: ProbeRequest | null, done: ProbeDone): void {
    if (this.answer === null) this.asked.push({ what, request, done });
    else done(this.answer);
  }
}

/** The answer of a hook, or of whoever takes a notice. */
export function answered(status: number, text = ''): ProbeAnswer {
  return { kind: 'answered', status, text };
}

export interface HandEnv {
  readonly env: Env;
  readonly time: HandTime;
  readonly network: HandNetwork;
  readonly executor: HandExecutor;
  readonly probe: HandProbe;
  readonly disk: MemoryDisk;
  readonly store: Store;
  readonly contents: StoreContents;
  readonly fatal: Error[];
  /** Log lines: the event and its fields. */
  readonly lines: { readonly event: string; readonly fields: object }[];
}

export interface HandEnvOptions {
  readonly seed?: number;
  readonly time?: HandTime;
  readonly disk?: MemoryDisk;
  readonly executor?: HandExecutor;
  /** When a write is durable; by default in the next turn. */
  readonly schedule?: (run: () => void) => void;
}

export function handEnv(options: HandEnvOptions = {}): HandEnv {
  const { seed = 1, time = new HandTime(), disk = new MemoryDisk(), executor = new HandExecutor() } = options;
  const prng = createPrng(seed);
  const schedule = options.schedule ?? ((run: () => void) => time.soon(run));
  const { store, contents } = openMemoryStore(disk, { prng, schedule });
  const network = new HandNetwork();
  const probe = new HandProbe();
  const fatal: Error[] = [];
  const lines: { event: string; fields: object }[] = [];
  const write = (fields: object, event: string) => void lines.push({ event, fields });
  const log = { ...SILENT, info: write, warn: write, error: write };
  const env: Env = {
    clock: time,
    timers: time,
    prng,
    network,
    store,
    executor,
    probe,
    log,
    fatal: (error) => void fatal.push(error),
  };
  return { env, time, network, executor, probe, disk, store, contents, fatal, lines };
}

export function helloOf(changes: Partial<Hello> & { readonly nodeId: string }): Hello {
  return {
    protocol: 1,
    protocolMin: 1,
    clusterId: null,
    instanceId: `i-${changes.nodeId}`,
    role: 'voter',
    address: `there:${changes.nodeId}`,
    joining: false,
    sessionTtlMs: 5_000,
    empty: true,
    members: [],
    ...changes,
  };
}

/** Peers as `--peers` names them. */
export function peersOf(...ids: readonly string[]): { readonly id: string; readonly address: string }[] {
  return ids.map((id) => ({ id, address: `there:${id}` }));
}

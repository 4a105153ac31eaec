/**
 * The simulated network: what src/wire/peers.ts is in reality, as far as a daemon can tell.
 *
 * Connections are dialled, greet each other with hellos, are admitted or refused, break and come back. Messages go
 * through the real codec, so that no object is shared between nodes, and each may be lost, doubled, late or overtaken.
 * A dead process is noticed at once by those whose packets reach its host, and by the others when their pings stay
 * unanswered; so is a link that swallows packets, and so is a peer that is paused for long.
 *
 * A bulk line is a stream: it keeps its order, has its own delays, and breaks where a message would have been lost, with
 * all that is under way on it.
 *
 * Invariants: a message reaches only the life it was sent to · a connection is reported to a side at most once as open
 * and once as gone.
 */
import { assert, must } from '../../src/base/assert.ts';
import {
  HELLO_TIMEOUT_MS,
  PING_INTERVAL_MS,
  PROBE_TIMEOUT_MS,
  RECONNECT_MS_MAX,
  RECONNECT_MS_MIN,
} from '../../src/base/limits.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { Address, NodeId } from '../../src/base/types.ts';
import { decodeFrame, decodeMessage, encodeHello, encodeMessage, encodeRefusal } from '../../src/wire/codec.ts';
import type { Hello, Refusal, WireMessage } from '../../src/wire/messages.ts';
import type { Channel, Network, NetworkHandler, ProbeOutcome } from '../../src/wire/network.ts';
import type { Process } from './process.ts';
import type { Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';
import type { Weather } from './weather.ts';

interface Dial {
  readonly address: Address;
  failures: number;
  wanted: boolean;
}

/** Both ends of one connection. An end is open once its node was told of it. */
interface Connection {
  readonly dialer: Endpoint;
  readonly acceptor: Endpoint;
  readonly dial: Dial;
  dialerOpen: boolean;
  acceptorOpen: boolean;
  broken: boolean;
  /** When the acceptor's hello reaches the dialler: as on a real stream, nothing overtakes it. */
  answeredAt: number;
}

/** A bulk line: a stream in one direction, of which its ends are told nothing. */
interface BulkLine {
  readonly from: Endpoint;
  readonly to: Endpoint;
  broken: boolean;
  /** When the last message arrives: nothing overtakes it. */
  lastAt: number;
}

/** The network as one life of a node has it. */
interface Endpoint {
  readonly process: Process;
  readonly address: Address;
  handler: NetworkHandler | null;
  readonly dials: Map<Address, Dial>;
  readonly connections: Map<NodeId, Connection[]>;
  readonly bulkLines: Map<NodeId, BulkLine>;
}

export interface SimNetworkOptions {
  readonly scheduler: Scheduler;
  readonly prng: Prng;
  readonly weather: Weather;
  readonly trace: Trace;
  /** True puts back a bug: every address is taken for one on this host, and every probe but the first for refused. */
  readonly refusesProbes: boolean;
  /** Sees every message before the network may lose it. */
  readonly sent: (from: Process, to: NodeId, message: WireMessage) => void;
}

/** Two pings unanswered: between two and three intervals after the last sign. */
const SILENCE_MS_MIN = 2 * PING_INTERVAL_MS;
const SILENCE_MS_MAX = 3 * PING_INTERVAL_MS;
/** On another host something in between may refuse for the living; it is no proof, and nodes must not take it for one. */
const FOREIGN_REFUSAL_CHANCE = 0.3;

function decodeHello(bytes: Uint8Array): Hello {
  const frame = decodeFrame(bytes, null);
  assert(frame.kind === 'hello', 'a hello stays a hello');
  return frame.hello;
}

function decodeRefusal(bytes: Uint8Array): Refusal {
  const frame = decodeFrame(bytes, null);
  assert(frame.kind === 'refusal', 'a refusal stays a refusal');
  return frame.refusal;
}

function hostOf(address: Address): string {
  return address.slice(0, address.lastIndexOf(':'));
}

export class SimNetwork {
  readonly #options: SimNetworkOptions;
  readonly #probed = new Set<string>();
  readonly #listening = new Map<Address, Endpoint>();
  /** Where each node listens whether it lives or not. */
  readonly #owners = new Map<Address, NodeId>();

  constructor(options: SimNetworkOptions) {
    this.#options = options;
  }

  /** The Network of one life of a node. It listens from `start` on. */
  open(process: Process, address: Address): Network {
    const endpoint: Endpoint = {
      ...{ process, address, handler: null },
      ...{ dials: new Map(), connections: new Map(), bulkLines: new Map() },
    };
    this.#owners.set(address, process.id);
    return {
      start: (handler) => {
        endpoint.handler = handler;
        this.#listening.set(address, endpoint);
      },
      dial: (to) => this.#dial(endpoint, to),
      forget: (to) => {
        const dial = endpoint.dials.get(to);
        if (dial !== undefined) dial.wanted = false;
        endpoint.dials.delete(to);
      },
      send: (to, message, channel: Channel = 'control') => {
        if (channel === 'bulk') this.#sendBulk(endpoint, to, message);
        else this.#send(endpoint, to, message);
      },
      probe: (to, done) => this.#probe(endpoint, to, done),
      sameHost: (to) => this.#options.refusesProbes || hostOf(to) === hostOf(address),
    };
  }

  /** The process is gone: its port refuses, and its connections break. */
  died(process: Process): void {
    for (const [address, endpoint] of this.#listening) {
      if (endpoint.process !== process) continue;
      this.#listening.delete(address);
      for (const dial of endpoint.dials.values()) dial.wanted = false;
      for (const connection of [...endpoint.connections.values()].flat()) {
        const other = connection.dialer === endpoint ? connection.acceptor : connection.dialer;
        if (this.#options.weather.severed(process.id, other.process.id)) this.#breakAfterSilence(connection);
        else this.#options.scheduler.after(this.#options.weather.latencyMs(), () => this.#break(connection));
      }
    }
  }

  /** Breaks every connection between two nodes; they are dialled again. */
  cut(one: NodeId, other: NodeId): void {
    for (const connection of this.#connectionsBetween(one, other)) this.#break(connection);
    for (const { process, bulkLines } of this.#listening.values()) {
      for (const line of bulkLines.values()) {
        const ids = [process.id, line.to.process.id];
        if (ids.includes(one) && ids.includes(other)) this.#breakBulk(line);
      }
    }
  }

  /** The weather or a pause may have silenced links: connections that stay silent break. */
  silenced(): void {
    for (const connection of this.#allConnections()) {
      if (this.#silent(connection)) this.#breakAfterSilence(connection);
    }
  }

  #silent({ dialer, acceptor }: Connection): boolean {
    const dead = !dialer.process.alive || !acceptor.process.alive;
    const paused = dialer.process.paused || acceptor.process.paused;
    return dead || paused || this.#options.weather.severed(dialer.process.id, acceptor.process.id);
  }

  #breakAfterSilence(connection: Connection): void {
    const delay = SILENCE_MS_MIN + this.#options.prng.next() * (SILENCE_MS_MAX - SILENCE_MS_MIN);
    this.#options.scheduler.after(delay, () => {
      if (this.#silent(connection)) this.#break(connection);
    });
  }

  #allConnections(): Connection[] {
    const all = new Set<Connection>();
    for (const endpoint of this.#listening.values()) {
      for (const list of endpoint.connections.values()) for (const connection of list) all.add(connection);
    }
    return [...all];
  }

  #connectionsBetween(one: NodeId, other: NodeId): Connection[] {
    return this.#allConnections().filter(({ dialer, acceptor }) => {
      const ids = [dialer.process.id, acceptor.process.id];
      return ids.includes(one) && ids.includes(other);
    });
  }

  // ---- Dialling -----------------------------------------------------------------------------------------------------

  #dial(from: Endpoint, to: Address): void {
    if (from.dials.has(to) || to === from.address) return;
    const dial: Dial = { address: to, failures: 0, wanted: true };
    from.dials.set(to, dial);
    this.#options.scheduler.after(this.#options.weather.latencyMs(), () => this.#connect(from, dial));
  }

  #redial(from: Endpoint, dial: Dial): void {
    if (!dial.wanted || !from.process.alive) return;
    const ceiling = Math.min(RECONNECT_MS_MAX, RECONNECT_MS_MIN * 2 ** dial.failures);
    dial.failures += 1;
    const delay = ceiling * (0.5 + this.#options.prng.next() / 2);
    this.#options.scheduler.after(delay, () => this.#connect(from, dial));
  }

  #connect(from: Endpoint, dial: Dial): void {
    if (!dial.wanted || !from.process.alive) return;
    const { scheduler, weather } = this.#options;
    const to = this.#listening.get(dial.address);
    const owner = this.#owners.get(dial.address);
    if (to === undefined || owner === undefined || weather.severed(from.process.id, owner))
      return this.#redial(from, dial);
    const connection: Connection = {
      dialer: from,
      acceptor: to,
      dial,
      dialerOpen: false,
      acceptorOpen: false,
      broken: false,
      answeredAt: Number.POSITIVE_INFINITY,
    };
    // A paused side accepts in its kernel and says no hello; the dialler gives up in time and tries again.
    scheduler.after(HELLO_TIMEOUT_MS, () => {
      if (!connection.broken && !(connection.dialerOpen && connection.acceptorOpen)) this.#break(connection);
    });
    from.process.turn('input', () => {
      const greeting = encodeHello(must(from.handler, 'a dialler has started').hello());
      scheduler.after(weather.latencyMs(), () => {
        to.process.turn('input', () => this.#accept(connection, greeting));
      });
    });
  }

  #accept(connection: Connection, greeting: Uint8Array): void {
    const { scheduler, weather } = this.#options;
    const { dialer, acceptor, dial } = connection;
    if (connection.broken || !dialer.process.alive) return this.#break(connection);
    const handler = must(acceptor.handler, 'an acceptor has started');
    const hello = decodeHello(greeting);
    const answer = encodeHello(handler.hello());
    const refusal = handler.admit(hello);
    if (refusal !== null) {
      this.#options.trace.count('connection refused');
      const bytes = encodeRefusal(refusal);
      scheduler.after(weather.latencyMs(), () => {
        dialer.process.turn('input', () => this.#refused(connection, dial.address, decodeRefusal(bytes)));
      });
      return;
    }
    connection.answeredAt = scheduler.now + weather.latencyMs();
    scheduler.at(connection.answeredAt, () => {
      dialer.process.turn('input', () => this.#answered(connection, answer));
    });
    this.#opened(connection, acceptor, hello);
  }

  #answered(connection: Connection, answer: Uint8Array): void {
    const { scheduler, weather } = this.#options;
    const { dialer, acceptor } = connection;
    if (connection.broken || !acceptor.process.alive) return this.#break(connection);
    const handler = must(dialer.handler, 'a dialler has started');
    const hello = decodeHello(answer);
    const refusal = handler.admit(hello);
    if (refusal === null) {
      connection.dial.failures = 0;
      return this.#opened(connection, dialer, hello);
    }
    this.#options.trace.count('connection refused');
    const bytes = encodeRefusal(refusal);
    scheduler.after(weather.latencyMs(), () => {
      acceptor.process.turn('input', () => acceptor.handler?.refused(dialer.address, decodeRefusal(bytes)));
    });
    this.#break(connection);
  }

  #refused(connection: Connection, by: Address, refusal: Refusal): void {
    connection.broken = true;
    connection.dialer.handler?.refused(by, refusal);
    this.#redial(connection.dialer, connection.dial);
  }

  #opened(connection: Connection, side: Endpoint, hello: Hello): void {
    if (side === connection.dialer) connection.dialerOpen = true;
    else connection.acceptorOpen = true;
    // As in peers.ts, a newer connection of the same direction takes the place of an older one.
    for (const older of [...(side.connections.get(hello.nodeId) ?? [])]) {
      if ((older.dialer === side) === (connection.dialer === side)) this.#break(older);
    }
    const list = side.connections.get(hello.nodeId);
    if (list === undefined) side.connections.set(hello.nodeId, [connection]);
    else list.push(connection);
    this.#options.trace.count('connection opened');
    must(side.handler, 'a side that opens has started').connected(hello);
    if (this.#silent(connection)) this.#breakAfterSilence(connection);
  }

  #break(connection: Connection): void {
    if (connection.broken) return;
    connection.broken = true;
    this.#options.trace.count('connection broken');
    const { dialer, acceptor, dial } = connection;
    if (connection.dialerOpen) this.#closed(connection, dialer, acceptor.process.id);
    if (connection.acceptorOpen) this.#closed(connection, acceptor, dialer.process.id);
    this.#redial(dialer, dial);
  }

  #closed(connection: Connection, side: Endpoint, peer: NodeId): void {
    this.#options.scheduler.after(0, () => {
      side.process.turn('input', () => {
        const rest = (side.connections.get(peer) ?? []).filter((one) => one !== connection);
        if (rest.length > 0) {
          side.connections.set(peer, rest);
          return;
        }
        side.connections.delete(peer);
        side.handler?.disconnected(peer);
      });
    });
  }

  // ---- Messages -----------------------------------------------------------------------------------------------------

  #send(from: Endpoint, to: NodeId, message: WireMessage): void {
    const { process } = from;
    if (!process.alive) return;
    const { weather, trace } = this.#options;
    this.#options.sent(process, to, message);
    if (message.type === 'state-hash') trace.count('state hash said');
    const bytes = encodeMessage(message);
    const connection = from.connections.get(to)?.find((one) => !one.broken);
    if (connection === undefined) return trace.count('message without connection');
    if (weather.blocked(process.id, to)) return trace.count('message into partition');
    const other = connection.dialer === from ? connection.acceptor : connection.dialer;
    if (!other.process.alive) {
      // The host of the other side resets a connection that it knows nothing of.
      this.#options.scheduler.after(2 * weather.latencyMs(), () => this.#break(connection));
      return trace.count('message to the dead');
    }
    const copies = weather.copies();
    if (copies === 0) trace.count('message lost');
    if (copies === 2) trace.count('message doubled');
    for (let copy = 0; copy < copies; copy++) this.#deliver(connection, from, bytes, message.type);
  }

  #deliver(connection: Connection, from: Endpoint, bytes: Uint8Array, type: string): void {
    const { scheduler, weather, trace } = this.#options;
    const to = connection.dialer === from ? connection.acceptor : connection.dialer;
    const source = from.process.id;
    const clearAt = weather.clearAt(source, to.process.id, scheduler.now);
    if (clearAt > scheduler.now) trace.count('message into a clogged link');
    scheduler.at(Math.max(clearAt + weather.latencyMs(), connection.answeredAt), () => {
      to.process.turn('input', () => {
        const open = connection.dialer === to ? connection.dialerOpen : connection.acceptorOpen;
        if (connection.broken || !open) return trace.count('message of a broken connection');
        trace.line(scheduler.now, to.process.id, `${type} from ${source}, ${bytes.length} bytes`);
        must(to.handler, 'a receiver has started').message(
          source,
          decodeMessage(bytes, { from: source, to: to.process.id }),
        );
      });
    });
  }

  // ---- Bulk ---------------------------------------------------------------------------------------------------------

  #sendBulk(from: Endpoint, to: NodeId, message: WireMessage): void {
    const { process } = from;
    if (!process.alive) return;
    const { scheduler, weather, trace } = this.#options;
    this.#options.sent(process, to, message);
    const bytes = encodeMessage(message);
    const control = from.connections.get(to)?.find((one) => !one.broken);
    if (control === undefined) return trace.count('bulk message without connection');
    const other = control.dialer === from ? control.acceptor : control.dialer;
    const line = this.#bulkLine(from, other);
    // What is in the buffers of a stream is lost with it.
    if (weather.severed(process.id, to) || !other.process.alive || weather.breaks()) return this.#breakBulk(line);
    line.lastAt = Math.max(line.lastAt + weather.bulkMs(bytes.length), scheduler.now + weather.latencyMs());
    // Pings wait behind what is queued: a line that needs longer for it is given up, as if it were dead.
    if (line.lastAt - scheduler.now > SILENCE_MS_MAX) return this.#breakBulk(line);
    scheduler.at(line.lastAt, () => {
      other.process.turn('input', () => {
        if (line.broken) return trace.count('bulk message of a broken connection');
        trace.line(
          scheduler.now,
          other.process.id,
          `${message.type} from ${process.id}, ${bytes.length} bytes in bulk`,
        );
        const ends = { from: process.id, to: other.process.id };
        must(other.handler, 'a receiver has started').message(process.id, decodeMessage(bytes, ends));
      });
    });
  }

  /** The line that is open, or a new one: it takes a round trip to say hello. */
  #bulkLine(from: Endpoint, to: Endpoint): BulkLine {
    const { scheduler, weather, trace } = this.#options;
    const present = from.bulkLines.get(to.process.id);
    if (present !== undefined && !present.broken && present.to === to) return present;
    const line: BulkLine = { from, to, broken: false, lastAt: scheduler.now + 2 * weather.latencyMs() };
    from.bulkLines.set(to.process.id, line);
    trace.count('bulk connection opened');
    return line;
  }

  #breakBulk(line: BulkLine): void {
    if (line.broken) return;
    line.broken = true;
    this.#options.trace.count('bulk connection broken');
  }

  // ---- Probes -------------------------------------------------------------------------------------------------------

  /** For the bug alone: whoever connects seems to listen, and whoever is lost does not. */
  #first(pair: string): boolean {
    const isFirst = !this.#probed.has(pair);
    this.#probed.add(pair);
    return isFirst;
  }

  #probe(from: Endpoint, to: Address, done: (outcome: ProbeOutcome) => void): void {
    const { scheduler, weather, trace, prng } = this.#options;
    const owner = this.#owners.get(to);
    const severed = owner === undefined || weather.severed(from.process.id, owner);
    const delay = severed ? PROBE_TIMEOUT_MS : Math.min(PROBE_TIMEOUT_MS, 2 * weather.latencyMs());
    const foreign = hostOf(to) !== hostOf(from.address);
    scheduler.after(delay, () => {
      let outcome: ProbeOutcome = this.#listening.has(to) ? 'open' : 'refused';
      if (foreign && prng.chance(FOREIGN_REFUSAL_CHANCE)) outcome = 'refused';
      if (delay >= PROBE_TIMEOUT_MS) outcome = 'unknown';
      if (this.#options.refusesProbes) outcome = this.#first(`${from.process.id} ${to}`) ? 'open' : 'refused';
      trace.count(`probe ${outcome}`);
      from.process.turn('input', () => done(outcome));
    });
  }
}

/**
 * Peers: the real Network, on WebSockets at one path of the node's one HTTP server.
 *
 * Think of a switchboard: it knows who is on which line, lets nobody in whom the daemon does not admit, and when a line
 * is full it lets a word fall rather than keep the speaker waiting. Raft and the sessions both repeat what matters.
 *
 * Invariants: nobody is handed a message from a node that was not admitted · `disconnected` comes only when the last
 * connection with a node is gone · one bad connection hurts no other · after `close` nothing calls back · what goes to a node in
 * bulk has a socket of its own, and tells nobody of its comings and goings.
 */
import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { assert } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import * as limits from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Prng } from '../base/prng.ts';
import type { Address, NodeId } from '../base/types.ts';
import { BulkLine } from './bulk.ts';
import { encodeMessage } from './codec.ts';
import { Connection, type ConnectionEvents, type Direction, type Judgement } from './connection.ts';
import { BULK_PATH, Dialler, RAFT_PATH, SOCKET_OPTIONS } from './dialler.ts';
import type { Hello, Refusal, WireMessage } from './messages.ts';
import type { Channel, Network, NetworkHandler, ProbeOutcome } from './network.ts';
import { probe, sameHost } from './probe.ts';

export interface PeersOptions {
  readonly log: Logger;
  readonly prng: Prng;
  /** Where this node listens, for others; dialling it is left out. */
  readonly address: Address;
  /** Says to whoever wants an upgrade why there is none, and ends the connection; without it a status line must do. */
  readonly turnAway?: (socket: Duplex, error: PolarisError) => void;
}

export interface Peers extends Network {
  /** Takes the upgrades of a server. */
  attach(server: Server): void;
  /** Lets what is queued leave, then ends every connection and timer. */
  close(): Promise<void>;
}

export function createPeers(options: PeersOptions): Peers {
  return new Switchboard(options);
}

class Switchboard implements Peers, ConnectionEvents {
  readonly #log: Logger;
  readonly #prng: Prng;
  readonly #address: Address;
  readonly #turnAway: (socket: Duplex, error: PolarisError) => void;
  readonly #acceptor = new WebSocketServer({ ...SOCKET_OPTIONS, noServer: true, clientTracking: false });
  readonly #diallers = new Map<Address, Dialler>();
  /** All that are not ended, whatever their state. */
  readonly #connections = new Set<Connection>();
  /** The open ones of each node; of an entry at least one side is set. */
  readonly #nodes = new Map<NodeId, { dialled: Connection | null; accepted: Connection | null }>();
  /** Our own bulk lines, by node, and those of others to us: the newest of each. */
  readonly #bulkLines = new Map<NodeId, BulkLine>();
  readonly #bulkAccepted = new Map<NodeId, Connection>();
  readonly #servers: Server[] = [];
  /** Nodes to which something was dropped since their queue was last empty enough. */
  readonly #congested = new Set<NodeId>();
  #handler: NetworkHandler | null = null;
  #closing: (() => void) | null = null;
  #closed = false;

  constructor(options: PeersOptions) {
    this.#log = options.log;
    this.#prng = options.prng;
    this.#address = options.address;
    this.#turnAway = options.turnAway ?? turnAway;
    this.#acceptor.on('wsClientError', (error, socket) => {
      this.#turnAway(socket, new PolarisError('BAD_REQUEST', `this is no WebSocket handshake: ${error.message}`));
    });
  }

  start(handler: NetworkHandler): void {
    assert(this.#handler === null, 'a network is started once');
    this.#handler = handler;
    for (const dialler of this.#diallers.values()) dialler.start();
  }

  attach(server: Server): void {
    this.#servers.push(server);
    server.on('upgrade', this.#upgrade);
  }

  dial(address: Address): void {
    if (this.#closed || address === this.#address || this.#diallers.has(address)) return;
    const opened = (webSocket: WebSocket, socket: Socket) =>
      this.#adopt('dialled', 'control', address, webSocket, socket);
    const dialler = new Dialler({ address, prng: this.#prng, opened });
    this.#diallers.set(address, dialler);
    if (this.#handler !== null) dialler.start();
  }

  forget(address: Address): void {
    this.#diallers.get(address)?.stop();
    this.#diallers.delete(address);
    for (const connection of this.#connections) {
      if (connection.direction === 'dialled' && connection.address === address) connection.close();
    }
    for (const line of this.#bulkLines.values()) if (line.address === address) line.close();
  }

  send(to: NodeId, message: WireMessage, channel: Channel = 'control'): void {
    const lines = this.#nodes.get(to);
    const connection = lines?.dialled?.open ? lines.dialled : lines?.accepted;
    if (!connection?.open) return;
    if (channel === 'bulk') return this.#sendBulk(to, connection, message);
    if (connection.queuedBytes > limits.SOCKET_QUEUE_BYTES_MAX) {
      if (!this.#congested.has(to)) this.#log.warn({ to, queuedBytes: connection.queuedBytes }, 'messages-dropped');
      this.#congested.add(to);
      return;
    }
    const frame = this.#frame(to, message);
    if (frame === null) return;
    this.#congested.delete(to);
    connection.write(frame);
  }

  /** Where the node listens, its hello on the control connection has said. */
  #sendBulk(to: NodeId, control: Connection, message: WireMessage): void {
    const address = control.hello?.address;
    const frame = this.#frame(to, message);
    if (this.#closed || address === undefined || frame === null) return;
    let line = this.#bulkLines.get(to);
    if (line === undefined) {
      line = new BulkLine({
        address,
        connect: (webSocket, socket) => this.#adopt('dialled', 'bulk', address, webSocket, socket),
        ended: (one) => {
          if (this.#bulkLines.get(to) === one) this.#bulkLines.delete(to);
        },
      });
      this.#bulkLines.set(to, line);
    }
    if (!line.send(frame)) this.#log.debug({ to, type: message.type }, 'bulk-message-dropped');
  }

  #frame(to: NodeId, message: WireMessage): Uint8Array | null {
    const frame = encodeMessage(message);
    if (frame.length <= limits.FRAME_BYTES_MAX) return frame;
    this.#log.error({ to, type: message.type, bytes: frame.length }, 'message-too-large');
    return null;
  }

  probe(address: Address, done: (outcome: ProbeOutcome) => void): void {
    probe(address, (outcome) => {
      if (!this.#closed) done(outcome);
    });
  }

  sameHost(address: Address): boolean {
    return sameHost(address);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const server of this.#servers) server.off('upgrade', this.#upgrade);
    for (const dialler of this.#diallers.values()) dialler.stop();
    this.#diallers.clear();
    for (const line of this.#bulkLines.values()) line.close();
    const ended = new Promise<void>((resolve) => {
      this.#closing = resolve;
    });
    for (const connection of this.#connections) connection.close();
    if (this.#connections.size > 0) await ended;
    this.#acceptor.close();
  }

  // ---- What connections tell ----------------------------------------------------------------------------------------

  judge(connection: Connection, hello: Hello): Judgement {
    if (this.#handler === null || this.#closed) return { kind: 'drop' };
    const own = this.#handler.hello();
    if (hello.nodeId === own.nodeId && hello.instanceId === own.instanceId) {
      // Our own address under another name. Both ends are ours, so there is nobody to be told.
      this.#slowDown(connection);
      return { kind: 'drop' };
    }
    if (hello.protocolMin > own.protocol || own.protocolMin > hello.protocol) {
      const theirs = `${hello.protocolMin} to ${hello.protocol}`;
      const detail = `${own.nodeId} speaks protocol ${own.protocolMin} to ${own.protocol}, ${hello.nodeId} ${theirs}`;
      return this.#refuse(connection, hello, { code: 'PROTOCOL_MISMATCH', detail });
    }
    const refusal = this.#handler.admit(hello);
    if (refusal !== null) return this.#refuse(connection, hello, refusal);
    // The same node under two addresses: a second line would only push the first one out at the other end.
    const isSecond = connection.channel === 'control' && this.#nodes.get(hello.nodeId)?.dialled?.open;
    if (connection.direction === 'dialled' && isSecond) {
      this.#slowDown(connection);
      return { kind: 'drop' };
    }
    return { kind: 'welcome' };
  }

  opened(connection: Connection, hello: Hello): void {
    if (connection.channel === 'bulk') return this.#bulkOpened(connection, hello.nodeId);
    if (connection.direction === 'dialled') this.#diallers.get(connection.address)?.succeeded();
    const lines = this.#nodes.get(hello.nodeId) ?? { dialled: null, accepted: null };
    const older = lines[connection.direction];
    lines[connection.direction] = connection;
    this.#nodes.set(hello.nodeId, lines);
    // The node came back before we noticed that it was gone.
    older?.close();
    this.#log.info({ peer: hello.nodeId, address: connection.address, how: connection.direction }, 'peer-connected');
    this.#handler?.connected(hello);
  }

  /** Nobody above is told of bulk lines: they say nothing about who can be reached. */
  #bulkOpened(connection: Connection, peer: NodeId): void {
    if (connection.direction === 'dialled') {
      const line = this.#bulkLines.get(peer);
      // Another node listens there now.
      if (line?.address !== connection.address) return connection.close();
      return line.opened(connection);
    }
    this.#bulkAccepted.get(peer)?.close();
    this.#bulkAccepted.set(peer, connection);
  }

  message(from: NodeId, message: WireMessage): void {
    if (!this.#closed) this.#handler?.message(from, message);
  }

  refused(connection: Connection, refusal: Refusal): void {
    this.#log.warn({ address: connection.address, ...refusal }, 'peer-refused-us');
    this.#slowDown(connection);
    if (!this.#closed) this.#handler?.refused(connection.address, refusal);
  }

  garbled(connection: Connection, error: PolarisError): void {
    const peer = connection.hello?.nodeId ?? null;
    this.#log.warn({ peer, address: connection.address, detail: error.detail }, 'bad-frame');
  }

  ended(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#closing?.();
    const peer = connection.hello?.nodeId;
    if (connection.channel === 'bulk') {
      if (peer !== undefined && this.#bulkAccepted.get(peer) === connection) this.#bulkAccepted.delete(peer);
      return;
    }
    const lines = peer === undefined ? undefined : this.#nodes.get(peer);
    // One that was replaced, or never opened, is nobody's line.
    if (peer === undefined || lines === undefined || lines[connection.direction] !== connection) return;
    lines[connection.direction] = null;
    if (lines.dialled !== null || lines.accepted !== null) return;
    this.#nodes.delete(peer);
    this.#congested.delete(peer);
    if (this.#closed) return;
    this.#log.info({ peer, address: connection.address }, 'peer-disconnected');
    this.#handler?.disconnected(peer);
  }

  // ---- Lines in and out ---------------------------------------------------------------------------------------------

  readonly #upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const path = request.url?.split('?', 1)[0];
    const channel = request.url === BULK_PATH ? 'bulk' : 'control';
    if (path !== RAFT_PATH) return this.#turnAway(socket, new PolarisError('NOT_FOUND', 'nothing is upgraded there'));
    // Only browsers say where a page came from, and no page has any business here.
    if (request.headers.origin !== undefined) return this.#turnAway(socket, new PolarisError('FOREIGN_ORIGIN'));
    if (this.#handler === null || this.#closed) {
      return this.#turnAway(socket, new PolarisError('STOPPING', 'this node is starting or stopping'));
    }
    if (this.#pendingCount() >= limits.PENDING_CONNECTIONS_MAX) {
      return this.#turnAway(socket, new PolarisError('OVERLOADED', 'too many have not yet said who they are'));
    }
    const { remoteAddress, remotePort } = request.socket;
    this.#acceptor.handleUpgrade(request, socket, head, (webSocket) => {
      this.#adopt('accepted', channel, `${remoteAddress}:${remotePort}`, webSocket, request.socket);
    });
  };

  #adopt(direction: Direction, channel: Channel, address: Address, webSocket: WebSocket, socket: Socket): void {
    if (this.#handler === null || this.#closed) return webSocket.terminate();
    const hello = this.#handler.hello();
    this.#connections.add(new Connection({ direction, channel, address, webSocket, socket, hello, events: this }));
  }

  #pendingCount(): number {
    let pendingCount = 0;
    for (const { direction, open } of this.#connections) if (direction === 'accepted' && !open) pendingCount += 1;
    return pendingCount;
  }

  #refuse(connection: Connection, hello: Hello, refusal: Refusal): Judgement {
    this.#log.warn({ peer: hello.nodeId, address: connection.address, ...refusal }, 'peer-refused');
    this.#slowDown(connection);
    return { kind: 'refuse', refusal };
  }

  #slowDown(connection: Connection): void {
    if (connection.direction !== 'dialled' || connection.channel === 'bulk') return;
    this.#diallers.get(connection.address)?.slowDown();
  }
}

function turnAway(socket: Duplex, { row: { status } }: PolarisError): void {
  socket.on('error', () => {});
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

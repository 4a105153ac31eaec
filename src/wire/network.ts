/**
 * Network: message passing between nodes as the daemon sees it. peers.ts is the real one, on WebSockets; the simulator
 * has another.
 */
import type { Address, NodeId } from '../base/types.ts';
import type { Hello, Refusal, WireMessage } from './messages.ts';

/** 'control' is for everything that somebody waits for, 'bulk' for what is large: one never delays the other. */
export type Channel = 'control' | 'bulk';

export function channelOf(message: WireMessage): Channel {
  return message.type === 'snapshot-chunk' ? 'bulk' : 'control';
}

export type ProbeOutcome = 'open' | 'refused' | 'unknown';

/** What a node does with what comes in. Set once, before `start`. */
export interface NetworkHandler {
  /** Our hello as of now. */
  hello(): Hello;
  /** Null admits the other side; a refusal is sent to it and the connection is closed. */
  admit(hello: Hello): Refusal | null;
  /** A connection to `peer` is open and both hellos are accepted. */
  connected(peer: Hello): void;
  /** The last connection with `peer` is gone. Proves nothing about it. */
  disconnected(peer: NodeId): void;
  message(from: NodeId, message: WireMessage): void;
  /** The other side refused our hello. */
  refused(by: Address, refusal: Refusal): void;
}

/** Message passing between nodes: unordered, lossy, never blocking. */
export interface Network {
  start(handler: NetworkHandler): void;
  /** Keeps a connection to this address, with back-off, until `forget`. */
  dial(address: Address): void;
  forget(address: Address): void;
  /**
   * Sends over any open connection with that node; drops the message when there is none or too much is queued. The bulk
   * channel has a connection of its own, made by its first message and closed when idle; messages on it keep their order,
   * and a broken connection takes along what was under way.
   */
  send(to: NodeId, message: WireMessage, channel?: Channel): void;
  /** One try to connect: 'refused' only when the host itself answered that nobody listens there. */
  probe(address: Address, done: (outcome: ProbeOutcome) => void): void;
  /** Whether the address is on the host of this node. */
  sameHost(address: Address): boolean;
}

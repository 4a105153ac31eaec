/**
 * Answered: at which addresses of this host somebody was seen to listen, by the node that said it was there.
 *
 * A refused connection proves a death only where there was somebody to refuse: a worker behind a port mapping may
 * advertise an address of its own loopback, and on ours nobody ever listened there. So each node that connects is probed
 * once while its connection stands, and only an address that answered then can later be taken for abandoned.
 *
 * Invariant: nothing is learnt of an address after the connection of its node is gone.
 */
import { ANSWERED_MAX } from '../base/limits.ts';
import type { Address, NodeId } from '../base/types.ts';
import type { Env } from './env.ts';

export class Answered {
  readonly #env: Env;
  /** Nodes whose connection stands, and what they advertise. */
  readonly #connected = new Map<NodeId, Address>();
  readonly #addresses = new Map<NodeId, Address>();

  constructor(env: Env) {
    this.#env = env;
  }

  connected(node: NodeId, address: Address): void {
    this.#connected.set(node, address);
    if (this.has(node, address) || !this.#env.network.sameHost(address)) return;
    this.#env.network.probe(address, (outcome) => {
      if (outcome === 'open' && this.#connected.get(node) === address) this.#remember(node, address);
    });
  }

  disconnected(node: NodeId): void {
    this.#connected.delete(node);
  }

  has(node: NodeId, address: Address): boolean {
    return this.#addresses.get(node) === address;
  }

  #remember(node: NodeId, address: Address): void {
    this.#addresses.delete(node);
    this.#addresses.set(node, address);
    const [oldest] = this.#addresses.keys();
    // What is forgotten costs time when that node dies, and nothing else.
    if (this.#addresses.size > ANSWERED_MAX && oldest !== undefined) this.#addresses.delete(oldest);
  }
}

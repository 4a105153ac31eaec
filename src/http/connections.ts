/**
 * Connections: how many a node holds for HTTP, and which one goes when there are too many.
 *
 * The voters of the cluster come in at the same port, so whoever opens connections without end must not keep them out.
 * A new connection is therefore always taken, and the one that has been quiet the longest makes room for it; since only
 * so many may be busy, there are always some quiet ones, and a voter has the time to say what it is. From then on its
 * connection is counted elsewhere (wire/peers.ts).
 *
 * A node that stops waits for the requests that are under way, and for nobody who never made one: to Node such a connection
 * is one whose request is late, and may be so for a minute.
 *
 * Invariants: at most CONNECTIONS_MAX are open · a connection with a request under way is never closed for another, nor
 * because the node stops.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { PolarisError } from '../base/errors.ts';
import { BUSY_CONNECTIONS_MAX, CONNECTIONS_MAX, PIPELINED_REQUESTS_MAX } from '../base/limits.ts';

export class Connections {
  /** Without a request under way; the longest quiet first. */
  readonly #quiet = new Set<Socket>();
  /** Requests under way, each until the last byte of its answer. */
  readonly #busy = new Map<Socket, number>();
  #isClosing = false;

  opened(socket: Socket): void {
    if (this.#isClosing) {
      socket.destroy();
      return;
    }
    this.#quiet.add(socket);
    socket.once('close', () => this.left(socket));
    if (this.#quiet.size + this.#busy.size <= CONNECTIONS_MAX) return;
    const [longest] = this.#quiet;
    longest?.destroy();
  }

  /** From now on a connection stays only as long as it has a request under way. */
  close(): void {
    this.#isClosing = true;
    for (const socket of this.#quiet) socket.destroy();
  }

  /** Closed, or no connection of HTTP any more. */
  left(socket: Socket): void {
    this.#quiet.delete(socket);
    this.#busy.delete(socket);
  }

  /** A request has come. @throws PolarisError OVERLOADED */
  request(socket: Socket, response: ServerResponse): void {
    // Only what was opened is counted: a request that was put in by hand has no connection.
    if (!this.#quiet.has(socket) && !this.#busy.has(socket)) return;
    const count = (this.#busy.get(socket) ?? 0) + 1;
    if (count === 1 && this.#busy.size >= BUSY_CONNECTIONS_MAX) {
      response.setHeader('connection', 'close');
      throw new PolarisError('OVERLOADED', `${BUSY_CONNECTIONS_MAX} connections have requests under way`);
    }
    this.#quiet.delete(socket);
    this.#busy.set(socket, count);
    response.once('close', () => this.#answered(socket));
    if (count > PIPELINED_REQUESTS_MAX) {
      throw new PolarisError('OVERLOADED', `a connection may have ${PIPELINED_REQUESTS_MAX} requests under way`);
    }
  }

  #answered(socket: Socket): void {
    const count = this.#busy.get(socket);
    if (count === undefined) return;
    if (count > 1) {
      this.#busy.set(socket, count - 1);
      return;
    }
    this.#busy.delete(socket);
    if (this.#isClosing) socket.end();
    else if (!socket.destroyed) this.#quiet.add(socket);
  }
}

/**
 * Bulk line: the second socket to a node, for what is large, so that it never stands in the way of a heartbeat.
 *
 * It is dialled by the first message for it and closed when nobody had anything to say for a while. It is never dialled
 * again by itself: the next message makes a new one. What it carries is acknowledged by its receiver, so whoever sends
 * learns of a broken line by the silence.
 *
 * Invariants: messages keep their order · what waits for the line to open is bounded · `ended` comes exactly once.
 */
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { BULK_IDLE_MS, BULK_WAITING_MESSAGES_MAX, SOCKET_QUEUE_BYTES_MAX } from '../base/limits.ts';
import type { Address } from '../base/types.ts';
import type { Connection } from './connection.ts';
import { BULK_PATH, openSocket } from './dialler.ts';

export interface BulkLineOptions {
  readonly address: Address;
  /** In the turn in which the socket opened: gives the connection on it, to which both sides then say hello. */
  readonly connect: (webSocket: WebSocket, socket: Socket) => void;
  readonly ended: (line: BulkLine) => void;
}

export class BulkLine {
  readonly address: Address;
  readonly #webSocket: WebSocket | null;
  readonly #ended: (line: BulkLine) => void;
  #connection: Connection | null = null;
  #waiting: Uint8Array[] = [];
  #idleTimer: NodeJS.Timeout | null = null;
  #isOver = false;

  constructor(options: BulkLineOptions) {
    this.address = options.address;
    this.#ended = options.ended;
    this.#webSocket = openSocket(options.address, BULK_PATH, options.connect);
    this.#webSocket?.on('close', () => this.#end());
    if (this.#webSocket === null) process.nextTick(() => this.#end());
  }

  /** False when the message was dropped. */
  send(frame: Uint8Array): boolean {
    const connection = this.#connection;
    if (this.#isOver) return false;
    if (connection === null) {
      if (this.#waiting.length >= BULK_WAITING_MESSAGES_MAX) return false;
      this.#waiting.push(frame);
      return true;
    }
    if (!connection.open || connection.queuedBytes > SOCKET_QUEUE_BYTES_MAX) return false;
    this.#idleTimer?.refresh();
    connection.write(frame);
    return true;
  }

  /** Hellos are said and accepted. */
  opened(connection: Connection): void {
    this.#connection = connection;
    this.#idleTimer = setTimeout(() => connection.close(), BULK_IDLE_MS).unref();
    for (const frame of this.#waiting) connection.write(frame);
    this.#waiting = [];
  }

  close(): void {
    if (this.#webSocket?.readyState === WebSocket.CONNECTING) this.#webSocket.terminate();
    else this.#connection?.close();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting = [];
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#ended(this);
  }
}

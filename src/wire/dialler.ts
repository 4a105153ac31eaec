/**
 * Dialler: keeps trying one address until it is told to forget it.
 *
 * Back-off doubles with each failure, with jitter, so that a cluster that comes back is not met by all its nodes in the
 * same millisecond. A refusal is retried slowly: the other side may yet learn who we are.
 */
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import * as limits from '../base/limits.ts';
import type { Prng } from '../base/prng.ts';
import type { Address } from '../base/types.ts';

/** Where peers upgrade, on the one port of a node. */
export const RAFT_PATH = '/raft';
/** And the second socket between two of them. */
export const BULK_PATH = `${RAFT_PATH}?channel=bulk`;

/** Both ends. Compression costs more than it saves, and the frames are not text. */
export const SOCKET_OPTIONS = {
  perMessageDeflate: false,
  maxPayload: limits.FRAME_BYTES_MAX,
  skipUTF8Validation: true,
} as const;

/** A socket on its way to this address; null when it is no address. `opened` comes in the turn in which it opened. */
export function openSocket(
  address: Address,
  path: string,
  opened: (webSocket: WebSocket, socket: Socket) => void,
): WebSocket | null {
  let webSocket: WebSocket;
  try {
    webSocket = new WebSocket(`ws://${address}${path}`, {
      ...SOCKET_OPTIONS,
      handshakeTimeout: limits.HELLO_TIMEOUT_MS,
      // Masks protect old proxies from browsers. Between our own processes a mask of zeros does, and costs nothing.
      generateMask: (mask) => mask.fill(0),
    });
  } catch {
    return null;
  }
  let socket: Socket | null = null;
  webSocket.on('upgrade', (response) => {
    socket = response.socket;
  });
  webSocket.on('open', () => {
    if (socket !== null) opened(webSocket, socket);
  });
  // 'close' follows every error.
  webSocket.on('error', () => {});
  return webSocket;
}

export class Dialler {
  readonly address: Address;
  readonly #prng: Prng;
  readonly #opened: (webSocket: WebSocket, socket: Socket) => void;
  #webSocket: WebSocket | null = null;
  #timer: NodeJS.Timeout | null = null;
  #delayMs = limits.RECONNECT_MS_MIN;
  #stopped = false;

  constructor(options: {
    readonly address: Address;
    readonly prng: Prng;
    /** In the turn in which the socket opened. Its end is seen here too, and leads to the next try. */
    readonly opened: (webSocket: WebSocket, socket: Socket) => void;
  }) {
    this.address = options.address;
    this.#prng = options.prng;
    this.#opened = options.opened;
  }

  start(): void {
    if (!this.#stopped && this.#timer === null && this.#webSocket === null) this.#connect();
  }

  /** The other side welcomed us: the next loss is followed at once. */
  succeeded(): void {
    this.#delayMs = limits.RECONNECT_MS_MIN;
  }

  /** The other side is there, but trying again soon is no use. */
  slowDown(): void {
    this.#delayMs = limits.RECONNECT_MS_MAX;
  }

  /** No further try. A connection that is open stays with its owner; one that is not yet is ended. */
  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#webSocket?.readyState === WebSocket.CONNECTING) this.#webSocket.terminate();
  }

  #connect(): void {
    this.#timer = null;
    const webSocket = openSocket(this.address, RAFT_PATH, this.#opened);
    if (webSocket === null) {
      // Somebody's typing error, and no reason to fall over.
      this.slowDown();
      this.#again();
      return;
    }
    this.#webSocket = webSocket;
    webSocket.on('close', () => {
      this.#webSocket = null;
      this.#again();
    });
  }

  #again(): void {
    if (this.#stopped) return;
    const waitMs = this.#delayMs * (0.5 + this.#prng.next() / 2);
    this.#delayMs = Math.min(this.#delayMs * 2, limits.RECONNECT_MS_MAX);
    this.#timer = setTimeout(() => this.#connect(), waitMs).unref();
  }
}

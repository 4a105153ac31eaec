/**
 * Somebody on the network who means no good: bytes of his own on connections to a node's one port.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export class Intruder {
  readonly #host: string;
  readonly #port: number;
  readonly #sockets: Socket[] = [];

  constructor(address: string) {
    const [host = '', port] = address.split(':');
    this.#host = host;
    this.#port = Number(port);
  }

  /** A connection on which nothing is said until the caller says it. */
  async connect(): Promise<Socket> {
    const socket = connect(this.#port, this.#host);
    // Being cut off is what an intruder must expect.
    socket.on('error', () => {});
    this.#sockets.push(socket);
    await once(socket, 'connect');
    return socket;
  }

  /** A connection that is a WebSocket at /raft; what the node says on it is thrown away. */
  async upgrade(): Promise<Socket> {
    const socket = await this.connect();
    const key = randomBytes(16).toString('base64');
    const lines = ['GET /raft HTTP/1.1', `Host: ${this.#host}`, 'Connection: Upgrade', 'Upgrade: websocket'];
    socket.write([...lines, 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`, '', ''].join('\r\n'));
    await once(socket, 'data');
    socket.resume();
    return socket;
  }

  leave(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Resolves when the node has ended the connection. */
export async function cutOff(socket: Socket): Promise<void> {
  if (!socket.closed) await once(socket, 'close');
}

export const BINARY = 2;
export const TEXT = 1;

/** One WebSocket frame of a client; `claimed` is the length that its header tells (RFC 6455 §5.2). */
export function frame(
  payload: Uint8Array,
  options: { readonly opcode?: number; readonly claimed?: number } = {},
): Buffer {
  const { opcode = BINARY, claimed = payload.length } = options;
  const header = Buffer.alloc(14);
  header[0] = 0x80 | opcode;
  header[1] = 0x80 | 127;
  header.writeBigUInt64BE(BigInt(claimed), 2);
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([header, payload]);
}

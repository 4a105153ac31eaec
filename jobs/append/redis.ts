/**
 * Redis, as much of it as one list needs: RPUSH over RESP2, one command at a time.
 *
 * Invariant: a command is answered before the next is sent, so that an answer can only be that of the last command.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { REDIS_REPLY_MS } from '../../src/base/limits.ts';

const PORT_DEFAULT = 6379;
const LINE_END = '\r\n';

export interface RedisList {
  append(line: string): Promise<void>;
  close(): Promise<void>;
}

/** `redis://HOST:PORT/DB?list=KEY` */
export async function connectRedis(address: string): Promise<RedisList> {
  const url = new URL(address);
  const list = url.searchParams.get('list');
  if (url.protocol !== 'redis:' || list === null || list === '') {
    throw new Error(`the sink ${address} is not redis://HOST:PORT/DB?list=KEY`);
  }
  // A URL writes an IPv6 address in brackets, a socket takes it bare.
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const connection = await Connection.open(host, Number(url.port || PORT_DEFAULT));
  const database = url.pathname.slice(1);
  if (database !== '') await connection.command('SELECT', database);
  return {
    append: async (line) => {
      await connection.command('RPUSH', list, line);
    },
    close: async () => connection.close(),
  };
}

class Connection {
  readonly #socket: Socket;
  #received = '';
  #waiting: { readonly resolve: (reply: string) => void; readonly reject: (error: Error) => void } | null = null;
  #broken: Error | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8').setNoDelay(true).setTimeout(REDIS_REPLY_MS);
    socket.on('data', (text: string) => this.#receive(text));
    socket.on('error', (error) => this.#break(error));
    socket.on('close', () => this.#break(new Error('Redis closed the connection')));
    socket.on('timeout', () => {
      if (this.#waiting !== null) this.#break(new Error(`Redis did not answer within ${REDIS_REPLY_MS} ms`));
    });
  }

  static async open(host: string, port: number): Promise<Connection> {
    const socket = connect({ host, port });
    const giveUp = AbortSignal.timeout(REDIS_REPLY_MS);
    try {
      await once(socket, 'connect', { signal: giveUp });
    } catch (thrown) {
      socket.destroy();
      throw new Error(`Redis at ${host}:${port} cannot be reached`, { cause: thrown });
    }
    return new Connection(socket);
  }

  /** The reply without its type. @throws Error with the text of an error reply. */
  command(...words: readonly string[]): Promise<string> {
    const lengths = words.map((word) => `$${Buffer.byteLength(word)}${LINE_END}${word}${LINE_END}`);
    return new Promise((resolve, reject) => {
      if (this.#broken !== null) {
        reject(this.#broken);
        return;
      }
      this.#waiting = { resolve, reject };
      this.#socket.write(`*${words.length}${LINE_END}${lengths.join('')}`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Every reply to our commands is one line: a status, an integer or an error. */
  #receive(text: string): void {
    this.#received += text;
    const end = this.#received.indexOf(LINE_END);
    if (end === -1) return;
    const reply = this.#received.slice(0, end);
    this.#received = this.#received.slice(end + LINE_END.length);
    const waiting = this.#waiting;
    this.#waiting = null;
    if (reply.startsWith('+') || reply.startsWith(':')) waiting?.resolve(reply.slice(1));
    else waiting?.reject(new Error(`Redis: ${reply.startsWith('-') ? reply.slice(1) : `unexpected reply ${reply}`}`));
  }

  #break(error: Error): void {
    this.#broken ??= error;
    this.#waiting?.reject(this.#broken);
    this.#waiting = null;
    this.#socket.destroy();
  }
}

/**
 * Connection: one WebSocket to one other node, from the first hello to its end.
 *
 * Both sides say hello at once; whoever accepts the other's hello answers with a welcome. The connection is open when
 * hello and welcome are in and our own welcome is out, so that a side that is about to be refused never believes that
 * it was let in. Frames are binary; a bad one ends this connection and nothing else.
 *
 * Invariants: no message is handed up before the connection is open or after it ended · `ended` comes exactly once.
 */
import type { Socket } from 'node:net';
import type { RawData, WebSocket } from 'ws';
import { errorText, PolarisError } from '../base/errors.ts';
import * as limits from '../base/limits.ts';
import type { Address, NodeId } from '../base/types.ts';
import { decodeFrame, encodeHello, encodeRefusal, encodeWelcome, type Frame } from './codec.ts';
import type { Hello, Refusal, WireMessage } from './messages.ts';
import type { Channel } from './network.ts';
import { badFrame } from './shapes.ts';

export type Direction = 'dialled' | 'accepted';

/** What the other side's hello leads to: a welcome, a refusal, or a silent end. */
export type Judgement = { readonly kind: 'welcome' | 'drop' } | { readonly kind: 'refuse'; readonly refusal: Refusal };

export interface ConnectionEvents {
  judge(connection: Connection, hello: Hello): Judgement;
  opened(connection: Connection, hello: Hello): void;
  message(from: NodeId, message: WireMessage): void;
  refused(connection: Connection, refusal: Refusal): void;
  /** A frame that was none: worth a line in the log. */
  garbled(connection: Connection, error: PolarisError): void;
  ended(connection: Connection): void;
}

const NORMAL_CLOSE = 1000;
const POLICY_CLOSE = 1008;

export class Connection {
  readonly direction: Direction;
  readonly channel: Channel;
  /** The dialled address; of an accepted connection, where it came from, and after its hello where the node listens. */
  address: Address;
  /** The other side's hello, once it is there and accepted. */
  hello: Hello | null = null;
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  readonly #self: NodeId;
  #state: 'greeting' | 'open' | 'closing' | 'ended' = 'greeting';
  #welcomed = false;
  #refusing = false;
  #unanswered = 0;
  #corked = false;
  readonly #helloTimer: NodeJS.Timeout;
  readonly #pingTimer: NodeJS.Timeout;

  constructor(options: {
    readonly direction: Direction;
    readonly channel: Channel;
    readonly address: Address;
    /** Open already. */
    readonly webSocket: WebSocket;
    readonly socket: Socket;
    readonly hello: Hello;
    readonly events: ConnectionEvents;
  }) {
    this.direction = options.direction;
    this.channel = options.channel;
    this.address = options.address;
    this.#webSocket = options.webSocket;
    this.#socket = options.socket;
    this.#events = options.events;
    this.#self = options.hello.nodeId;
    this.#socket.setNoDelay(true);
    this.#helloTimer = setTimeout(() => this.terminate(), limits.HELLO_TIMEOUT_MS).unref();
    this.#pingTimer = setInterval(() => this.#ping(), limits.PING_INTERVAL_MS).unref();
    this.#webSocket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    this.#webSocket.on('pong', () => {
      this.#unanswered = 0;
    });
    this.#webSocket.on('close', () => this.#end());
    // 'close' follows every error, with nothing left to do but that.
    this.#webSocket.on('error', (error) => this.#fail(error));
    this.write(encodeHello(options.hello));
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  get queuedBytes(): number {
    return this.#webSocket.bufferedAmount;
  }

  /** What is written in one turn leaves as one piece. */
  write(frame: Uint8Array): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#webSocket.send(frame, { binary: true, compress: false });
  }

  refuse(refusal: Refusal): void {
    this.#refusing = true;
    this.write(encodeRefusal(refusal));
    this.close(POLICY_CLOSE);
  }

  /** Lets what is queued leave, then ends; hears nothing any more. */
  close(code = NORMAL_CLOSE): void {
    if (this.#state === 'ended' || this.#state === 'closing') return;
    this.#state = 'closing';
    this.#webSocket.close(code);
    setTimeout(() => this.terminate(), limits.CLOSE_GRACE_MS).unref();
  }

  terminate(): void {
    this.#webSocket.terminate();
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#state === 'closing') this.#receiveLast(data);
    if (this.#state !== 'greeting' && this.#state !== 'open') return;
    this.#unanswered = 0;
    let frame: Frame;
    try {
      if (!isBinary || !(data instanceof Uint8Array)) throw badFrame('a text');
      frame = decodeFrame(data, this.#state === 'open' ? this.#ends() : null);
      if (this.#state === 'open' && frame.kind !== 'message' && frame.kind !== 'refusal') {
        throw badFrame(`a second ${frame.kind}`);
      }
    } catch (thrown) {
      if (!(thrown instanceof PolarisError)) throw thrown;
      this.#events.garbled(this, thrown);
      this.refuse({ code: thrown.code, detail: thrown.detail });
      return;
    }
    if (frame.kind === 'message') this.#events.message(this.#ends().from, frame.message);
    else this.#greet(frame);
  }

  /** Two sides may refuse each other at once, and each should learn that it was. Nothing else is heard any more. */
  #receiveLast(data: RawData): void {
    if (!this.#refusing || !(data instanceof Uint8Array)) return;
    try {
      const frame = decodeFrame(data, null);
      if (frame.kind !== 'refusal') return;
      this.#refusing = false;
      this.#events.refused(this, frame.refusal);
    } catch (thrown) {
      if (!(thrown instanceof PolarisError)) throw thrown;
    }
  }

  #greet(frame: Exclude<Frame, { kind: 'message' }>): void {
    if (frame.kind === 'refusal') {
      this.close();
      this.#events.refused(this, frame.refusal);
      return;
    }
    if (frame.kind === 'welcome') this.#welcomed = true;
    else if (this.hello === null) this.#judge(frame.hello);
    if (this.#welcomed && this.hello !== null && this.#state === 'greeting') {
      this.#state = 'open';
      clearTimeout(this.#helloTimer);
      this.#events.opened(this, this.hello);
    }
  }

  #judge(hello: Hello): void {
    if (this.direction === 'accepted') this.address = hello.address;
    const judgement = this.#events.judge(this, hello);
    if (judgement.kind === 'refuse') this.refuse(judgement.refusal);
    else if (judgement.kind === 'drop') this.close();
    else {
      this.hello = hello;
      this.write(encodeWelcome());
    }
  }

  #ends(): { from: NodeId; to: NodeId } {
    return { from: this.hello?.nodeId ?? '', to: this.#self };
  }

  #ping(): void {
    if (this.#unanswered >= 2) {
      this.terminate();
      return;
    }
    this.#unanswered += 1;
    if (this.#webSocket.readyState === this.#webSocket.OPEN) this.#webSocket.ping();
  }

  /** A frame over the limit or against the WebSocket protocol is as bad as one that cannot be decoded. */
  #fail(error: Error): void {
    if ('code' in error && String(error.code).startsWith('WS_ERR_')) {
      this.#events.garbled(this, badFrame(errorText(error), error));
    }
  }

  #end(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    clearTimeout(this.#helloTimer);
    clearInterval(this.#pingTimer);
    this.#events.ended(this);
  }
}

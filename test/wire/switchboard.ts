/** A node of these tests: a real server on an ephemeral port, real peers, and a record of all that they tell. */
import { EventEmitter, once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from '../../src/base/log.ts';
import { createPrng } from '../../src/base/prng.ts';
import type { Hello, Refusal, WireMessage } from '../../src/wire/messages.ts';
import { createPeers, type Peers } from '../../src/wire/peers.ts';

export interface Told {
  readonly what: 'connected' | 'disconnected' | 'message' | 'refused' | 'log';
  /** Node, address or event. */
  readonly who: string;
  readonly message?: WireMessage;
  readonly refusal?: Refusal;
}

export class TestNode {
  readonly told: Told[] = [];
  readonly #emitter = new EventEmitter();
  #taken = 0;
  readonly peers: Peers;
  readonly server: Server;
  readonly hello: Hello;

  private constructor(server: Server, peers: Peers, hello: Hello, tell: EventEmitter) {
    this.server = server;
    this.peers = peers;
    this.hello = hello;
    tell.on('told', (told: Told) => {
      this.told.push(told);
      this.#emitter.emit('told');
    });
  }

  static async start(
    nodeId: string,
    options: { admit?: (hello: Hello) => Refusal | null; hello?: Partial<Hello>; port?: number } = {},
  ): Promise<TestNode> {
    const server = createServer();
    server.listen(options.port ?? 0, '127.0.0.1');
    await once(server, 'listening');
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const tell = new EventEmitter();
    const say = (told: Told): void => void tell.emit('told', told);
    const line = (_fields: object, event: string): void => say({ what: 'log', who: event });
    const log: Logger = { debug: line, info: line, warn: line, error: line };
    const hello: Hello = {
      protocol: 1,
      protocolMin: 1,
      clusterId: null,
      nodeId,
      instanceId: `instance of ${nodeId}`,
      role: 'voter',
      address,
      joining: false,
      sessionTtlMs: 5_000,
      empty: true,
      members: [],
      ...options.hello,
    };
    const peers = createPeers({ log, prng: createPrng(1), address });
    const node = new TestNode(server, peers, hello, tell);
    peers.attach(server);
    peers.start({
      hello: () => hello,
      admit: options.admit ?? (() => null),
      connected: (peer) => say({ what: 'connected', who: peer.nodeId }),
      disconnected: (who) => say({ what: 'disconnected', who }),
      message: (who, message) => say({ what: 'message', who, message }),
      refused: (who, refusal) => say({ what: 'refused', who, refusal }),
    });
    return node;
  }

  get address(): string {
    return this.hello.address;
  }

  /** The next thing told, after those taken before, that fits. */
  async next(what: Told['what'], who?: string): Promise<Told> {
    for (;;) {
      while (this.#taken < this.told.length) {
        const told = this.told[this.#taken];
        this.#taken += 1;
        if (told?.what === what && (who === undefined || told.who === who)) return told;
      }
      await once(this.#emitter, 'told');
    }
  }

  count(what: Told['what'], who?: string): number {
    return this.told.filter((told) => told.what === what && (who === undefined || told.who === who)).length;
  }

  async stop(): Promise<void> {
    await this.peers.close();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

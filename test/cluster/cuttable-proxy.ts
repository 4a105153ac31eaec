/**
 * A TCP proxy on loopback that can be cut: what goes through it is broken, and whoever comes is turned away.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export class CuttableProxy {
  /** HOST:PORT of this proxy. */
  readonly address: string;
  /** HOST:PORT behind it; to be set before anybody comes. */
  target = '';
  /** Connections turned away since the last cut. */
  refused = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #open = true;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.address = `127.0.0.1:${port}`;
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async open(): Promise<CuttableProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    return new CuttableProxy(server, typeof address === 'object' && address !== null ? address.port : 0);
  }

  cut(): void {
    this.#open = false;
    this.refused = 0;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  restore(): void {
    this.#open = true;
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(near: Socket): void {
    if (!this.#open) {
      this.refused++;
      near.resetAndDestroy();
      return;
    }
    const [host, port] = this.target.split(':');
    const far = connect(Number(port), host);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      socket.pipe(other);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}

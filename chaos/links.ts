/**
 * Links: a TCP proxy in front of each node, through which all others reach it, so that any direction between any two nodes
 * can be cut, slowed or made lossy.
 *
 * A listener is never closed: whoever dials a node behind a cut gets a connection and no word, as behind a dead line. What
 * was swallowed is gone, so a connection that lost bytes is broken off when its link heals. Who dials is found out from
 * the table of sockets of this machine; where there is none, such a connection counts as nobody's, and only cuts of everything
 * that goes to a node touch it.
 */
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** How one direction of a link is, decided for each piece of bytes. */
export type Passage =
  | { readonly kind: 'pass'; readonly afterMs: number }
  | { readonly kind: 'drop' }
  | { readonly kind: 'break' };

/** `null` stands for somebody who is no node. Asked for each piece, so it may change at any moment. */
export type PassageRule = (from: string | null, to: string | null) => Passage;

const OPEN: PassageRule = () => ({ kind: 'pass', afterMs: 0 });
const LOOPBACK_HEX = '0100007F';

export class Links {
  readonly #gates = new Map<string, { readonly server: Server; readonly port: number; target: string }>();
  readonly #lines = new Set<Line>();
  readonly #pidOf: (id: string) => number | null;
  #rules: readonly PassageRule[] = [];

  private constructor(pidOf: (id: string) => number | null) {
    this.#pidOf = pidOf;
  }

  /** One proxy for each node, on a free loopback port. */
  static async open(ids: readonly string[], pidOf: (id: string) => number | null): Promise<Links> {
    const links = new Links(pidOf);
    for (const id of ids) {
      const server = createServer({ allowHalfOpen: false });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      links.#gates.set(id, { server, port, target: '' });
      server.on('connection', (near) => links.#accept(id, near));
    }
    return links;
  }

  /** HOST:PORT to advertise for a node. */
  address(id: string): string {
    return `127.0.0.1:${this.#gates.get(id)?.port ?? 0}`;
  }

  /** Where the node really listens; before anybody comes. */
  lead(id: string, target: string): void {
    const gate = this.#gates.get(id);
    if (gate !== undefined) gate.target = target;
  }

  /** Holds beside all that hold already, until the function that is returned is called; the worst of them decides. */
  impose(rule: PassageRule): () => void {
    this.#rules = [...this.#rules, rule];
    return () => {
      this.#rules = this.#rules.filter((one) => one !== rule);
      for (const line of this.#lines) line.healed();
    };
  }

  async close(): Promise<void> {
    for (const line of this.#lines) line.end();
    for (const { server } of this.#gates.values()) {
      server.close();
      await once(server, 'close');
    }
  }

  #accept(to: string, near: Socket): void {
    const gate = this.#gates.get(to);
    const [host, port] = (gate?.target ?? '').split(':');
    const from = this.#dialler(near);
    const far = connect(Number(port), host);
    const line = new Line(near, far, {
      toFar: () => worst(this.#rules.map((rule) => rule(from, to))),
      toNear: () => worst(this.#rules.map((rule) => rule(to, from))),
      ended: () => this.#lines.delete(line),
    });
    this.#lines.add(line);
  }

  /** The node whose process holds the other end. */
  #dialler(near: Socket): string | null {
    const inode = inodeOf(near.remotePort ?? 0, near.localPort ?? 0);
    if (inode === null) return null;
    for (const id of this.#gates.keys()) {
      const pid = this.#pidOf(id);
      if (pid !== null && holds(pid, inode)) return id;
    }
    return null;
  }
}

interface LineEvents {
  readonly toFar: () => Passage;
  readonly toNear: () => Passage;
  readonly ended: () => void;
}

/** One connection through a proxy: two sockets, and what is on its way between them. */
class Line {
  readonly #sockets: readonly [Socket, Socket];
  readonly #ended: () => void;
  #lossy = false;

  constructor(near: Socket, far: Socket, events: LineEvents) {
    this.#sockets = [near, far];
    this.#ended = events.ended;
    this.#carry(near, far, events.toFar);
    this.#carry(far, near, events.toNear);
  }

  /** Bytes that were swallowed are missed now at the latest. */
  healed(): void {
    if (this.#lossy) this.end();
  }

  end(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#ended();
  }

  #carry(source: Socket, target: Socket, passage: () => Passage): void {
    // Pieces keep their order: one that may go at once waits for the slow one before it.
    let freeAt = 0;
    source.setNoDelay(true);
    source.on('error', () => {});
    source.on('data', (bytes: Buffer) => {
      const how = passage();
      if (how.kind === 'break') this.end();
      else if (how.kind === 'drop') this.#lossy = true;
      else if (how.kind === 'pass' && !this.#lossy) {
        const now = performance.now();
        freeAt = Math.max(freeAt, now + how.afterMs);
        if (freeAt <= now) this.#send(source, target, bytes);
        else setTimeout(() => this.#send(source, target, bytes), freeAt - now);
      }
    });
    source.on('close', () => {
      // The end of a connection is a message too, and a cut swallows it.
      if (this.#lossy || passage().kind === 'drop') this.#lossy = true;
      else setTimeout(() => this.end(), Math.max(0, freeAt - performance.now()));
    });
  }

  #send(source: Socket, target: Socket, bytes: Buffer): void {
    if (target.destroyed || target.write(bytes)) return;
    source.pause();
    target.once('drain', () => source.resume());
  }
}

function worst(passages: readonly Passage[]): Passage {
  const broken = passages.find((passage) => passage.kind === 'break') ?? passages.find((one) => one.kind === 'drop');
  if (broken !== undefined) return broken;
  const delays = passages.map((passage) => (passage.kind === 'pass' ? passage.afterMs : 0));
  return delays.length === 0 ? OPEN(null, null) : { kind: 'pass', afterMs: Math.max(...delays) };
}

/** Inode of the socket from one loopback port to another; null where the system does not tell. */
function inodeOf(localPort: number, remotePort: number): string | null {
  const end = (port: number): string => `${LOOPBACK_HEX}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  try {
    const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n');
    const row = rows.find((one) => one.includes(` ${end(localPort)} ${end(remotePort)} `));
    return row?.trim().split(/\s+/)[9] ?? null;
  } catch {
    return null;
  }
}

function holds(pid: number, inode: string): boolean {
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).some((name) => linkOf(`${folder}/${name}`) === `socket:[${inode}]`);
  } catch {
    return false;
  }
}

function linkOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

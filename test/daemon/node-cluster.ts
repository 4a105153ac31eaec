/**
 * A cluster of real nodes on one hand-driven clock: connections are made at once, messages arrive in the next turn, and
 * nothing is lost unless the test cuts a node off.
 */
import { must } from '../../src/base/assert.ts';
import type { NodeConfig } from '../../src/daemon/env.ts';
import { Node } from '../../src/daemon/node.ts';
import { MemoryDisk } from '../../src/store/memory.ts';
import { type HandEnv, HandExecutor, HandTime, handEnv, peersOf } from './fakes.ts';

export interface Life {
  readonly node: Node;
  readonly hand: HandEnv;
  readonly executor: HandExecutor;
  /** Nothing comes in and nothing goes out. */
  isCut: boolean;
  /** Writes that wait until the test makes them durable; null: each is durable in the next turn. */
  heldWrites: (() => void)[] | null;
}

export class NodeCluster {
  readonly time = new HandTime();
  readonly lives = new Map<string, Life>();
  readonly #disks = new Map<string, MemoryDisk>();
  readonly #voters: readonly string[];
  #seed = 0;

  constructor(...voters: readonly string[]) {
    this.#voters = voters;
  }

  disk(id: string): MemoryDisk {
    const disk = this.#disks.get(id) ?? new MemoryDisk();
    this.#disks.set(id, disk);
    return disk;
  }

  life(id: string): Life {
    return must(this.lives.get(id), 'the node lives');
  }

  /** Starts a node and connects it with all that know it or that it knows. */
  start(id: string, changes: Partial<NodeConfig> = {}, executor = new HandExecutor()): Life {
    const schedule = (run: () => void) => {
      if (life.heldWrites === null) this.time.soon(run);
      else life.heldWrites.push(run);
    };
    const hand = handEnv({ seed: ++this.#seed, time: this.time, disk: this.disk(id), executor, schedule });
    const isVoter = this.#voters.includes(id);
    const config: NodeConfig = {
      id,
      address: `there:${id}`,
      role: isVoter ? 'voter' : 'worker',
      peers: isVoter ? peersOf(...this.#voters) : [],
      join: isVoter ? [] : peersOf(...this.#voters).map((peer) => peer.address),
      slots: isVoter ? 0 : 1,
      sessionTtlMs: 4_000,
      ...changes,
    };
    const life: Life = {
      node: new Node(hand.env, config, hand.contents),
      hand,
      executor,
      isCut: false,
      heldWrites: null,
    };
    this.lives.set(id, life);
    hand.network.carry = (to, message) => {
      this.time.soon(() => {
        const other = this.lives.get(to);
        if (other === undefined || other.isCut || life.isCut || this.lives.get(id) !== life) return;
        must(other.hand.network.handler, 'it listens').message(id, message);
      });
    };
    life.node.start();
    for (const other of this.lives.keys()) if (other !== id) this.#connect(id, other);
    return life;
  }

  /** The process dies; its disk stays. */
  kill(id: string): void {
    this.disk(id).crash();
    this.lives.delete(id);
    for (const other of this.lives.values()) other.hand.network.handler?.disconnected(id);
  }

  /** An empty disk takes the place of the old one. */
  wipe(id: string): void {
    this.#disks.delete(id);
  }

  /** Lets time go by until something is so; asks every 10 ms, for a minute at most. */
  until(isSo: () => boolean, what: string): void {
    for (let step = 0; step < 6_000; step++) {
      if (isSo()) return;
      this.time.pass(10);
    }
    throw new Error(`it never came to this: ${what}`);
  }

  /** The one that leads, once there is one. */
  awaitLeader(): Life {
    const leader = () => [...this.lives.values()].find((life) => !life.isCut && life.node.leads());
    this.until(() => leader() !== undefined, 'somebody leads');
    return must(leader(), 'somebody leads');
  }

  /** One that does not lead. */
  follower(): Life {
    const leader = this.awaitLeader();
    return must(
      [...this.lives.values()].find((life) => life !== leader && life.node.replica !== null),
      'there are several voters',
    );
  }

  #connect(one: string, two: string): void {
    const [here, there] = [this.life(one), this.life(two)].map((life) => must(life.hand.network.handler, 'it listens'));
    if (here === undefined || there === undefined) return;
    const [hello, welcome] = [here.hello(), there.hello()];
    const [refusedHere, refusedThere] = [there.admit(hello), here.admit(welcome)];
    if (refusedHere !== null) here.refused(welcome.address, refusedHere);
    if (refusedThere !== null) there.refused(hello.address, refusedThere);
    if (refusedHere !== null || refusedThere !== null) return;
    here.connected(welcome);
    there.connected(hello);
  }
}

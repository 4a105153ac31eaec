/**
 * Faults: the adversary. It kills, pauses, cuts, slows and breaks, each kind at its own rate, and always lets go again in
 * time: a fault has a duration, and `stop` ends them all.
 */
import { must } from '../../src/base/assert.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { NodeId } from '../../src/base/types.ts';
import { Churn } from './churn.ts';
import { DiskFaults } from './disk-faults.ts';
import type { FaultRates, SeedPlan } from './plan.ts';
import { FAIR_LINK } from './weather.ts';
import type { SimNode, World } from './world.ts';

/** Longer than any session, so that leases are lost, and shorter than the patience of a client. */
const DOWN_MS_MAX = 8_000;
const PAUSE_MS_MAX = 14_000;
const PARTITION_MS_MAX = 12_000;
const WALL_JUMP_MS_MAX = 200_000;
/** Below the silence after which a connection is given up: a clogged one stays. */
const CLOG_MS_MAX = 3_900;

export class Faults {
  readonly #world: World;
  readonly #plan: SeedPlan;
  readonly #prng: Prng;
  readonly #disks: DiskFaults;
  readonly #churn: Churn;
  #on = false;

  constructor(world: World, plan: SeedPlan) {
    this.#world = world;
    this.#plan = plan;
    this.#prng = world.prng.fork();
    const tools = {
      world,
      duration: (msMax: number) => this.#duration(msMax),
      bootAfter: (id: NodeId, delayMs: number) => this.#bootAfter(id, delayMs),
    };
    this.#disks = new DiskFaults({ ...tools, prng: this.#prng.fork() });
    this.#churn = new Churn({ ...tools, prng: this.#prng.fork() });
  }

  start(): void {
    this.#on = true;
    // To the end: most tasks give something up when their jobs come to theirs.
    this.#world.diesAfterKeeping = Number.isFinite(this.#plan.faults.hostCrash);
    for (const kind of Object.keys(this.#plan.faults) as (keyof FaultRates)[]) this.#arm(kind);
  }

  /** Everything is let go: the network heals, sleepers wake, the dead are started. */
  stop(): void {
    this.#on = false;
    const { weather, network, nodes, trace, now } = this.#world;
    trace.line(now, '*', 'all faults end');
    weather.heal();
    weather.options = FAIR_LINK;
    network.silenced();
    for (const [id, sim] of nodes) {
      sim.disk.mend();
      this.#world.resume(id);
      this.#world.boot(id);
    }
  }

  #arm(kind: keyof FaultRates): void {
    const mean = this.#plan.faults[kind];
    if (mean === Number.POSITIVE_INFINITY) return;
    const delay = -Math.log(1 - this.#prng.next()) * mean;
    this.#world.scheduler.after(delay, () => {
      if (!this.#on) return;
      if (this.#fire(kind)) this.#world.trace.count(`fault ${kind}`);
      this.#arm(kind);
    });
  }

  /** False when there was nothing to do it to. */
  #fire(kind: keyof FaultRates): boolean {
    switch (kind) {
      case 'crash':
        return this.#crash(this.#victim());
      case 'crashLeader':
        return this.#crash(this.#leader());
      case 'crashWriting':
        return this.#crashWriting(this.#victim());
      case 'powerCut':
        return this.#powerCut();
      case 'drain':
        return this.#drain(this.#victim());
      case 'pause':
        return this.#pause(this.#prng.chance(0.4) ? (this.#leader() ?? this.#victim()) : this.#victim());
      case 'partition':
        return this.#partition();
      case 'cut':
        return this.#cut();
      case 'diskFailure':
      case 'diskFull':
      case 'diskSlow':
      case 'diskStall':
      case 'damage':
      case 'diskLoss':
        return this.#disks.fire(kind, this.#prng.chance(0.3) ? (this.#leader() ?? this.#victim()) : this.#victim());
      case 'join':
      case 'remove':
      case 'removeLeader':
      case 'replace':
      case 'transfer':
        return this.#churn.fire(kind);
      case 'clog':
        return this.#clog();
      case 'hostCrash':
        return this.#victim()?.executor?.crashHost() ?? false;
      case 'wallJump': {
        const hosts = [...this.#world.hosts];
        const host = must(hosts[this.#prng.integer(0, hosts.length)], 'a host');
        host.wallOffsetMs += this.#prng.integer(-WALL_JUMP_MS_MAX, WALL_JUMP_MS_MAX);
        return true;
      }
    }
  }

  /** A life, most of the time a short one, sometimes nearly as long as a session. */
  #duration(msMax: number): number {
    return this.#prng.chance(0.5) ? 1 + this.#prng.next() * 500 : this.#prng.next() * msMax;
  }

  #victim(): SimNode | null {
    const living = [...this.#world.nodes.values()].filter((sim) => sim.process !== null);
    return living[this.#prng.integer(0, Math.max(1, living.length))] ?? null;
  }

  #leader(): SimNode | null {
    return [...this.#world.nodes.values()].find((sim) => sim.node?.leads() === true) ?? null;
  }

  #crash(sim: SimNode | null): boolean {
    if (sim === null) return false;
    const { id } = sim.plan.config;
    this.#world.crash(id);
    this.#bootAfter(id, this.#duration(DOWN_MS_MAX));
    return true;
  }

  /** Its next write, or its next vote, is under way when it dies. */
  #crashWriting(sim: SimNode | null): boolean {
    if (sim === null) return false;
    const { process, disk } = sim;
    const { scheduler } = this.#world;
    const waitsForVote = this.#prng.chance(0.5);
    disk.watch((batch) => {
      const isVote = batch.hardState?.vote !== undefined && batch.hardState.vote !== disk.log.hardState?.vote;
      if (waitsForVote && !isVote) return;
      disk.watch(null);
      scheduler.after(0, () => {
        if (this.#on && sim.process === process) this.#crash(sim);
      });
    });
    return true;
  }

  #bootAfter(id: NodeId, delayMs: number): void {
    this.#world.scheduler.after(delayMs, () => this.#world.boot(id));
  }

  #powerCut(): boolean {
    for (const id of this.#world.nodes.keys()) {
      this.#world.crash(id);
      this.#bootAfter(id, this.#duration(DOWN_MS_MAX / 4));
    }
    const { atlas, raft } = this.#world;
    this.#world.check(() => raft.checkDurability((id) => atlas.isCondemned(id)));
    return true;
  }

  #drain(sim: SimNode | null): boolean {
    if (sim === null || sim.process?.paused !== false) return false;
    const { id } = sim.plan.config;
    const downMs = this.#duration(DOWN_MS_MAX);
    // A process that is paused meanwhile ends when it runs again, which may be after all faults.
    this.#world.drain(id, () => this.#bootAfter(id, downMs));
    return true;
  }

  #pause(sim: SimNode | null): boolean {
    if (sim === null || sim.process === null || sim.process.paused) return false;
    const { id } = sim.plan.config;
    this.#world.pause(id);
    this.#world.scheduler.after(this.#duration(PAUSE_MS_MAX), () => this.#world.resume(id));
    return true;
  }

  /** A uniform split, one node alone, or one direction of one node's links. */
  #partition(): boolean {
    const { weather, network, nodes, scheduler, trace, now } = this.#world;
    const ids = [...nodes.keys()];
    if (ids.length === 1) return false;
    const kind = (['split', 'isolate', 'one-way'] as const)[this.#prng.integer(0, 3)];
    const alone = ids[this.#prng.integer(0, ids.length)];
    const side = new Set(ids.filter((id) => (kind === 'split' ? this.#prng.chance(0.5) : id === alone)));
    const inward = this.#prng.chance(0.5);
    // A firewall may reset what it cuts off, so that both sides know at once; most just swallow.
    const resets = this.#prng.chance(0.4);
    for (const one of side) {
      for (const other of ids) {
        if (side.has(other)) continue;
        if (kind !== 'one-way' || inward) weather.block(other, one);
        if (kind !== 'one-way' || !inward) weather.block(one, other);
        if (resets) network.cut(one, other);
      }
    }
    trace.line(now, '*', `partition ${kind}: ${[...side].join(' ')}`);
    trace.count(`partition ${kind}`);
    network.silenced();
    scheduler.after(this.#duration(PARTITION_MS_MAX), () => {
      weather.heal();
      network.silenced();
    });
    return true;
  }

  #cut(): boolean {
    const ids = [...this.#world.nodes.keys()];
    if (ids.length === 1) return false;
    const one = must(ids[this.#prng.integer(0, ids.length)], 'a node');
    const other = must(ids[this.#prng.integer(0, ids.length)], 'a node');
    if (one === other) return false;
    this.#world.network.cut(one, other);
    return true;
  }

  /** One link in one direction, or all that leads to one node: nothing comes for a while, and then everything. */
  #clog(): boolean {
    const { nodes, weather, now } = this.#world;
    const ids = [...nodes.keys()];
    if (ids.length === 1) return false;
    const target = must(ids[this.#prng.integer(0, ids.length)], 'a node');
    const others = ids.filter((id) => id !== target);
    const one = must(others[this.#prng.integer(0, others.length)], 'another node');
    const until = now + this.#duration(CLOG_MS_MAX);
    for (const source of this.#prng.chance(0.5) ? others : [one]) weather.clog(source, target, until);
    return true;
  }
}

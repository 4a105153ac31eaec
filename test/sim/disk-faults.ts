/**
 * Disk faults: disks that fail, fill up, crawl, hang, and disks that are spoilt for good.
 *
 * The first kinds pass: the node ends itself or steps down, and comes back with all it had. The others do not: the node
 * must refuse to start (LOG_DAMAGED), or be refused by all others (an empty disk under its old name), and stays lost. The
 * atlas says how many of those a cluster can bear.
 */
import { must } from '../../src/base/assert.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { NodeId } from '../../src/base/types.ts';
import { DAMAGES } from './damage.ts';
import type { SimNode, World } from './world.ts';

export type DiskFaultKind = 'diskFailure' | 'diskFull' | 'diskSlow' | 'diskStall' | 'damage' | 'diskLoss';

/** As long as a node is down otherwise. */
const DOWN_MS_MAX = 8_000;
/** Longer than the two seconds after which a leader gives up on its own disk. */
const STALL_MS_MAX = 9_000;
const SLOW_TIMES_MIN = 10;
const SLOW_TIMES_MAX = 100;

export interface DiskFaultsOptions {
  readonly world: World;
  readonly prng: Prng;
  /** A time up to the given one, often a short one. */
  readonly duration: (msMax: number) => number;
  readonly bootAfter: (id: NodeId, delayMs: number) => void;
}

export class DiskFaults {
  readonly #options: DiskFaultsOptions;

  constructor(options: DiskFaultsOptions) {
    this.#options = options;
  }

  /** False when there was nothing to do it to. */
  fire(kind: DiskFaultKind, sim: SimNode | null): boolean {
    if (sim === null) return false;
    const { prng, duration, world } = this.#options;
    switch (kind) {
      case 'diskFailure':
        sim.disk.failNextWrite();
        // Its write fails, it ends itself, and someone starts it again.
        this.#bootTwice(sim);
        return true;
      case 'diskFull':
        return this.#fill(sim);
      case 'diskSlow':
        sim.disk.slow(prng.integer(SLOW_TIMES_MIN, SLOW_TIMES_MAX + 1));
        world.scheduler.after(duration(DOWN_MS_MAX), () => sim.disk.slow(1));
        return true;
      case 'diskStall':
        sim.disk.stall(duration(STALL_MS_MAX));
        return true;
      case 'damage':
        return this.#damage(sim);
      case 'diskLoss':
        return this.#lose(sim);
    }
  }

  #bootTwice(sim: SimNode): void {
    const { id } = sim.plan.config;
    const delay = this.#options.duration(DOWN_MS_MAX);
    this.#options.bootAfter(id, delay);
    this.#options.bootAfter(id, delay + DOWN_MS_MAX);
  }

  /** Whoever writes ends himself, and cannot start again before someone has made room. */
  #fill(sim: SimNode): boolean {
    if (sim.disk.full) return false;
    sim.disk.fill();
    this.#bootTwice(sim);
    this.#options.world.scheduler.after(this.#options.duration(DOWN_MS_MAX), () => sim.disk.free());
    return true;
  }

  #damage(sim: SimNode): boolean {
    const { world, prng, duration, bootAfter } = this.#options;
    const { id } = sim.plan.config;
    const kind = must(DAMAGES[prng.integer(0, DAMAGES.length)], 'a kind of damage');
    if (!world.atlas.condemn(id)) return false;
    // A running node may live on for long with a spoilt disk below it; a tail is only cut while nobody writes.
    const dies = kind === 'cut-tail' || prng.chance(0.6);
    if (dies && kind !== 'misdirected') world.crash(id);
    if (!sim.disk.damage(kind)) return false;
    world.trace.line(world.now, id, `damage: ${kind}`);
    world.trace.count(`damage ${kind}`);
    if (dies && kind === 'misdirected') world.scheduler.after(duration(DOWN_MS_MAX), () => world.crash(id));
    if (dies) bootAfter(id, DOWN_MS_MAX + duration(DOWN_MS_MAX));
    return true;
  }

  #lose(sim: SimNode): boolean {
    const { world, duration, bootAfter } = this.#options;
    const { id } = sim.plan.config;
    if (!world.atlas.condemn(id)) return false;
    world.crash(id);
    world.wipe(id);
    bootAfter(id, duration(DOWN_MS_MAX));
    return true;
  }
}

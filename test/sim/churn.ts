/**
 * Churn: the operator who grows and shrinks the cluster while everything else goes wrong. Nodes join as learners and are
 * promoted, are removed while they live, lead, or lie dead, and are replaced when their disks are gone.
 *
 * It asks as `polaris cluster …` does: whoever leads, once, and is content with a refusal. What it must not do is what no
 * operator may: take so many good disks away that the lost ones are a majority (atlas.ts).
 */
import { must } from '../../src/base/assert.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { NodeId } from '../../src/base/types.ts';
import type { MemberRequest } from '../../src/daemon/api.ts';
import type { NodeConfig } from '../../src/daemon/env.ts';
import { drawHost } from './plan.ts';
import type { SimNode, World } from './world.ts';

export type ChurnKind = 'join' | 'remove' | 'removeLeader' | 'replace' | 'transfer';

/** Beyond those that the seed began with: each costs as much as all its messages. */
const JOINERS_MAX = 4;
const MEMBERS_MAX = 6;
const DOWN_MS_MAX = 6_000;
const PROMOTES_CHANCE = 0.8;

export interface ChurnOptions {
  readonly world: World;
  readonly prng: Prng;
  readonly duration: (msMax: number) => number;
  readonly bootAfter: (id: NodeId, delayMs: number) => void;
}

export class Churn {
  readonly #options: ChurnOptions;
  #joinerCount = 0;

  constructor(options: ChurnOptions) {
    this.#options = options;
  }

  /** False when there was nothing to do it to. */
  fire(kind: ChurnKind): boolean {
    const { world } = this.#options;
    const { electorate } = world.auditor;
    switch (kind) {
      case 'join':
        return electorate.members.size < MEMBERS_MAX && this.#join() !== null;
      case 'remove':
        return this.#remove(this.#pick([...electorate.members.keys()]));
      case 'removeLeader':
        return this.#remove(world.leader?.id ?? null);
      case 'replace':
        return this.#replace();
      case 'transfer':
        return this.#transferOrPromote();
    }
  }

  /** A node with an empty disk turns to all members that there are, or to some of them. */
  #join(): NodeId | null {
    const { world, prng, duration, bootAfter } = this.#options;
    if (this.#joinerCount >= JOINERS_MAX) return null;
    this.#joinerCount += 1;
    const founder = must([...world.nodes.values()][0], 'a founder').plan;
    const number = world.nodes.size + 1;
    const id = `n${number}`;
    const oneHost = [...world.hosts].length === 1;
    const host = oneHost ? founder.host : `host${number}`;
    if (!oneHost) world.addHost(drawHost(prng, host));
    const config: NodeConfig = {
      ...founder.config,
      ...{ id, address: `${host}:${7_000 + number}`, peers: [], role: 'voter', slots: prng.integer(1, 4) },
      join: [...world.auditor.electorate.members.values()].map(({ address }) => address),
      promote: prng.chance(PROMOTES_CHANCE),
    };
    world.addNode({ config, host });
    bootAfter(id, 0);
    // In the middle of it, as the lot falls, it dies and comes back.
    if (prng.chance(0.5)) {
      world.scheduler.after(prng.next() * 1_500, () => {
        if (world.node(id).process === null) return;
        world.trace.count(`churn: a joiner dies as ${this.#standing(world.node(id))}`);
        world.crash(id);
        bootAfter(id, duration(DOWN_MS_MAX));
      });
    }
    return id;
  }

  #standing({ plan, node }: SimNode): string {
    const { id } = plan.config;
    const { electorate } = this.#options.world.auditor;
    if (electorate.voters.has(id)) return 'a voter';
    if (electorate.members.has(id)) return node?.replica === null ? 'a learner that was not told' : 'a learner';
    return 'a stranger';
  }

  /** Alive, leading or dead: the atlas says whether the others can do without it. */
  #remove(id: NodeId | null): boolean {
    const { world, prng, duration, bootAfter } = this.#options;
    if (id === null || !world.atlas.release(id)) return false;
    const isDown = prng.chance(0.3);
    // It is removed while it is down, and started again by somebody who does not know.
    if (isDown) {
      world.crash(id);
      bootAfter(id, DOWN_MS_MAX / 2 + duration(DOWN_MS_MAX));
    }
    this.#ask({ kind: 'remove', id }, (code) => {
      world.trace.count(`churn: remove ${code}`);
      if (code === 'ok') world.trace.count(`churn: removed ${isDown ? 'while it is down' : 'alive'}`);
      if (CERTAINLY_NOT.has(code)) world.atlas.keep(id);
    });
    return true;
  }

  /** A new id for a node whose disk is gone; the newcomer first, or the removal, as operators do. */
  #replace(): boolean {
    const { world, prng } = this.#options;
    const { electorate } = world.auditor;
    const lost = [...electorate.voters].filter((id) => world.atlas.isCondemned(id));
    const id = this.#pick(lost);
    if (id === null) return false;
    const newcomer = this.#join();
    world.scheduler.after(prng.next() * 3_000, () => {
      if (!electorate.members.has(id)) return;
      this.#ask({ kind: 'remove', id }, (code) => {
        world.trace.count(`churn: remove the lost ${code}`);
        if (code === 'ok' && newcomer !== null) world.trace.count('churn: replaced');
      });
    });
    return true;
  }

  #transferOrPromote(): boolean {
    const { world, prng } = this.#options;
    const { voters, members } = world.auditor.electorate;
    const learner = this.#pick([...members.keys()].filter((id) => !voters.has(id)));
    if (learner !== null && prng.chance(0.3)) {
      this.#ask({ kind: 'promote', id: learner }, (code) => world.trace.count(`churn: promote ${code}`));
      return true;
    }
    const to = this.#pick([...voters]);
    if (to === null) return false;
    this.#ask({ kind: 'transfer', to }, (code) => world.trace.count(`churn: transfer ${code}`));
    return true;
  }

  #pick(ids: readonly NodeId[]): NodeId | null {
    return ids[this.#options.prng.integer(0, Math.max(1, ids.length))] ?? null;
  }

  /** 'ok', or the code of the error; nothing when the answer is lost with the one who was asked. */
  #ask(request: MemberRequest, done: (code: string) => void): void {
    const { world } = this.#options;
    const leader = world.leader;
    if (leader === null) return done('NO_LEADER');
    const { process } = world.node(leader.id);
    world.trace.note(world.now, leader.id, () => `asked to ${JSON.stringify(request)}`);
    must(process, 'a leader lives').turn('input', () => {
      leader.changeMembers(request, (result) => {
        world.scheduler.after(0, () => world.check(() => done(result.ok ? 'ok' : result.error.code)));
      });
    });
  }
}

const CERTAINLY_NOT: ReadonlySet<string> = new Set(['NO_LEADER', 'BAD_MEMBERSHIP', 'MEMBERSHIP_BUSY', 'OVERLOADED']);

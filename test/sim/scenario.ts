/**
 * Scenario: a small cluster in fair weather, for tests that bring their own trouble.
 */
import { v4 as uuidv4 } from 'uuid';
import { must } from '../../src/base/assert.ts';
import { COMMIT_EVERY_DEFAULT, SESSION_TTL_MS_MIN } from '../../src/base/limits.ts';
import { runnerId } from '../../src/base/runner-id.ts';
import type { JobId, NodeId, Point } from '../../src/base/types.ts';
import type { NodeConfig } from '../../src/daemon/env.ts';
import { decodeCommand, encodeCommand } from '../../src/ranges/codec.ts';
import { fillOptions } from '../../src/ranges/options.ts';
import type { JobSpec, TableEvent } from '../../src/ranges/types.ts';
import type { LeaseRecord } from './auditor.ts';
import { Client } from './clients.ts';
import type { Damage } from './damage.ts';
import { FAIR_DISK } from './disk.ts';
import { drawStray } from './plan.ts';
import { RemoteWorker } from './remote-worker.ts';
import { FAIR_LINK } from './weather.ts';
import { type ModelBugs, World } from './world.ts';

export interface ScenarioOptions {
  readonly seed: number;
  readonly voterCount?: number;
  readonly voterSlots?: number;
  /** Slots of each worker-role node. */
  readonly workerSlots?: readonly number[];
  readonly oneHost?: boolean;
  readonly sessionTtlMs?: number;
  readonly bugs?: ModelBugs;
  /** Smaller numbers than the real ones, so that a short run meets them. */
  readonly rhythm?: Rhythm;
}

type Rhythm = Pick<
  NodeConfig,
  'snapshotEveryEntries' | 'logTailEntries' | 'snapshotChunkBytes' | 'stateHashEveryEntries'
>;

export const TTL_MS = 5_000;
/** A worker beats at the first tick after it joined. */
const INTRODUCED_MS = 200;
const PATIENCE_MS = 20_000;
/** Long enough that whoever waits for it is seen to wait. */
const STALL_MS = 10_000;

export class Scenario {
  readonly world: World;
  readonly client: Client;
  readonly events: { readonly at: number; readonly event: TableEvent }[] = [];

  constructor(options: ScenarioOptions) {
    const { seed, voterCount = 3, voterSlots = 0, workerSlots = [], oneHost = false } = options;
    const ids = [...Array(voterCount).keys()].map((at) => `n${at + 1}`);
    const workers = workerSlots.map((_, at) => `w${at + 1}`);
    const hostOf = (id: NodeId): string => (oneHost ? 'host' : `host-${id}`);
    const addressOf = (id: NodeId): string => `${hostOf(id)}:${7_000 + [...ids, ...workers].indexOf(id)}`;
    const peers = ids.map((id) => ({ id, address: addressOf(id) }));
    const config = (id: NodeId, slots: number): NodeConfig => ({
      id,
      address: addressOf(id),
      role: ids.includes(id) ? 'voter' : 'worker',
      peers: ids.includes(id) ? peers : [],
      join: ids.includes(id) ? [] : peers.map((peer) => peer.address),
      slots,
      sessionTtlMs: options.sessionTtlMs ?? TTL_MS,
      ...options.rhythm,
    });
    const hosts = [...new Set([...ids, ...workers].map(hostOf))];
    this.world = new World({
      seed,
      hosts: hosts.map((name, at) => ({ name, offsetMs: 1_000 * (at + 1), rate: 1, wallOffsetMs: 0 })),
      nodes: [
        ...ids.map((id) => ({ config: config(id, voterSlots), host: hostOf(id) })),
        ...workers.map((id, at) => ({ config: config(id, workerSlots[at] ?? 1), host: hostOf(id) })),
      ],
      link: FAIR_LINK,
      disk: FAIR_DISK,
      releaseMsMax: 5,
      ...(options.bugs === undefined ? {} : { bugs: options.bugs }),
    });
    this.client = new Client({ world: this.world, prng: this.world.prng.fork(), latencyMsMax: 1 });
    this.world.auditor.onApplied(({ at, events }) => {
      for (const event of events) this.events.push({ at, event });
    });
    for (const id of this.world.nodes.keys()) this.world.boot(id);
  }

  /** Runs until it holds; a world that breaks or never gets there is an error. */
  until(what: string, reached: () => boolean, withinMs = PATIENCE_MS): void {
    const done = this.world.runUntil(reached, this.world.now + withinMs);
    if (this.world.failure !== null) throw new Error(this.world.failure);
    if (!done) throw new Error(`not within ${withinMs} virtual ms: ${what}`);
  }

  run(ms: number): void {
    this.world.runTo(this.world.now + ms);
    if (this.world.failure !== null) throw new Error(this.world.failure);
  }

  untilLeader(): NodeId {
    this.until('a leader', () => this.world.leader !== null);
    return must(this.world.leader, 'a leader').id;
  }

  /** All nodes with slots have a session, and have said by their first beat, a tick later, that they do not rest. */
  untilJoined(): void {
    const { nodes, auditor } = this.world;
    const workers = [...nodes.values()].filter(({ plan }) => plan.config.slots > 0);
    this.until('all workers joined', () =>
      workers.every(({ plan }) => auditor.table.worker(plan.config.id) !== undefined),
    );
    this.run(INTRODUCED_MS);
  }

  untilState(job: JobId, state: string, withinMs = 120_000): void {
    this.until(`job ${job} is ${state}`, () => this.world.auditor.table.job(job)?.state === state, withinMs);
  }

  /** Submits a job and waits until it is acknowledged. With `tasksMax` so many tasks stay whole, though a slot is idle. */
  submit(job: {
    points: number;
    pointMs: number;
    taskSize?: number;
    tasksMax?: number;
    commitEvery?: number;
    poison?: Point[];
  }): JobId {
    const spec: JobSpec = {
      id: uuidv4({ random: this.world.prng.bytes(16) }),
      name: 'points',
      start: 0,
      end: job.points,
      metadata: '{}',
      options: fillOptions({
        commitEvery: job.commitEvery ?? COMMIT_EVERY_DEFAULT,
        taskSize: job.taskSize ?? null,
        maxConcurrency: job.tasksMax ?? null,
      }),
      exposure: 'window',
      overseen: false,
      input: null,
      inputName: null,
      collects: false,
    };
    this.world.models.set(spec.id, { pointMs: job.pointMs, poison: new Set(job.poison), exposure: 'window' });
    let acknowledged = false;
    this.client.submit(spec, (done) => {
      acknowledged = done;
    });
    this.until('a submit is acknowledged', () => acknowledged);
    return spec.id;
  }

  /** The live leases of a node. */
  leasesOf(id: NodeId): LeaseRecord[] {
    return [...this.world.auditor.leases.values()].filter((lease) => lease.worker === id && lease.endedAt === null);
  }

  /** The first lease granted after this one that covers some of what it left. */
  successorOf(lease: LeaseRecord): LeaseRecord | null {
    for (const other of this.world.auditor.leases.values()) {
      if (other.epoch > lease.epoch && other.job === lease.job && other.start < lease.end && lease.cursor < other.end) {
        return other;
      }
    }
    return null;
  }

  /** Cuts all links of a node, both ways. */
  isolate(id: NodeId): void {
    const { weather, network, nodes } = this.world;
    for (const other of nodes.keys()) {
      if (other === id) continue;
      weather.block(id, other);
      weather.block(other, id);
    }
    network.silenced();
  }

  heal(): void {
    this.world.weather.heal();
    this.world.network.silenced();
  }
}

/**
 * A leader that also works is cut off and paused together, and wakes while its tasks still run. Its own clock of ticks
 * says that it leads; were it to answer its worker now, the worker would run on beyond the TTL that the next leader
 * grants. Gives what broke, or null.
 */
export function cutOffLeader(seed: number): string | null {
  const scenario = new Scenario({ seed, voterSlots: 2, sessionTtlMs: SESSION_TTL_MS_MIN });
  const { world } = scenario;
  const leader = scenario.untilLeader();
  scenario.untilJoined();
  scenario.submit({ points: 10_000, pointMs: 20, taskSize: 2_000, tasksMax: 5, commitEvery: 1_000 });
  scenario.until('the leader works', () => scenario.leasesOf(leader).length > 0);
  scenario.run(1_000);
  scenario.isolate(leader);
  world.pause(leader);
  // Just before ⅔ of the TTL, counted from the last answer, which may be a tenth of the TTL old.
  world.runTo(world.now + SESSION_TTL_MS_MIN / 2);
  world.resume(leader);
  world.runTo(world.now + 2 * SESSION_TTL_MS_MIN);
  return world.failure;
}

/**
 * A worker with a wide window falls silent in the middle of a long task, paused or cut off, and another one has a slot
 * free: who works when, and under which lease? Gives what broke, or null.
 */
export function silentWorker(seed: number, how: 'paused' | 'cut off', bugs: ModelBugs = {}): string | null {
  const scenario = new Scenario({ seed, workerSlots: [1, 2], bugs });
  const { world } = scenario;
  const leader = scenario.untilLeader();
  scenario.untilJoined();
  scenario.submit({ points: 2_000, pointMs: 20, taskSize: 1_000, tasksMax: 2, commitEvery: 1_000 });
  scenario.until('w1 works', () => scenario.leasesOf('w1').length > 0);
  scenario.run(1_000);
  if (how === 'paused') {
    world.pause('w1');
  } else {
    scenario.isolate('w1');
    world.network.cut(leader, 'w1');
  }
  world.runTo(world.now + 2 * TTL_MS);
  world.resume('w1');
  scenario.heal();
  world.runTo(world.now + TTL_MS);
  return world.failure;
}

/**
 * Everything that a runner says is delivered a second time, seconds later, while it works with a wide window and another
 * runner waits for its task. Gives what broke, or null.
 */
export function echoedRunner(seed: number): string | null {
  const scenario = new Scenario({ seed });
  const { world } = scenario;
  scenario.untilLeader();
  const fair = { slots: 1, loss: 0, latencyMsMax: 5, troubleEveryMs: Number.POSITIVE_INFINITY, releaseMsMax: 5 };
  const start = (name: string, echo: number) => {
    new RemoteWorker({ world, prng: world.prng.fork(), plan: { ...fair, name, echo } }).start();
    scenario.until(`${name} has a session`, () => world.auditor.table.worker(runnerId(name)) !== undefined);
  };
  start('r1', 1);
  scenario.submit({ points: 1_000, pointMs: 20, taskSize: 1_000, tasksMax: 1, commitEvery: 1_000 });
  scenario.until('it works', () => scenario.leasesOf(runnerId('r1')).length > 0);
  start('r2', 0);
  world.runTo(world.now + PATIENCE_MS);
  return world.failure;
}

/**
 * The disk of a leader hangs for long, in the middle of a write of entries or of a snapshot of its own. Another one must
 * lead, and work must go on. Gives what broke, or null.
 */
export function stalledLeader(seed: number, during: 'entries' | 'snapshot'): string | null {
  const rhythm = during === 'snapshot' ? { snapshotEveryEntries: 20 } : {};
  const scenario = new Scenario({ seed, workerSlots: [2], rhythm });
  const { world } = scenario;
  const leader = scenario.untilLeader();
  scenario.untilJoined();
  scenario.submit({ points: 100_000, pointMs: 1, commitEvery: 100, taskSize: 1_000 });
  let stalledAt = Number.POSITIVE_INFINITY;
  const { disk } = world.node(leader);
  disk.watch((batch) => {
    if (during === 'snapshot' && !batch.snapshot) return;
    disk.watch(null);
    disk.stall(STALL_MS);
    stalledAt = world.now;
  });
  world.runUntil(() => world.now > stalledAt + STALL_MS / 2, world.now + PATIENCE_MS);
  const applied = world.auditor.table.appliedIndex;
  world.runTo(stalledAt + STALL_MS);
  if (world.failure !== null) return world.failure;
  return world.auditor.table.appliedIndex > applied ? null : 'nothing is committed while the disk of one node hangs';
}

/**
 * The disk of a follower is spoilt while it is down. It must refuse to start, and the others go on without it. Gives what
 * broke, or null.
 */
export function spoiltDisk(seed: number, kind: Damage, bugs: ModelBugs = {}): string | null {
  const scenario = new Scenario({ seed, workerSlots: [1], bugs });
  const { world } = scenario;
  const leader = scenario.untilLeader();
  scenario.untilJoined();
  scenario.submit({ points: 2_000, pointMs: 1, commitEvery: 100 });
  const follower = must(
    ['n1', 'n2', 'n3'].find((id) => id !== leader),
    'a follower',
  );
  scenario.until('the follower was formed', () => world.atlas.condemn(follower));
  scenario.run(500 + seed);
  const { disk } = world.node(follower);
  // A kill leaves the page cache and with it the mark; a power cut may not, and then there is nothing to cut below it.
  do {
    world.boot(follower);
    scenario.run(200);
    world.crash(follower);
  } while (!disk.damage(kind));
  world.boot(follower);
  if (world.failure === null && world.node(follower).process !== null) return 'a spoilt disk was not found out';
  if (world.failure === null) scenario.run(PATIENCE_MS / 2);
  return world.failure;
}

/**
 * A leader that is heard but hears nobody takes a submit, and its entry is committed by the next leader. What was the
 * client told? Gives what broke, or null.
 */
export function deafLeader(seed: number): string | null {
  const scenario = new Scenario({ seed });
  const { world } = scenario;
  const leader = scenario.untilLeader();
  scenario.run(100);
  for (const other of world.nodes.keys()) if (other !== leader) world.weather.block(other, leader);
  let answered = false;
  const { spec, model } = drawStray(world.prng);
  world.models.set(spec.id, model);
  scenario.client.submit(
    spec,
    () => {
      answered = true;
    },
    1,
  );
  world.runUntil(() => answered, world.now + PATIENCE_MS);
  scenario.heal();
  world.runTo(world.now + PATIENCE_MS / 2);
  const committed = world.auditor.table.job(spec.id) !== undefined;
  return world.failure ?? (committed ? null : 'the next leader does not have the entry: the scenario shows nothing');
}

/**
 * One follower applies one command otherwise than all others: it takes a job with other metadata. It acknowledges every
 * entry and would make a fine leader.
 */
export function divergedTable(seed: number): { readonly scenario: Scenario; readonly victim: NodeId } {
  // The nodes compare more often than the auditor does, and so they are the first to notice.
  const scenario = new Scenario({ seed, workerSlots: [2], rhythm: { stateHashEveryEntries: 20 } });
  const { world } = scenario;
  const leader = scenario.untilLeader();
  scenario.untilJoined();
  const victim = must(
    ['n1', 'n2', 'n3'].find((id) => id !== leader),
    'a follower',
  );
  const { table } = must(world.node(victim).node?.replica, 'a formed node has a replica');
  const straight = table.apply.bind(table);
  table.apply = (index, payload) => {
    const command = payload.length === 0 ? null : decodeCommand(payload);
    if (command?.kind !== 'submit-job') return straight(index, payload);
    const spec = { ...command.spec, metadata: '{"mutant":true}' };
    return straight(index, encodeCommand({ ...command, spec }));
  };
  scenario.submit({ points: 2_000, pointMs: 5, taskSize: 50 });
  world.runTo(world.now + PATIENCE_MS);
  return { scenario, victim };
}

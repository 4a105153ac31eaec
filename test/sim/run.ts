/**
 * Run: one seed from the first boot to the last check.
 *
 * First the faults, then peace: everything heals, every node is started, and within a bounded virtual time there must be
 * a leader, every job that is not paused must come to its end, and all replicas must agree. A cluster that is safe
 * because it does nothing is found out here.
 */
import { must } from '../../src/base/assert.ts';
import { SNAPSHOT_LOST_TICKS, TICK_MS } from '../../src/base/limits.ts';
import { createPrng, type Prng } from '../../src/base/prng.ts';
import type { JobId } from '../../src/base/types.ts';
import { Client } from './clients.ts';
import { Faults } from './faults.ts';
import { Librarian } from './librarian.ts';
import { Operator } from './operator.ts';
import type { Action } from './oracle.ts';
import { drawPlan, drawStray, type JobPlan, type SeedPlan } from './plan.ts';
import { RemoteWorker } from './remote-worker.ts';
import { World, type WorldOptions } from './world.ts';

/** After the last fault: sessions of the dead expire, a leader is found, back-offs run out, rests are worked. */
const LIVENESS_MS_MAX = 600_000;
/** A job that is to begin later than this after its submit is not waited for. */
const FAR_MS = 60_000;
/** How often it is looked whether everything has come to rest: the look takes longer than an event. */
const LOOK_MS = 20;
/** Clients hear their last answers. */
const REST_MS = 1_500;
/** Twice the time after which a lost snapshot is sent again. */
const CONVERGENCE_MS_MAX = 2 * SNAPSHOT_LOST_TICKS * TICK_MS;

/** Small jobs beside those of the plan. */
const STRAYS_MAX = 30;

export interface RunOptions {
  readonly trace?: (line: string) => void;
  readonly bugs?: WorldOptions['bugs'];
  /** Virtual time after the last fault within which everything is to come to rest. */
  readonly livenessMs?: number;
}

export interface RunResult {
  readonly seed: number;
  readonly ok: boolean;
  readonly failure: string | null;
  readonly traceHash: string;
  readonly virtualMs: number;
  readonly eventCount: number;
  readonly counts: ReadonlyMap<string, number>;
}

export function replayLine(seed: number): string {
  return `npm run sim -- --seed ${seed} --trace`;
}

export function runSeed(seed: number, options: RunOptions = {}): RunResult {
  const plan = drawPlan(seed);
  const world = new World({
    seed,
    hosts: plan.hosts,
    nodes: plan.nodes,
    link: plan.link,
    disk: plan.disk,
    releaseMsMax: plan.releaseMsMax,
    tearsWrites: plan.tearsWrites,
    ...(options.trace === undefined ? {} : { print: options.trace }),
    ...(options.bugs === undefined ? {} : { bugs: options.bugs }),
  });
  world.check(() => play(world, plan, options));
  return {
    seed,
    ok: world.failure === null,
    failure: world.failure === null ? null : `seed ${seed} ${world.failure}\n  replay: ${replayLine(seed)}`,
    traceHash: world.trace.hash,
    virtualMs: world.now,
    eventCount: world.scheduler.eventCount,
    counts: world.trace.counts,
  };
}

function play(world: World, plan: SeedPlan, { bugs, livenessMs = LIVENESS_MS_MAX }: RunOptions): void {
  for (const { spec, model } of plan.jobs) world.models.set(spec.id, model);
  const prng = world.prng.fork();
  for (const id of world.nodes.keys()) world.scheduler.after(prng.next() * 500, () => world.boot(id));
  const traffic = new Traffic(world, plan, prng.fork());
  traffic.start();
  const operator = new Operator({
    ...{ world, plan, prng: createPrng(plan.seed ^ 0x09e7) },
    client: new Client({ world, prng: createPrng(plan.seed ^ 0xc1e7), latencyMsMax: 2 }),
  });
  operator.start();
  const remotes = plan.remotes.map((remote, at) => {
    return new RemoteWorker({ world, prng: createPrng(plan.seed ^ (0x9e40 + at)), plan: remote });
  });
  for (const remote of remotes) remote.start();
  const librarian = librarianOf(world, plan, bugs);
  librarian?.start();
  const faults = new Faults(world, plan);
  world.scheduler.after(plan.faultsFromMs, () => faults.start());
  world.runTo(plan.faultsToMs);
  faults.stop();
  traffic.stop();
  for (const remote of remotes) remote.heal();
  world.outside.heal();
  operator.stop();
  librarian?.stop();
  settle(world, { operator, librarian, livenessMs });
}

/** With lots of its own, so that it moves nothing of what the others draw. */
function librarianOf(
  world: World,
  { seed, wishes: { library } }: SeedPlan,
  bugs: WorldOptions['bugs'],
): Librarian | null {
  if (library === null) return null;
  const readsLocally = bugs?.readsLocally === true;
  const client = new Client({ world, prng: createPrng(seed ^ 0xca11), latencyMsMax: 2, readsLocally });
  return new Librarian({ world, plan: library, prng: createPrng(seed ^ 0x11b7), client });
}

interface Rest {
  readonly operator: Operator;
  readonly librarian: Librarian | null;
  readonly livenessMs: number;
}

function settle(world: World, { operator, librarian, livenessMs }: Rest): void {
  const until = world.now + livenessMs;
  const atRest = (): boolean => world.leader !== null && !operator.isBusy && isSettled(world);
  const settled = world.runUntil(atRest, until, LOOK_MS);
  if (world.failure !== null) return;
  if (!settled)
    return world.fail(`liveness: ${complaint(world)}${operator.isBusy ? '; the operator is not done' : ''}`);
  librarian?.lookAround();
  // Clients hear the last answers; then the last commit must reach every replica.
  world.runTo(world.now + REST_MS);
  const agreed = world.runUntil(() => behind(world).length === 0, world.now + CONVERGENCE_MS_MAX);
  if (world.failure !== null) return;
  if (!agreed)
    return world.fail(`convergence: ${behind(world).join(', ')}, committed is ${world.auditor.table.appliedIndex}`);
  world.raft.checkDurability((id) => world.atlas.isCondemned(id));
  world.auditor.checkAll();
  world.oracle.checkAll();
  world.control.checkAll();
  world.copies.checkAll();
  world.outputs.checkAll();
  world.trace.count('operations in histories', world.histories.checkAll(world.auditor.pausedThemselves));
  world.trace.count('operations in histories of datasets', world.registers.checkAll());
  for (const [id, { node }] of world.nodes) {
    const replica = node?.replica ?? null;
    if (replica !== null) world.auditor.compare(id, replica);
  }
}

function isSettled(world: World): boolean {
  return unfinished(world).length === 0 && misplaced(world).length === 0 && world.control.untold.length === 0;
}

/** Replicas that have not applied everything that some node has applied. */
function behind(world: World): string[] {
  const { appliedIndex } = world.auditor.table;
  return [...world.nodes].flatMap(([id, { node }]) => {
    if (!world.auditor.electorate.members.has(id)) return [];
    const applied = node?.replica?.table.appliedIndex;
    return applied === undefined || applied === appliedIndex ? [] : [`${id} rests at index ${applied}`];
  });
}

/** Nodes that live and are not what they should have become: members, voters where they are to be, or gone. */
function misplaced(world: World): string[] {
  const { voters, members } = world.auditor.electorate;
  return [...world.nodes.values()].flatMap(({ plan, process, node }) => {
    const { id, role, promote, join } = plan.config;
    if (process === null || node === null || role !== 'voter') return [];
    const known = [...join, ...node.status().members.map(({ address }) => address)];
    // Whoever knows none of those who are left, and can still start, cannot be told anything.
    const canHear = [...members.values()].some((one) => {
      return one.id !== id && known.includes(one.address) && world.nodes.get(one.id)?.process !== null;
    });
    if (!canHear || voters.has(id)) return [];
    if (world.auditor.electorate.wasRemoved(id)) return [`${id} was removed and still runs`];
    if (!members.has(id)) return [`${id} is not taken in`];
    return promote === false ? [] : [`${id} stays a learner`];
  });
}

/** Jobs that neither are paused, or wait for one that is, nor have come to their end. */
function unfinished(world: World): JobId[] {
  const { control, auditor } = world;
  return [...auditor.table.jobs()].flatMap((job) => {
    const isOpen = job.state === 'pending' || job.state === 'running';
    return isOpen && !control.isExcused(job, FAR_MS) ? [job.spec.id] : [];
  });
}

function complaint(world: World): string {
  const leader = world.leader;
  if (leader === null) {
    const roles = [...world.nodes].map(
      ([id, { node }]) => `${id} ${node?.replica?.raft.status().role ?? 'not formed'}`,
    );
    return `no leader a long time after the last fault: ${roles.join(', ')}`;
  }
  const others = misplaced(world);
  if (others.length > 0) return others.join(', ');
  const { untold } = world.control;
  if (untold.length > 0) return `nobody is told that these jobs have ended: ${untold.join(', ')}`;
  const jobs = unfinished(world).map((id) => {
    const job = must(world.auditor.table.job(id), 'an acknowledged job');
    const tasks = job.tasks.map((task) => `${task.epoch} of ${task.worker} at ${task.cursor} of ${task.end}`);
    return `${id} is ${job.state}, ${job.coveredPoints} points covered, frontier ${job.frontier} of ${job.spec.end}, ${job.returned.length} returned, tasks: ${tasks.join('; ')}`;
  });
  return `jobs that do not end, with ${leader.id} leading: ${jobs.join(' | ')}`;
}

/** What clients do during the faults. */
class Traffic {
  readonly #world: World;
  readonly #plan: SeedPlan;
  readonly #prng: Prng;
  readonly #clients: Client[];
  #on = true;
  #strayCount = 0;

  constructor(world: World, plan: SeedPlan, prng: Prng) {
    this.#world = world;
    this.#plan = plan;
    this.#prng = prng;
    this.#clients = Array.from(
      { length: plan.clientCount },
      () => new Client({ world, prng: prng.fork(), latencyMsMax: 2 }),
    );
  }

  start(): void {
    for (const job of this.#plan.jobs) {
      this.#world.scheduler.after(job.submitAt, () => this.#client().submit(job.spec));
    }
    for (const client of this.#clients) this.#next(client);
  }

  stop(): void {
    this.#on = false;
    for (const { spec } of this.#plan.jobs) {
      if (this.#prng.chance(0.8)) this.#client().control(spec.id, 'resume');
      if (this.#prng.chance(0.3)) this.#client().control(spec.id, 'retry');
    }
  }

  #client(): Client {
    return must(this.#clients[this.#prng.integer(0, this.#clients.length)], 'a client');
  }

  #next(client: Client): void {
    const delay = -Math.log(1 - this.#prng.next()) * this.#plan.requestEveryMs;
    this.#world.scheduler.after(delay, () => {
      if (!this.#on) return;
      const job = must(this.#plan.jobs[this.#prng.integer(0, this.#plan.jobs.length)], 'a job');
      this.#request(client, job);
      this.#next(client);
    });
  }

  #stray(client: Client): void {
    if (this.#strayCount >= STRAYS_MAX) return;
    this.#strayCount += 1;
    const { spec, model } = drawStray(this.#prng);
    this.#world.models.set(spec.id, model);
    client.submit(spec, () => {}, 1);
  }

  #request(client: Client, { spec, submitAt }: JobPlan): void {
    const lot = this.#prng.next();
    if (lot < 0.6) return client.read(spec.id);
    if (lot < 0.75) {
      if (this.#world.now >= submitAt) client.submit(spec, () => {}, 1);
      return;
    }
    if (lot < 0.85) return this.#stray(client);
    client.control(spec.id, steering(lot));
  }
}

function steering(lot: number): Exclude<Action, 'set'> {
  if (lot < 0.9) return 'pause';
  if (lot < 0.95) return 'resume';
  return lot < 0.98 ? 'retry' : 'cancel';
}

/**
 * Plan: what one seed is made of. Every seed draws its own cluster, its own weather and its own mix of faults; some know
 * no fault of a kind at all, for a bug may hide behind the retries that another fault causes (swarm testing).
 */
import { v4 as uuidv4 } from 'uuid';
import { TOLERATE_DEFAULT } from '../../src/base/limits.ts';
import { createPrng, type Prng } from '../../src/base/prng.ts';
import type { Address, NodeId, Point } from '../../src/base/types.ts';
import type { NodeConfig } from '../../src/daemon/env.ts';
import { fillOptions } from '../../src/ranges/options.ts';
import type { JobSpec } from '../../src/ranges/types.ts';
import type { JobModel } from './attempt.ts';
import type { ChurnKind } from './churn.ts';
import { type DiskSpeed, FAIR_DISK } from './disk.ts';
import type { RemotePlan } from './remote-worker.ts';
import { FAIR_LINK, type LinkOptions } from './weather.ts';
import { drawLibrary, drawWishes, NO_WISHES, type WishPlan } from './wishes.ts';
import type { HostPlan, NodePlan } from './world.ts';

/** Mean virtual milliseconds between two faults of a kind; infinite when the seed has none of it. */
export interface FaultRates {
  readonly crash: number;
  readonly crashLeader: number;
  readonly powerCut: number;
  readonly drain: number;
  readonly pause: number;
  readonly partition: number;
  readonly cut: number;
  readonly diskFailure: number;
  readonly hostCrash: number;
  readonly wallJump: number;
  readonly crashWriting: number;
  readonly clog: number;
  readonly diskFull: number;
  readonly diskSlow: number;
  readonly diskStall: number;
  readonly damage: number;
  readonly diskLoss: number;
  readonly join: number;
  readonly remove: number;
  readonly removeLeader: number;
  readonly replace: number;
  readonly transfer: number;
}

export interface JobPlan {
  readonly spec: JobSpec;
  readonly model: JobModel;
  readonly submitAt: number;
}

export interface SeedPlan {
  readonly seed: number;
  readonly hosts: readonly HostPlan[];
  readonly nodes: readonly NodePlan[];
  readonly link: LinkOptions;
  readonly disk: DiskSpeed;
  readonly releaseMsMax: number;
  readonly faults: FaultRates;
  /** Whether power cuts may tear a write so that it shows, and cost the node its disk. */
  readonly tearsWrites: boolean;
  readonly faultsFromMs: number;
  readonly faultsToMs: number;
  readonly jobs: readonly JobPlan[];
  readonly clientCount: number;
  /** Mean virtual milliseconds between two requests of a client. */
  readonly requestEveryMs: number;
  readonly wishes: WishPlan;
  /** Workers that are no nodes. */
  readonly remotes: readonly RemotePlan[];
}

/** Log-uniform: many short lives find more than few long ones, and some bugs need a long one. */
const FAULTS_TO_MS_MIN = 5_000;
const FAULTS_TO_MS_MAX = 40_000;
/** Windows of one job: each costs a round trip and a score of events. */
const WINDOWS_MAX = 200;
const COMMIT_EVERY_MAX = 20_000;
const STEERED_BADLY_CHANCE = 0.05;
const CHURN_CHANCE = 0.25;
const DATA_CHANCE = 0.5;
/** Outputs of one window, or of one pipeline's whole job: more than a report takes, and each costs a transfer. */
const PIECES_MAX = 100;
const SESSION_TTLS_MS = [4_000, 5_000, 5_000, 8_000];

function pick<T>(prng: Prng, list: readonly [T, ...T[]] | readonly T[]): T {
  return list[prng.integer(0, list.length)] as T;
}

/** Log-uniform: small values as likely as large ones. */
function spread(prng: Prng, low: number, high: number): number {
  return low * (high / low) ** prng.next();
}

export function drawPlan(seed: number): SeedPlan {
  const prng = createPrng(seed ^ 0x5eed);
  const { hosts, nodes } = drawCluster(prng);
  const calm = prng.chance(0.1);
  const faultsToMs = spread(prng, FAULTS_TO_MS_MIN, FAULTS_TO_MS_MAX);
  const plan: SeedPlan = {
    seed,
    hosts,
    nodes,
    link: drawLink(prng, calm),
    disk: drawDisk(prng, calm),
    releaseMsMax: prng.chance(0.5) ? 5 : 500,
    faults: { ...drawFaults(prng, calm), ...drawChurn(createPrng(seed ^ 0xc0de)) },
    faultsFromMs: prng.chance(0.3) ? 0 : spread(prng, 500, 4_000),
    faultsToMs,
    jobs: drawJobs(prng, faultsToMs),
    clientCount: prng.integer(1, 4),
    requestEveryMs: spread(prng, 200, 3_000),
    tearsWrites: !calm && prng.chance(0.5),
    wishes: NO_WISHES,
    remotes: drawRemotes(createPrng(seed ^ 0x4e40), calm),
  };
  return drawMasters(drawData(drawLibrary(drawWishes(drawTransfers(plan)))));
}

/** Runners, in every third seed. With lots of their own, like all that came later. */
function drawRemotes(prng: Prng, calm: boolean): RemotePlan[] {
  if (!prng.chance(0.35)) return [];
  return Array.from({ length: prng.integer(1, 4) }, (_, at) => ({
    name: `r${at + 1}`,
    slots: prng.integer(1, 4),
    loss: calm || prng.chance(0.3) ? 0 : prng.next() * 0.3,
    echo: calm || prng.chance(0.3) ? 0 : prng.next() * 0.2,
    latencyMsMax: spread(prng, 0.5, 50),
    troubleEveryMs: calm || prng.chance(0.2) ? Number.POSITIVE_INFINITY : spread(prng, 2_000, 15_000),
    releaseMsMax: prng.chance(0.5) ? 5 : 500,
  }));
}

/** What jobs emit, and pipelines. With lots of its own. */
function drawData(plan: SeedPlan): SeedPlan {
  const prng = createPrng(plan.seed ^ 0xda7a);
  if (!prng.chance(DATA_CHANCE)) return plan;
  return { ...plan, jobs: plan.jobs.map((job) => (prng.chance(0.6) ? withData(prng, job) : job)) };
}

function withData(prng: Prng, { spec, model, submitAt }: JobPlan): JobPlan {
  const { start, end, options } = spec;
  const isPipeline = model.exposure === 'task' && options.delivery === 'at-least-once';
  // A program is told at its end only; whatever it emits comes at once.
  const shortest = Math.max(1, Math.ceil((isPipeline ? end - start : options.commitEvery) / PIECES_MAX));
  const data = {
    blockPoints: Math.max(shortest, Math.floor(spread(prng, 1, 2 * options.commitEvery))),
    // The last few points only: each of them fails for good by itself.
    oddFrom: prng.chance(0.2) ? Math.max(start + 1, end - prng.integer(1, 4)) : Number.POSITIVE_INFINITY,
    stageCount: isPipeline ? prng.integer(1, 5) : 0,
    stageMs: spread(prng, 20, 1_500),
  };
  if (model.exposure === 'task' && !isPipeline) return { spec, model, submitAt };
  return { spec, model: { ...model, data }, submitAt };
}

/** Masters that take in what points emit. With lots of its own. */
function drawMasters(plan: SeedPlan): SeedPlan {
  const prng = createPrng(plan.seed ^ 0xf01d);
  return { ...plan, jobs: plan.jobs.map((job) => (prng.chance(0.5) ? collected(prng, job) : job)) };
}

function collected(prng: Prng, job: JobPlan): JobPlan {
  const { spec, model } = job;
  if (model.data === undefined || model.exposure === 'task') return job;
  return { ...job, spec: { ...spec, name: prng.chance(0.5) ? 'roll' : 'heap', collects: true } };
}

/** Snapshots and hashes of the table. With lots of its own, so that the rest of a seed is what it would be without. */
function drawTransfers(plan: SeedPlan): SeedPlan {
  const prng = createPrng(plan.seed ^ 0xb01c);
  const often = prng.chance(0.6)
    ? { snapshotEveryEntries: Math.floor(spread(prng, 10, 60)), logTailEntries: prng.integer(0, 5) }
    : {};
  const rhythm = {
    ...often,
    snapshotChunkBytes: Math.floor(spread(prng, 20, 1_000)),
    stateHashEveryEntries: Math.floor(spread(prng, 10, 300)),
  };
  return {
    ...plan,
    nodes: plan.nodes.map(({ config, host }) => ({ config: { ...config, ...rhythm }, host })),
    // A table here has some kilobytes: its transfer takes from a moment to many seconds.
    link: { ...plan.link, bulkMsPerKib: spread(prng, 20, 2_000) },
  };
}

function drawCluster(prng: Prng): { hosts: HostPlan[]; nodes: NodePlan[] } {
  const voterCount = pick(prng, [1, 3, 3, 3, 3, 3, 3, 3, 3, 5] as const);
  const workerCount = pick(prng, [0, 0, 1, 1, 2, 3] as const);
  const oneHost = prng.chance(0.4);
  const sessionTtlMs = pick(prng, SESSION_TTLS_MS);
  const snapshots = prng.chance(0.7)
    ? {
        snapshotEveryEntries: Math.floor(spread(prng, 20, 400)),
        logTailEntries: prng.integer(0, 50),
      }
    : {};
  const hosts: HostPlan[] = [];
  const hostName = (number: number): string => (oneHost ? 'host1' : `host${number}`);
  const addressOf = (number: number): Address => `${hostName(number)}:${7_000 + number}`;
  const total = voterCount + workerCount;
  for (let number = 1; number <= (oneHost ? 1 : total); number++) {
    hosts.push(drawHost(prng, `host${number}`));
  }
  const ids: NodeId[] = Array.from({ length: total }, (_, at) => (at < voterCount ? `n${at + 1}` : `w${at + 1}`));
  const peers = ids.slice(0, voterCount).map((id, at) => ({ id, address: addressOf(at + 1) }));
  const votersWork = workerCount === 0 || prng.chance(0.7);
  const nodes = ids.map((id, at): NodePlan => {
    const voter = at < voterCount;
    const slots = voter && !votersWork ? 0 : prng.integer(1, 4);
    const config: NodeConfig = {
      id,
      address: addressOf(at + 1),
      role: voter ? 'voter' : 'worker',
      peers: voter ? peers : [],
      join: voter ? [] : peers.map((peer) => peer.address),
      slots,
      sessionTtlMs,
      ...snapshots,
    };
    return { config, host: hostName(at + 1) };
  });
  return { hosts, nodes };
}

export function drawHost(prng: Prng, name: string): HostPlan {
  return {
    name,
    offsetMs: prng.integer(1, 1_000_000),
    rate: drawRate(prng),
    wallOffsetMs: prng.integer(-100_000, 100_000),
  };
}

/** Crystals differ by some 500 ppm at worst; a virtual machine that is starved or badly steered by far more. */
function drawRate(prng: Prng): number {
  const deviation = prng.chance(STEERED_BADLY_CHANCE) ? 0.05 : 0.000_5;
  return 1 + (2 * prng.next() - 1) * deviation;
}

function drawLink(prng: Prng, calm: boolean): LinkOptions {
  if (calm || prng.chance(0.2)) return FAIR_LINK;
  const latencyMsMin = spread(prng, 0.1, 5);
  return {
    latencyMsMin,
    latencyMsMax: latencyMsMin * spread(prng, 1.5, 10),
    loss: prng.chance(0.5) ? prng.next() * 0.1 : 0,
    duplicate: prng.chance(0.5) ? prng.next() * 0.2 : 0,
    spike: prng.chance(0.5) ? prng.next() * 0.05 : 0,
    spikeMsMax: spread(prng, 20, 1_500),
    bulkMsPerKib: FAIR_LINK.bulkMsPerKib,
  };
}

function drawDisk(prng: Prng, calm: boolean): DiskSpeed {
  if (calm || prng.chance(0.3)) return FAIR_DISK;
  const writeMsMin = spread(prng, 0.1, 5);
  return {
    writeMsMin,
    writeMsMax: writeMsMin * spread(prng, 1.5, 10),
    stall: prng.chance(0.5) ? prng.next() * 0.02 : 0,
    stallMsMax: spread(prng, 50, 1_500),
  };
}

type ChurnRates = Pick<FaultRates, ChurnKind>;

/** Most operators leave their cluster alone; some never do. A seed without churn is what it was before there was any. */
function drawChurn(prng: Prng): ChurnRates {
  const isQuiet = !prng.chance(CHURN_CHANCE);
  const mean = (chance: number, low: number, high: number): number =>
    !isQuiet && prng.chance(chance) ? spread(prng, low, high) : Number.POSITIVE_INFINITY;
  return {
    join: mean(0.8, 1_000, 10_000),
    remove: mean(0.6, 2_000, 12_000),
    removeLeader: mean(0.4, 3_000, 15_000),
    replace: mean(0.7, 1_000, 6_000),
    transfer: mean(0.5, 500, 8_000),
  };
}

function drawFaults(prng: Prng, calm: boolean): Omit<FaultRates, ChurnKind> {
  const mean = (chance: number, low: number, high: number): number =>
    !calm && prng.chance(chance) ? spread(prng, low, high) : Number.POSITIVE_INFINITY;
  return {
    crash: mean(0.6, 2_000, 15_000),
    crashLeader: mean(0.4, 2_000, 15_000),
    powerCut: mean(0.25, 5_000, 30_000),
    drain: mean(0.3, 4_000, 20_000),
    pause: mean(0.5, 1_000, 8_000),
    partition: mean(0.5, 1_500, 8_000),
    cut: mean(0.4, 500, 10_000),
    diskFailure: mean(0.3, 4_000, 20_000),
    hostCrash: mean(0.3, 1_500, 15_000),
    wallJump: mean(0.2, 2_000, 15_000),
    crashWriting: mean(0.4, 2_000, 15_000),
    clog: mean(0.4, 300, 6_000),
    diskFull: mean(0.2, 4_000, 30_000),
    diskSlow: mean(0.25, 3_000, 20_000),
    diskStall: mean(0.25, 3_000, 15_000),
    damage: mean(0.35, 2_000, 10_000),
    diskLoss: mean(0.15, 4_000, 20_000),
  };
}

function drawJobs(prng: Prng, faultsToMs: number): JobPlan[] {
  const count = prng.integer(1, 6);
  return Array.from({ length: count }, () => drawJob(prng, prng.chance(0.5) ? 0 : prng.next() * faultsToMs * 0.8));
}

/** A job that keeps one slot busy for two seconds to a minute. */
function drawJob(prng: Prng, submitAt: number): JobPlan {
  const exposure = prng.chance(0.25) ? 'task' : 'window';
  const pointMs = 2 ** prng.integer(-2, 7);
  // A window that lasts for seconds shows who works on when he should not.
  const windowMs = prng.chance(0.5) ? spread(prng, 2_000, 20_000) : spread(prng, 20, 2_000);
  const commitEvery = Math.min(COMMIT_EVERY_MAX, Math.max(1, Math.floor(windowMs / pointMs)));
  const busyPoints = spread(prng, 2_000, 60_000) / pointMs;
  const points = Math.max(1, Math.floor(Math.min(busyPoints, commitEvery * WINDOWS_MAX)));
  const start = pick(prng, [0, 0, -1_000, 1_000_000, Number.MAX_SAFE_INTEGER - points]);
  const poison = new Set<Point>();
  if (prng.chance(0.25)) for (let one = prng.integer(1, 3); one > 0; one--) poison.add(start + prng.integer(0, points));
  const options = fillOptions({
    delivery: prng.chance(0.3) ? 'at-most-once' : 'at-least-once',
    tolerate: prng.chance(0.1) ? prng.integer(0, 3) : TOLERATE_DEFAULT,
    commitEvery,
    commitIntervalMs: Math.floor(spread(prng, 50, 1_000)),
    taskSize: prng.chance(0.6) ? Math.max(1, Math.floor(points / spread(prng, 1, 30))) : null,
    maxAttempts: prng.integer(1, 5),
  });
  const spec: JobSpec = {
    id: uuidv4({ random: prng.bytes(16) }),
    name: exposure === 'window' ? 'points' : 'program',
    start,
    end: start + points,
    metadata: '{}',
    options,
    exposure,
    overseen: exposure === 'window',
    input: null,
    inputName: null,
    collects: false,
  };
  return { spec, model: { pointMs, poison, exposure }, submitAt };
}

/** A job of a few points with an id of its own: who submits it asks once, and believes what it is told. */
export function drawStray(prng: Prng): JobPlan {
  const options = fillOptions({ commitEvery: 10, commitIntervalMs: 100 });
  const spec: JobSpec = {
    id: uuidv4({ random: prng.bytes(16) }),
    name: 'points',
    start: 0,
    end: prng.integer(1, 20),
    metadata: '{}',
    options,
    exposure: 'window',
    overseen: false,
    input: null,
    inputName: null,
    collects: false,
  };
  return { spec, model: { pointMs: 1, poison: new Set(), exposure: 'window' }, submitAt: 0 };
}

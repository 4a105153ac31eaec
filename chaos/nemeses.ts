/**
 * Nemeses: what is done to a cluster to see whether it keeps its promises.
 *
 * Each says why it cannot be had on a machine, or does its worst and then makes everything whole again, also when the run
 * ends in the middle. How many a strike may have cost a lease is counted before it begins: the promises are held against it.
 */
import { closeSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Arena } from './arena.ts';
import { faketimeLibrary } from './clocks.ts';
import { injectionRefusal, mountRefusal, tamperWithSync } from './disk-faults.ts';
import type { Passage, PassageRule } from './links.ts';
import type { NemesisName } from './row.ts';
import { chosen, lengthOf, type Span, type Strike } from './schedule.ts';

export interface Nemesis {
  /** Why not on this machine; null when it can be. */
  refusal(): string | null;
  /** Resolves when everything is whole again. `victim` is set where each worker has a stream of its own. */
  strike(arena: Arena, strike: Strike, victim: string | null): Promise<void>;
  readonly eachWorker?: boolean;
  readonly needsLinks?: boolean;
  readonly needsClocks?: boolean;
  readonly needsSmallDisk?: boolean;
}

/** Longer than a session, at any length that may be drawn; in sessions. */
const PAUSE_SESSIONS: Span = { minMs: 1.2, maxMs: 1.6 };
/** Some cuts are over before a session is, some are not; in sessions. */
const CUT_SESSIONS: Span = { minMs: 0.3, maxMs: 1.6 };
const SLOW_MS: Span = { minMs: 2_000, maxMs: 6_000 };
/** Links across an ocean. */
const LINK_DELAY_MS: Span = { minMs: 20, maxMs: 150 };
/** A lost packet comes again after the sender's patience, two to five times 200 ms. */
const LOSS = 0.03;
const RESENT_AFTER_MS = 400;
const BREAK = 0.002;
/** A quarter of the time on its feet. */
const DUTY_STOPPED_MS = 150;
const DUTY_RUNNING_MS = 50;
/** Ten times a slow disk, and below WRITE_STALLED_TICKS, so that its node stays what it is. */
const SYNC_DELAY_MICROS = 150_000;
const CLOCK_JUMP_SECONDS: Span = { minMs: -86_400, maxMs: 86_400 };
/** A node on a full disk that has nothing to write need not notice. */
const FULL_DISK_MS = 5_000;
const PAGE_BYTES = 4_096;

const always = (): null => null;

export const NEMESIS: { readonly [name in NemesisName]: Nemesis } = {
  kill: { refusal: always, strike: killWorker, eachWorker: true },
  pause: { refusal: always, strike: freeze },
  leader: { refusal: always, strike: killLeader },
  all: { refusal: always, strike: killAll },
  partition: { refusal: always, strike: cut, needsLinks: true },
  'slow-links': { refusal: always, strike: slowLinks, needsLinks: true },
  'lossy-links': { refusal: always, strike: lossyLinks, needsLinks: true },
  'full-disk': { refusal: mountRefusal, strike: fillDisk, needsSmallDisk: true },
  'slow-fsync': { refusal: injectionRefusal, strike: slowSync },
  clock: {
    refusal: () => (faketimeLibrary() === null ? 'libfaketime is not installed' : null),
    strike: jumpClock,
    needsClocks: true,
  },
  'slow-worker': { refusal: always, strike: slowWorker },
  rolling: { refusal: always, strike: restartEach },
};

/** The voter whose disk is small where a nemesis wants one. */
export function smallDiskNode(voters: readonly string[]): string {
  return voters.at(-1) ?? '';
}

/** The file with what libfaketime adds to the clock of a node. */
export function clockFile(dataDir: string): string {
  return `${dataDir}.clock`;
}

async function killOne(arena: Arena, node: string): Promise<void> {
  await arena.with([node], 0, async (id) => {
    await arena.kill(id);
    arena.start(id);
  });
}

/** The next strike is counted from the return of its victim, or on a slow machine nobody would ever work. */
async function killWorker(arena: Arena, _strike: Strike, victim: string | null): Promise<void> {
  const worker = victim ?? arena.workers[0] ?? '';
  const held = arena.heldBy(worker);
  await killOne(arena, worker);
  await arena.backAtWork(worker, held);
}

async function killLeader(arena: Arena): Promise<void> {
  const leader = await arena.leader();
  if (leader === null) return;
  await arena.with([leader], 0, async (id) => {
    arena.leaderKills++;
    await arena.kill(id);
    arena.start(id);
  });
  await arena.back(leader);
}

async function killAll(arena: Arena): Promise<void> {
  await arena.withAll(async () => {
    await Promise.all(arena.nodes.map((id) => arena.kill(id)));
    for (const id of arena.nodes) arena.start(id);
  });
  for (const id of arena.nodes) await arena.back(id);
}

/** The process alone, as a debugger does; or with its job hosts, as the suspension of a machine does. */
async function freeze(arena: Arena, { victimShare, lengthShare, formShare }: Strike): Promise<void> {
  await arena.with(arena.nodes, victimShare, async (id) => {
    arena.strikes++;
    const frozen = arena.signalAll(id, 'SIGSTOP', formShare < 0.5);
    try {
      await arena.pause(lengthOf(PAUSE_SESSIONS, lengthShare) * arena.sessionTtlMs);
    } finally {
      arena.signalPids(frozen, 'SIGCONT');
    }
  });
}

async function slowWorker(arena: Arena, { victimShare, lengthShare }: Strike): Promise<void> {
  await arena.with(arena.workers, victimShare, async (id) => {
    arena.strikes++;
    const until = performance.now() + lengthOf(SLOW_MS, lengthShare);
    while (performance.now() < until && !arena.over.aborted) {
      const stopped = arena.signalAll(id, 'SIGSTOP', true);
      await arena.pause(DUTY_STOPPED_MS);
      arena.signalPids(stopped, 'SIGCONT');
      await arena.pause(DUTY_RUNNING_MS);
    }
  });
}

/** One node from all others, or only what it says, or only what it hears. */
async function cut(arena: Arena, { victimShare, lengthShare, formShare }: Strike): Promise<void> {
  const victim = chosen(arena.nodes, victimShare);
  const dropped: Passage = { kind: 'drop' };
  const passed: Passage = { kind: 'pass', afterMs: 0 };
  const isCut = [
    (from: string | null, to: string | null) => from === victim || to === victim,
    (from: string | null) => from === victim,
    (_from: string | null, to: string | null) => to === victim,
  ][Math.floor(formShare * 3)];
  arena.strikes++;
  const rule: PassageRule = (from, to) => (isCut?.(from, to) ? dropped : passed);
  await impose(arena, rule, lengthOf(CUT_SESSIONS, lengthShare) * arena.sessionTtlMs);
}

async function slowLinks(arena: Arena, { victimShare, lengthShare }: Strike): Promise<void> {
  arena.strikes += arena.workers.length;
  const afterMs = lengthOf(LINK_DELAY_MS, victimShare);
  await impose(arena, () => ({ kind: 'pass', afterMs }), lengthOf(SLOW_MS, lengthShare));
}

async function lossyLinks(arena: Arena, { lengthShare }: Strike): Promise<void> {
  arena.strikes += arena.workers.length;
  // Which packets are lost is the one thing that no seed decides: there is no order in which they come.
  const rule: PassageRule = () => {
    const draw = Math.random();
    if (draw < BREAK) return { kind: 'break' };
    return { kind: 'pass', afterMs: draw < LOSS ? RESENT_AFTER_MS : 0 };
  };
  await impose(arena, rule, lengthOf(SLOW_MS, lengthShare));
}

async function impose(arena: Arena, rule: PassageRule, lastingMs: number): Promise<void> {
  const heal = arena.links?.impose(rule);
  try {
    await arena.pause(lastingMs);
  } finally {
    heal?.();
  }
}

/** The node ends with DISK_FAILED as soon as it must write; with room again it is started again. */
async function fillDisk(arena: Arena): Promise<void> {
  await arena.with([smallDiskNode(arena.voters)], 0, async (id) => {
    arena.strikes++;
    const ballast = join(arena.cluster.dataDir(id), 'ballast');
    try {
      fillUp(ballast);
      const until = performance.now() + FULL_DISK_MS;
      await arena.until(() => !arena.cluster.running(id) || performance.now() > until);
    } finally {
      rmSync(ballast, { force: true });
      if (!arena.cluster.running(id)) arena.start(id);
    }
  });
  await arena.back(smallDiskNode(arena.voters));
}

/** Writes zeros until there is no room for one more. */
function fillUp(path: string): void {
  const file = openSync(path, 'w');
  const zeros = Buffer.alloc(PAGE_BYTES);
  try {
    while (writeSync(file, zeros) > 0);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown;
  } finally {
    closeSync(file);
  }
}

async function slowSync(arena: Arena, { victimShare, lengthShare }: Strike): Promise<void> {
  await arena.with(arena.voters, victimShare, async (id) => {
    arena.strikes++;
    const trace = `${arena.cluster.dataDir(id)}.strace`;
    const fault = `delay_enter=${SYNC_DELAY_MICROS}`;
    const tampering = await tamperWithSync(arena.cluster.pid(id), fault, trace);
    try {
      await arena.pause(lengthOf(SLOW_MS, lengthShare));
    } finally {
      await tampering.end();
    }
  });
}

/** The clock on the wall of one voter, backwards or forwards; it stays there until it jumps again. */
async function jumpClock(arena: Arena, { victimShare, lengthShare }: Strike): Promise<void> {
  const id = chosen(arena.voters, victimShare);
  if (id === null) return;
  arena.strikes++;
  const seconds = Math.round(lengthOf(CLOCK_JUMP_SECONDS, lengthShare));
  writeFileSync(clockFile(arena.cluster.dataDir(id)), `${seconds < 0 ? '' : '+'}${seconds}s\n`);
}

/** Every node once, in order, in the way of an upgrade: it drains, ends, and is awaited before the next. */
async function restartEach(arena: Arena): Promise<void> {
  for (const node of arena.nodes) {
    await arena.with([node], 0, async (id) => {
      arena.strikes++;
      await arena.cluster.signal(id, 'SIGTERM');
      arena.start(id);
    });
    await arena.back(node);
  }
}

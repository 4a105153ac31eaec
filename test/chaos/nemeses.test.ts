/**
 * What each nemesis does to a cluster, to whom and in which order, and that it makes everything whole again.
 *
 * The arena is the real one; its nodes, its signals and its clock are not. A pause takes no time and moves the clock on.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Arena } from '../../chaos/arena.ts';
import type { LocalCluster } from '../../chaos/cluster.ts';
import type { Links, Passage, PassageRule } from '../../chaos/links.ts';
import { clockFile, NEMESIS } from '../../chaos/nemeses.ts';
import { Regrants } from '../../chaos/regrants.ts';
import type { NemesisName } from '../../chaos/row.ts';
import type { Strike } from '../../chaos/schedule.ts';

const VOTERS = ['n1', 'n2', 'n3'];
const WORKERS = ['w1', 'w2'];
const NODES = [...VOTERS, ...WORKERS];
const SESSION_MS = 5_000;
const ALMOST_1 = 0.999_999;
const DISK_PAGES = 3;

/** What was done, in order; and the rooms that are left on the small disk. */
const done = vi.hoisted(() => ({ calls: [] as string[], pagesFree: 0 }));

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const writeSync = (file: number, bytes: Uint8Array): number => {
    if (done.pagesFree === 0) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    done.pagesFree -= 1;
    return real.writeSync(file, bytes);
  };
  return { ...real, writeSync };
});

vi.mock('../../chaos/disk-faults.ts', async (original) => {
  const tamperWithSync = async (pid: number, fault: string): Promise<{ end: () => Promise<void> }> => {
    done.calls.push(`tamper with fdatasync of ${pid}: ${fault}`);
    return { end: async () => void done.calls.push('tampering ends') };
  };
  return { ...(await original<typeof import('../../chaos/disk-faults.ts')>()), tamperWithSync };
});

let dir = '';
let nowMs = 0;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'polaris-nemeses-'));
  nowMs = 0;
  done.calls = [];
  done.pagesFree = DISK_PAGES;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(dir, { recursive: true, force: true });
});

class PaperArena extends Arena {
  leads: string | null = 'n2';
  /** Looked at in each pause. */
  meanwhile: () => void = () => {};

  override async pause(delayMs: number): Promise<void> {
    done.calls.push(`pause ${Math.round(delayMs)}`);
    nowMs += delayMs;
    this.meanwhile();
  }

  override signalAll(id: string, signal: NodeJS.Signals, family: boolean): readonly number[] {
    done.calls.push(`${signal} ${id}${family ? ' and its hosts' : ''}`);
    return family ? [1, 2] : [1];
  }

  override signalPids(pids: readonly number[], signal: NodeJS.Signals): void {
    done.calls.push(`${signal} ${pids.join(' ')}`);
  }

  override async leader(): Promise<string | null> {
    return this.leads;
  }

  override async back(id: string): Promise<void> {
    done.calls.push(`${id} is back`);
  }

  override async backAtWork(worker: string, lost: readonly number[]): Promise<void> {
    done.calls.push(`${worker} works again after ${lost.join(' ')}`);
  }
}

interface Stage {
  readonly arena: PaperArena;
  readonly stopped: Set<string>;
  /** What is imposed on the links at this moment. */
  readonly rules: PassageRule[];
  readonly end: () => void;
}

function stage(): Stage {
  const stopped = new Set<string>();
  const rules: PassageRule[] = [];
  const over = new AbortController();
  const cluster = {
    running: (id: string) => !stopped.has(id),
    pid: (id: string) => 100 + NODES.indexOf(id),
    dataDir: (id: string) => join(dir, id),
    start: (id: string) => {
      done.calls.push(`start ${id}`);
      stopped.delete(id);
    },
    signal: async (id: string, signal: string) => {
      done.calls.push(`${signal} ${id}`);
      stopped.add(id);
    },
  };
  const impose = (rule: PassageRule) => {
    rules.push(rule);
    return () => void rules.splice(rules.indexOf(rule), 1);
  };
  const regrants = new Regrants();
  regrants.seen([{ start: 0, end: 9, cursor: 0, epoch: 41, worker: 'w2' }], [], 0);
  const arena = new PaperArena({
    ...{ cluster: cluster as unknown as LocalCluster, links: { impose } as unknown as Links, regrants },
    ...{ voters: VOTERS, workers: WORKERS, sessionTtlMs: SESSION_MS, over: over.signal, wrap: () => [] },
  });
  return { arena, stopped, rules, end: () => over.abort() };
}

function strike(shares: Partial<Strike> = {}): Strike {
  return { afterMs: 0, lengthShare: 0, victimShare: 0, formShare: 0, ...shares };
}

/** How every direction between two nodes, or a node and somebody else, was during the first pause. */
async function passages(name: NemesisName, shares: Partial<Strike>): Promise<Map<string, Passage>> {
  const { arena, rules } = stage();
  const seen = new Map<string, Passage>();
  arena.meanwhile = () => {
    for (const from of [...NODES, null])
      for (const to of [...NODES, null]) {
        const [rule] = rules;
        if (rule !== undefined && from !== to) seen.set(`${from} ${to}`, rule(from, to));
      }
  };
  await NEMESIS[name].strike(arena, strike(shares), null);
  expect(rules).toEqual([]);
  return seen;
}

describe('processes', () => {
  test('kill: the worker meant is killed, started, and awaited at work with a lease that it did not have', async () => {
    const { arena } = stage();
    await NEMESIS.kill.strike(arena, strike(), 'w2');
    expect(done.calls).toEqual(['SIGKILL w2', 'start w2', 'w2 works again after 41']);
    expect(arena).toMatchObject({ kills: 1, strikes: 1 });
  });

  test('leader: whoever leads is killed and started, and nobody where nobody leads', async () => {
    const { arena } = stage();
    await NEMESIS.leader.strike(arena, strike(), null);
    expect(done.calls).toEqual(['SIGKILL n2', 'start n2', 'n2 is back']);
    arena.leads = null;
    await NEMESIS.leader.strike(arena, strike(), null);
    expect(done.calls).toHaveLength(3);
  });

  test('all: every node is killed before the first is started', async () => {
    const { arena } = stage();
    await NEMESIS.all.strike(arena, strike(), null);
    const each = (what: string) => NODES.map((id) => `${what} ${id}`);
    expect(done.calls).toEqual([...each('SIGKILL'), ...each('start'), ...NODES.map((id) => `${id} is back`)]);
    expect(arena.strikes).toBe(NODES.length);
  });

  test('rolling: one after the other drains, ends, and is back before the next', async () => {
    const { arena } = stage();
    await NEMESIS.rolling.strike(arena, strike(), null);
    expect(done.calls).toEqual(NODES.flatMap((id) => [`SIGTERM ${id}`, `start ${id}`, `${id} is back`]));
  });

  test.each([
    [0, 6_000],
    [0.5, 7_000],
    [ALMOST_1, 8_000],
  ])('pause: at %f of its length a node is frozen for %i ms, longer than a session', async (lengthShare, pausedMs) => {
    const { arena } = stage();
    await NEMESIS.pause.strike(arena, strike({ lengthShare, victimShare: 0.7 }), null);
    expect(done.calls).toEqual(['SIGSTOP w1 and its hosts', `pause ${pausedMs}`, 'SIGCONT 1 2']);
    expect(pausedMs).toBeGreaterThanOrEqual(1.2 * SESSION_MS);
  });

  test('pause: in its other form the hosts of the node go on', async () => {
    await NEMESIS.pause.strike(stage().arena, strike({ formShare: 0.5 }), null);
    expect(done.calls).toEqual(['SIGSTOP n1', 'pause 6000', 'SIGCONT 1']);
  });

  test('slow-worker: a worker with its hosts runs a quarter of the time, and runs in the end', async () => {
    await NEMESIS['slow-worker'].strike(stage().arena, strike({ victimShare: 0.5 }), null);
    const turn = ['SIGSTOP w2 and its hosts', 'pause 150', 'SIGCONT 1 2', 'pause 50'];
    expect(done.calls).toEqual(Array.from({ length: 10 }, () => turn).flat());
  });

  test('slow-worker: the end of the run is the end of it', async () => {
    const { arena, end } = stage();
    arena.meanwhile = end;
    await NEMESIS['slow-worker'].strike(arena, strike({ lengthShare: ALMOST_1 }), null);
    expect(done.calls.filter((call) => call.startsWith('SIG'))).toEqual(['SIGSTOP w1 and its hosts', 'SIGCONT 1 2']);
  });
});

describe('links', () => {
  const touches = (pair: string, side: 'from' | 'to') => pair.split(' ')[side === 'from' ? 0 : 1] === 'w1';

  test.each([
    ['from all others', 0, (pair: string) => touches(pair, 'from') || touches(pair, 'to')],
    ['in what it says', 0.34, (pair: string) => touches(pair, 'from')],
    ['in what it hears', ALMOST_1, (pair: string) => touches(pair, 'to')],
  ])('partition: the node meant is cut %s, and nobody else', async (_how, formShare, isCut) => {
    const seen = await passages('partition', { victimShare: 0.7, formShare });
    expect(seen.size).toBe(NODES.length * (NODES.length + 1));
    for (const [pair, passage] of seen) {
      expect([pair, passage]).toEqual([pair, isCut(pair) ? { kind: 'drop' } : { kind: 'pass', afterMs: 0 }]);
    }
  });

  test('partition: lasts from 0.3 to 1.6 sessions', async () => {
    await passages('partition', { lengthShare: 0 });
    await passages('partition', { lengthShare: ALMOST_1 });
    expect(done.calls).toEqual(['pause 1500', 'pause 8000']);
  });

  test.each([
    [0, 20],
    [ALMOST_1, 150],
  ])('slow-links: at %f every link takes %i ms more', async (victimShare, afterMs) => {
    const seen = await passages('slow-links', { victimShare });
    for (const passage of seen.values()) expect(passage).toMatchObject({ kind: 'pass' });
    for (const passage of seen.values()) expect('afterMs' in passage && Math.round(passage.afterMs)).toBe(afterMs);
    expect(done.calls).toEqual(['pause 2000']);
  });

  test.each([
    [0.001_9, { kind: 'break' }],
    [0.002, { kind: 'pass', afterMs: 400 }],
    [0.029, { kind: 'pass', afterMs: 400 }],
    [0.03, { kind: 'pass', afterMs: 0 }],
  ])('lossy-links: a piece that draws %f: %j', async (draw, passage) => {
    vi.spyOn(Math, 'random').mockReturnValue(draw);
    const seen = await passages('lossy-links', { lengthShare: ALMOST_1 });
    for (const one of seen.values()) expect(one).toEqual(passage);
    expect(done.calls).toEqual(['pause 6000']);
  });

  test('what is done to all links is a strike for each worker', async () => {
    const { arena } = stage();
    await NEMESIS['slow-links'].strike(arena, strike(), null);
    await NEMESIS['lossy-links'].strike(arena, strike(), null);
    expect(arena.strikes).toBe(2 * WORKERS.length);
  });
});

describe('disks and clocks', () => {
  const ballast = () => join(dir, 'n3', 'ballast');

  beforeEach(() => void mkdirSync(join(dir, 'n3')));

  test('full-disk: the node with the small disk ends for want of room, and is started with room again', async () => {
    const { arena, stopped } = stage();
    let bytes = 0;
    arena.meanwhile = () => {
      bytes = readFileSync(ballast()).length;
      stopped.add('n3');
    };
    await NEMESIS['full-disk'].strike(arena, strike(), null);
    expect(bytes).toBe(DISK_PAGES * 4_096);
    expect(existsSync(ballast())).toBe(false);
    expect(done.calls).toEqual(['pause 50', 'start n3', 'n3 is back']);
  });

  test('full-disk: a node that had nothing to write goes on, with room again', async () => {
    const { arena } = stage();
    await NEMESIS['full-disk'].strike(arena, strike(), null);
    expect(nowMs).toBeGreaterThan(5_000);
    expect(existsSync(ballast())).toBe(false);
    expect(done.calls).not.toContain('start n3');
  });

  test('slow-fsync: each of a voter takes 150 ms more, until it ends', async () => {
    await NEMESIS['slow-fsync'].strike(stage().arena, strike({ victimShare: ALMOST_1 }), null);
    const begins = 'tamper with fdatasync of 102: delay_enter=150000';
    expect(done.calls).toEqual([begins, 'pause 2000', 'tampering ends']);
  });

  test.each([
    [0, '-86400s\n'],
    [0.25, '-43200s\n'],
    [0.5, '+0s\n'],
    [ALMOST_1, '+86400s\n'],
  ])('clock: at %f the clock of a voter, and of no other, jumps by %j', async (lengthShare, text) => {
    const { arena } = stage();
    await NEMESIS.clock.strike(arena, strike({ lengthShare, victimShare: ALMOST_1 }), null);
    const files = NODES.map((id) => clockFile(arena.cluster.dataDir(id))).filter((file) => existsSync(file));
    expect(files).toEqual([clockFile(join(dir, 'n3'))]);
    expect(readFileSync(files[0] ?? '', 'utf8')).toBe(text);
  });
});

test.each([
  ['pause', 'SIGCONT 1 2'],
  ['slow-fsync', 'tampering ends'],
] as const)('%s makes whole again also when it is broken off', async (name, last) => {
  const { arena } = stage();
  arena.meanwhile = () => {
    throw new Error('broken off');
  };
  await expect(NEMESIS[name].strike(arena, strike(), null)).rejects.toThrow('broken off');
  expect(done.calls.at(-1)).toBe(last);
  expect(arena.whole('n1')).toBe(true);
});

test.each(['partition', 'slow-links', 'lossy-links'] as const)('%s heals also when it is broken off', async (name) => {
  const { arena, rules } = stage();
  arena.meanwhile = () => {
    expect(rules).toHaveLength(1);
    throw new Error('broken off');
  };
  await expect(NEMESIS[name].strike(arena, strike(), null)).rejects.toThrow('broken off');
  expect(rules).toEqual([]);
});

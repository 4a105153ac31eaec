/**
 * Arena: the cluster as those see it who strike at it.
 *
 * Two faults at one node at a time would undo each other (a frozen process that is killed is not frozen), so whoever strikes
 * takes the node first and gives it back when it is whole again. Whatever befalls a node that nobody has taken, it did by
 * itself, and that is a finding.
 *
 * Invariants: signals go to processes of this cluster alone, by their ids · every wait ends when the run does · what was
 * taken is given back.
 */
import { readFileSync } from 'node:fs';
import type { ClusterStatus, LocalCluster } from './cluster.ts';
import type { Links } from './links.ts';
import type { Regrants } from './regrants.ts';
import { chosen } from './schedule.ts';

export interface ArenaOptions {
  readonly cluster: LocalCluster;
  readonly voters: readonly string[];
  readonly workers: readonly string[];
  readonly sessionTtlMs: number;
  /** Null where nothing needs them. */
  readonly links: Links | null;
  readonly regrants: Regrants;
  /** Aborts when the run is over: whoever strikes makes whole and comes to an end. */
  readonly over: AbortSignal;
  /** What goes before the program of a node. */
  readonly wrap: (id: string) => readonly string[];
}

/** A look at a cluster that is being beaten must not wait for long. */
const LOOK_MS = 1_000;
const POLL_MS = 50;

export class Arena {
  readonly cluster: LocalCluster;
  readonly voters: readonly string[];
  readonly workers: readonly string[];
  readonly sessionTtlMs: number;
  readonly links: Links | null;
  readonly over: AbortSignal;
  kills = 0;
  leaderKills = 0;
  strikes = 0;
  readonly #regrants: Regrants;
  readonly #wrap: (id: string) => readonly string[];
  readonly #taken = new Set<string>();
  #wanted = 0;

  constructor(options: ArenaOptions) {
    this.cluster = options.cluster;
    this.voters = options.voters;
    this.workers = options.workers;
    this.sessionTtlMs = options.sessionTtlMs;
    this.links = options.links;
    this.over = options.over;
    this.#regrants = options.regrants;
    this.#wrap = options.wrap;
  }

  get nodes(): readonly string[] {
    return [...this.voters, ...this.workers];
  }

  /** Running and struck by nobody. */
  whole(id: string): boolean {
    return !this.#taken.has(id) && this.cluster.running(id);
  }

  /** Nodes that ended although nobody struck them. */
  endedByThemselves(): readonly string[] {
    return this.nodes.filter((id) => !this.#taken.has(id) && !this.cluster.running(id));
  }

  /** Does something to one of these nodes, the one that the share points at; to none when all are taken. */
  async with(ids: readonly string[], share: number, act: (id: string) => Promise<void>): Promise<void> {
    const free = this.#wanted > 0 || this.over.aborted ? [] : ids.filter((id) => this.whole(id));
    const id = chosen(free, share);
    if (id === null) return;
    this.#taken.add(id);
    try {
      await act(id);
    } finally {
      this.#taken.delete(id);
    }
  }

  /** Does something to all nodes, once nobody else does anything to any of them. */
  async withAll(act: () => Promise<void>): Promise<void> {
    this.#wanted++;
    await this.until(() => this.#taken.size === 0);
    this.#wanted--;
    if (this.#taken.size > 0) return;
    for (const id of this.nodes) this.#taken.add(id);
    try {
      await act();
    } finally {
      this.#taken.clear();
    }
  }

  /** kill -9, the job host of the node ends by itself. */
  async kill(id: string): Promise<void> {
    if (!this.cluster.running(id)) return;
    this.kills++;
    this.strikes++;
    this.#regrants.workerLost(id, Date.now());
    await this.cluster.signal(id, 'SIGKILL');
  }

  start(id: string): void {
    this.cluster.start(id, this.#wrap(id));
  }

  /** A signal to a node, and on Linux to its job hosts and whatever they started, if `family` says so. */
  signalAll(id: string, signal: NodeJS.Signals, family: boolean): readonly number[] {
    if (!this.cluster.running(id)) return [];
    const pid = this.cluster.pid(id);
    const pids = family ? [pid, ...descendants(pid)] : [pid];
    for (const one of pids) signalIfThere(one, signal);
    return pids;
  }

  signalPids(pids: readonly number[], signal: NodeJS.Signals): void {
    for (const pid of pids) signalIfThere(pid, signal);
  }

  /** Sleeps; wakes early when the run is over. */
  async pause(delayMs: number): Promise<void> {
    if (this.over.aborted) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.over.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, delayMs);
      this.over.addEventListener('abort', wake);
    });
  }

  /** Looks until it is so, or the run is over. */
  async until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    while (!this.over.aborted && !(await isSo())) await this.pause(POLL_MS);
  }

  /** The leader, as one of the voters that are whole names it. */
  async leader(): Promise<string | null> {
    for (const id of this.voters) {
      if (!this.cluster.running(id)) continue;
      const named = ((await this.ask(id, '/v1/cluster')) as ClusterStatus | null)?.leader ?? null;
      if (named !== null) return named;
    }
    return null;
  }

  /** Until a worker that lost these leases works again, or the run is over. */
  async backAtWork(worker: string, lost: readonly number[]): Promise<void> {
    await this.until(() => this.heldBy(worker).some((epoch) => !lost.includes(epoch)));
  }

  heldBy(worker: string): readonly number[] {
    return this.#regrants.heldBy(worker);
  }

  /** Until a node that was started again knows its leader, or the run is over. */
  async back(id: string): Promise<void> {
    await this.until(async () => {
      try {
        const look = { signal: AbortSignal.timeout(LOOK_MS) };
        return (await fetch(`${this.cluster.url(id)}/readyz`, look)).status === 200;
      } catch {
        return false;
      }
    });
  }

  /** What a node answers with 200; null when it does not. */
  async ask(id: string, path: string): Promise<unknown> {
    try {
      const response = await fetch(`${this.cluster.url(id)}${path}`, { signal: AbortSignal.timeout(LOOK_MS) });
      return response.status === 200 ? await response.json() : null;
    } catch {
      return null;
    }
  }
}

/** Children and theirs, as Linux tells them; none elsewhere. */
function descendants(pid: number): number[] {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  } catch {
    return [];
  }
  const children = text.split(' ').filter((one) => one !== '');
  return children.flatMap((child) => [Number(child), ...descendants(Number(child))]);
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended in the meantime.
  }
}

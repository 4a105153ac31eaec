/**
 * Reports: from what workers say about their tasks to entries of the log, and back.
 *
 * Cursors of many tasks of many workers travel in one Progress entry, and while one is on its way the next gathers, so
 * that the log sees a handful of entries a round trip however many tasks run. A worker is answered when everything it
 * said is applied, with what the table then holds: the log is the only truth about an epoch.
 */
import { CURSORS_PER_ENTRY_MAX } from '../base/limits.ts';
import type { Epoch, Incarnation, LogIndex, NodeId, Point } from '../base/types.ts';
import type { Command, Outcome, Table } from '../ranges/types.ts';
import type { LeaderMessage, ReportResult, TaskReport } from '../wire/messages.ts';
import type { Done } from './api.ts';

/** The last report of a worker, waiting for its entries. */
interface Waiting {
  readonly worker: NodeId;
  readonly incarnation: Incarnation;
  readonly sequence: number;
  readonly reports: readonly TaskReport[];
  /** Applied up to here, all its entries are. */
  index: LogIndex;
  /** Some of its cursors are still being gathered. */
  gathering: boolean;
}

export interface ReportsOptions {
  readonly table: Table;
  readonly stamp: () => number;
  readonly propose: (command: Command, done: Done<Outcome>) => LogIndex | null;
  readonly send: (to: NodeId, message: LeaderMessage) => void;
}

export class Reports {
  readonly #options: ReportsOptions;
  readonly #gathered = new Map<Epoch, { readonly cursor: Point; readonly claimed: Point }>();
  /** Endings proposed and not applied, with the index of their entry: a repeated report does not propose again. */
  readonly #endings = new Map<Epoch, LogIndex>();
  /** Cursors that ended tasks were acknowledged with, until their worker is answered. */
  readonly #settled = new Map<NodeId, Map<Epoch, Point>>();
  readonly #waiting = new Map<NodeId, Waiting>();
  #progressing = false;

  constructor(options: ReportsOptions) {
    this.#options = options;
  }

  take(worker: NodeId, incarnation: Incarnation, sequence: number, reports: readonly TaskReport[]): void {
    const waiting: Waiting = { worker, incarnation, sequence, reports, index: 0, gathering: false };
    for (const report of reports) {
      const task = this.#options.table.task(report.epoch);
      if (task === undefined || task.worker !== worker || task.incarnation !== incarnation) continue;
      // What no honest worker says is left unsaid; the answer tells it what the table holds.
      if (report.cursor > task.end || report.begun < report.cursor || report.begun > task.end) continue;
      if (report.claim < report.cursor || report.claim > task.end) continue;
      const known = this.#gathered.get(report.epoch) ?? task;
      if (report.ending !== null) waiting.index = Math.max(waiting.index, this.#end(worker, report, report.ending));
      else if (report.cursor > known.cursor || report.claim > known.claimed) {
        const cursor = Math.max(report.cursor, known.cursor);
        this.#gathered.set(report.epoch, { cursor, claimed: Math.max(report.claim, known.claimed, cursor) });
        waiting.gathering = true;
      } else if (this.#gathered.has(report.epoch)) waiting.gathering = true;
    }
    this.#waiting.set(worker, waiting);
  }

  /** Proposes what has gathered, unless the entry before it is still under way. */
  flush(): void {
    if (this.#progressing || this.#gathered.size === 0) return;
    const cursors: { epoch: Epoch; cursor: Point; claimed: Point }[] = [];
    for (const [epoch, { cursor, claimed }] of this.#gathered) {
      if (cursors.length >= CURSORS_PER_ENTRY_MAX) break;
      cursors.push({ epoch, cursor, claimed });
      this.#gathered.delete(epoch);
    }
    this.#progressing = true;
    const index = this.#options.propose({ kind: 'progress', at: this.#options.stamp(), cursors }, () => {
      this.#progressing = false;
    });
    for (const waiting of this.#waiting.values()) {
      if (!waiting.gathering) continue;
      // What did not fit goes with the next entry, and its worker waits for that.
      waiting.gathering = waiting.reports.some((report) => this.#gathered.has(report.epoch));
      waiting.index = Math.max(waiting.index, index ?? 0);
    }
  }

  /** Answers every worker whose report is applied. */
  answer(): void {
    const { table, send } = this.#options;
    for (const waiting of [...this.#waiting.values()]) {
      if (waiting.gathering || waiting.index > table.appliedIndex) continue;
      const { worker, incarnation, sequence } = waiting;
      const results = waiting.reports.flatMap((report) => this.#result(waiting, report) ?? []);
      this.forget(worker);
      send(worker, { type: 'reported', incarnation, sequence, results });
    }
  }

  /** The worker is answered, or its session ended. */
  forget(worker: NodeId): void {
    this.#waiting.delete(worker);
    this.#settled.delete(worker);
  }

  #end(worker: NodeId, report: TaskReport, ending: 'complete' | 'fail' | 'release'): LogIndex {
    const { epoch, cursor, begun, error } = report;
    const underWay = this.#endings.get(epoch);
    if (underWay !== undefined) return underWay;
    this.#gathered.delete(epoch);
    const at = this.#options.stamp();
    const command: Command =
      ending === 'fail'
        ? { kind: 'fail', at, epoch, cursor, begun, error }
        : { kind: ending, at, epoch, cursor, begun };
    const index = this.#options.propose(command, (result) => {
      this.#endings.delete(epoch);
      if (!result.ok || result.value.kind === 'refused') return;
      const settled = this.#settled.get(worker) ?? new Map<Epoch, Point>();
      this.#settled.set(worker, settled.set(epoch, cursor));
    });
    if (index === null) return 0;
    this.#endings.set(epoch, index);
    return index;
  }

  #result(waiting: Waiting, report: TaskReport): ReportResult | null {
    const { epoch } = report;
    const settled = this.#settled.get(waiting.worker)?.get(epoch);
    if (settled !== undefined) return { epoch, cursor: settled, claimed: settled, state: 'ended' };
    const { table } = this.#options;
    // A lease that this table does not know yet is none that has ended.
    if (epoch > table.appliedIndex) return null;
    const task = table.task(epoch);
    if (task === undefined || task.worker !== waiting.worker || task.incarnation !== waiting.incarnation) {
      return { epoch, cursor: report.cursor, claimed: report.cursor, state: 'stale' };
    }
    return { epoch, cursor: task.cursor, claimed: task.claimed, state: 'live' };
  }
}

/**
 * Reports: from what workers say about their tasks to entries of the log, and back.
 *
 * Cursors of many tasks of many workers travel in one Progress entry, and while one is on its way the next gathers, so
 * that the log sees a handful of entries a round trip however many tasks run. A worker is answered when everything it
 * said is applied, with what the table then holds: the log is the only truth about an epoch.
 */
import { CURSORS_PER_ENTRY_MAX, OUTPUTS_PER_ENTRY_MAX, OUTPUTS_PER_REPORT_MAX } from '../base/limits.ts';
import type { Epoch, Incarnation, LogIndex, NodeId, Point } from '../base/types.ts';
import { goesFurther } from '../ranges/checkpoints.ts';
import { freshOutputs } from '../ranges/outputs.ts';
import type { Command, Headway, Outcome, StampedCheckpoint, Table, Task } from '../ranges/types.ts';
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
  readonly #gathered = new Map<Epoch, Omit<Headway, 'epoch'>>();
  /** Checkpoints proposed and not applied, by lease. */
  readonly #checkpoints = new Map<Epoch, { readonly stage: number; readonly index: LogIndex }>();
  /** Live leases that must end, for what they emitted cannot be kept, until their worker was told. */
  readonly #refused = new Set<Epoch>();
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
      // What no honest worker says is left unsaid; the answer tells it what the table holds. What was begun is no such thing:
      // of a host that died it may be reckoned from before the task was shrunk, and the table holds it to the lease.
      if (report.cursor > task.end || report.begun < report.cursor || report.claimed < report.cursor) continue;
      if (report.checkpoint !== null)
        waiting.index = Math.max(waiting.index, this.#checkpoint(task, report.checkpoint));
      if (report.ending !== null) waiting.index = Math.max(waiting.index, this.#end(worker, report, report.ending));
      else this.#gather(task, report);
    }
    // An ending takes the place of what was gathered of its task, also by the same message.
    waiting.gathering = reports.some(({ epoch }) => this.#gathered.has(epoch));
    this.#waiting.set(worker, waiting);
  }

  #gather(task: Task, { epoch, cursor, claimed, outputs }: TaskReport): void {
    const before = this.#gathered.get(epoch);
    const known = before ?? { cursor: task.cursor, claimed: task.claimed, outputs: [] };
    const fresh = freshOutputs(outputs, { start: task.start, cursor: known.cursor }, cursor);
    // The same again: what no honest worker says, or what it will say again, when the entry before it is applied.
    if (fresh === null || known.outputs.length + fresh.length > OUTPUTS_PER_REPORT_MAX) return;
    // What was asked for before the task was shrunk may lie beyond its end.
    const wanted = Math.min(claimed, task.end);
    if (cursor <= known.cursor && wanted <= known.claimed) return;
    const next = Math.max(known.cursor, cursor);
    this.#gathered.set(epoch, {
      cursor: next,
      claimed: Math.max(known.claimed, wanted, next),
      outputs: [...known.outputs, ...fresh],
    });
  }

  /** Proposes what has gathered, unless the entry before it is still under way. */
  flush(): void {
    if (this.#progressing || this.#gathered.size === 0) return;
    const cursors: Headway[] = [];
    let outputs = 0;
    for (const [epoch, headway] of this.#gathered) {
      outputs += headway.outputs.length;
      if (cursors.length >= CURSORS_PER_ENTRY_MAX || outputs > OUTPUTS_PER_ENTRY_MAX) break;
      cursors.push({ epoch, ...headway });
      this.#gathered.delete(epoch);
    }
    this.#progressing = true;
    const index = this.#options.propose({ kind: 'progress', at: this.#options.stamp(), cursors }, (result) => {
      this.#progressing = false;
      if (!result.ok || result.value.kind !== 'progressed') return;
      for (const epoch of result.value.refused ?? []) this.#refused.add(epoch);
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

  #checkpoint({ epoch, checkpoint: committed }: Task, { stamp, ...checkpoint }: StampedCheckpoint): LogIndex {
    const { stage } = checkpoint;
    const underWay = this.#checkpoints.get(epoch);
    if (underWay !== undefined && underWay.stage >= stage) return underWay.index;
    if (!goesFurther(checkpoint, { checkpoint: committed })) return 0;
    const at = this.#options.stamp();
    const index = this.#options.propose({ kind: 'checkpoint', at, epoch, checkpoint, stamp }, (result) => {
      // Its code waits for this checkpoint, and would wait for ever.
      const isLost = result.ok && result.value.kind === 'refused' && result.value.code === 'BLOB_CONDEMNED';
      if (isLost) this.#refused.add(epoch);
      if (this.#checkpoints.get(epoch)?.stage === stage) this.#checkpoints.delete(epoch);
    });
    if (index === null) return 0;
    this.#checkpoints.set(epoch, { stage, index });
    return index;
  }

  #end(worker: NodeId, report: TaskReport, ending: 'complete' | 'fail' | 'release'): LogIndex {
    const { epoch, cursor, begun, error, outputs } = report;
    const underWay = this.#endings.get(epoch);
    if (underWay !== undefined) return underWay;
    this.#gathered.delete(epoch);
    const at = this.#options.stamp();
    const command: Command =
      ending === 'fail'
        ? { kind: 'fail', at, epoch, cursor, begun, error, outputs }
        : { kind: ending, at, epoch, cursor, begun, outputs };
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
    if (settled !== undefined) return over(epoch, settled, 'ended');
    const { table } = this.#options;
    if (table.task(epoch) === undefined) this.#refused.delete(epoch);
    // A lease that this table does not know yet is none that has ended.
    if (epoch > table.appliedIndex) return null;
    const task = table.task(epoch);
    if (task === undefined || task.worker !== waiting.worker || task.incarnation !== waiting.incarnation) {
      return over(epoch, report.cursor, 'stale');
    }
    const { cursor, claimed, end, checkpoint } = task;
    // Said once: if that is lost, so is what it answered, and the report comes again.
    const state = this.#refused.delete(epoch) ? 'refused' : 'live';
    return { epoch, cursor, claimed, end, state, checkpoint: checkpoint?.stage ?? null };
  }
}

/** Of a lease that is no more. */
function over(epoch: Epoch, cursor: Point, state: 'ended' | 'stale'): ReportResult {
  return { epoch, cursor, claimed: cursor, end: cursor, state, checkpoint: null };
}

/**
 * RunnerAttempt: one task in the hands of a runner, from its order to the acknowledged end.
 *
 * The code of the task sees the same `TaskContext` as on a node, over the same cell; here the other side of the cell is
 * in the same process. So nothing can end code that does not listen: it is told to stop, gets no further point, and
 * keeps its slot until it returns.
 *
 * Invariants: one report at a time is on its way · nothing is said of a lost lease · the end is said when no more of the
 * code runs.
 */
import { errorText } from '../base/errors.ts';
import type { Epoch, Point } from '../base/types.ts';
import type { OutputTicket } from '../http/task-data.ts';
import type { RunnerJson, TaskJson } from '../http/tasks.ts';
import { timeoutReason } from '../jobtype/attempt.ts';
import { Cell } from '../jobtype/cell.ts';
import type { TaskContext } from '../jobtype/client.ts';
import { RunningTask } from '../jobtype/task.ts';
import type { Delivery } from '../ranges/types.ts';
import { type MadeOutput, RunnerData, type RunnerDataOptions } from './runner-data.ts';

export type Work = (task: TaskContext) => Promise<void>;
export type TaskStanding = NonNullable<RunnerJson['task']>;

export interface RunnerAttemptOptions {
  readonly order: TaskJson;
  readonly worker: string;
  readonly work: Work;
  /** Monotonic milliseconds. */
  readonly deadline: number;
  /** Says it until it is answered; null: the lease is lost. */
  readonly report: (word: string, fields: object) => Promise<TaskStanding | null>;
  /** Rows of the input, as an Arrow stream. */
  readonly read: RunnerDataOptions['read'];
  /** Sends what points made until it is durable, and gives the ticket for it; null: the lease is lost. */
  readonly send: (output: MadeOutput) => Promise<OutputTicket | null>;
  readonly log: (line: string) => void;
}

interface Word {
  readonly ending: 'complete' | 'release' | 'fail';
  readonly error: string;
}

export class RunnerAttempt {
  readonly epoch: Epoch;
  readonly #options: RunnerAttemptOptions;
  readonly #cell: Cell;
  readonly #task: RunningTask;
  #data: RunnerData | null = null;
  #isLost = false;
  /** Its code has returned: what is left to say is said with its end. */
  #isOver = false;
  #timedOut = false;
  #reporting: Promise<void> | null = null;
  /** Something is to be said beside a new cursor. */
  #isDue = false;
  /** What went wrong with a report, and cannot go better. */
  #fault: unknown = null;
  /** The end that it promised to keep, until that is said. */
  #keep: Point | null = null;

  constructor(options: RunnerAttemptOptions) {
    const { order, worker, log, deadline } = options;
    this.#options = options;
    this.epoch = order.epoch;
    this.#cell = Cell.create(order.cursor, order.limit, order.end, deadline);
    const { metadata, delivery, commitEvery, ...rest } = order;
    this.#task = new RunningTask({
      order: {
        ...rest,
        metadata: JSON.stringify(metadata),
        options: { delivery: delivery as Delivery, commitEvery },
      },
      cell: this.#cell,
      worker,
      nudge: () => this.#due(),
      log,
      data: (signal) => {
        const { read } = options;
        this.#data = new RunnerData({ order, signal, read, due: () => this.#due() });
        return this.#data;
      },
      ...{ codeHash: '', isWhole: false },
    });
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** Whether the whole task was completed, by the word of the leader. @throws what no repetition of a report can mend */
  async run(): Promise<boolean> {
    const { commitIntervalMs, taskTimeoutMs } = this.#options.order;
    const interval = setInterval(() => this.#look(), commitIntervalMs);
    const timer = taskTimeoutMs === null ? undefined : setTimeout(() => this.#timeOut(), taskTimeoutMs);
    const word = await this.#work();
    this.#task.close();
    clearInterval(interval);
    clearTimeout(timer);
    this.#isOver = true;
    await this.#reporting;
    if (this.#fault !== null) throw this.#fault;
    return !this.#isLost && (await this.#end(word));
  }

  moveDeadline(at: number): void {
    this.#cell.moveDeadline(at);
  }

  /** Stop at the next point; what is left goes back. */
  release(): void {
    this.#cell.stop();
    this.#task.stop();
  }

  /** The lease is gone: whatever its code still does counts for nothing. */
  lose(): void {
    this.#isLost = true;
    this.release();
  }

  /** Others could take the far half of what is not begun. */
  shrink(): void {
    if (this.#task.stopped || this.#keep !== null) return;
    this.#keep = this.#cell.keepHalf();
    this.#task.wake();
    this.#due();
  }

  async #work(): Promise<Word> {
    // Told so before its first point: there is nothing to run.
    if (this.#task.stopped) return { ending: 'release', error: '' };
    try {
      await this.#options.work(this.#task);
      await this.#task.settle();
      if (this.#timedOut) return this.#tooLong();
      return this.#task.finish();
    } catch (thrown) {
      if (this.#timedOut) return this.#tooLong();
      const stopped = this.#task.stopped;
      // Half of a Promise.all may still be at work; it gets no further point.
      this.release();
      if (stopped) return { ending: 'release', error: '' };
      if (thrown instanceof Error && thrown.stack !== undefined) this.#options.log(thrown.stack);
      return { ending: 'fail', error: errorText(thrown) || 'the code of the task threw something without a message' };
    }
  }

  #tooLong(): Word {
    return { ending: 'fail', error: timeoutReason(this.#options.order.taskTimeoutMs ?? 0) };
  }

  #timeOut(): void {
    if (this.#task.stopped) return;
    this.#timedOut = true;
    this.release();
  }

  #due(): void {
    this.#isDue = true;
    this.#look();
  }

  /** Reports what is new, unless a report is on its way; then it looks again after that. */
  #look(): void {
    if (this.#reporting !== null || this.#isLost || this.#isOver) return;
    if (!this.#isDue && this.#cell.cursor <= this.#cell.committed) return;
    this.#isDue = false;
    this.#reporting = this.#progress()
      .catch((thrown: unknown) => {
        this.#fault = thrown;
        this.lose();
      })
      .finally(() => {
        this.#reporting = null;
        if (this.#isDue) this.#look();
      });
  }

  async #progress(): Promise<void> {
    const keep = this.#keep;
    const cursor = this.#cell.cursor;
    const outputs = await this.#handIn(cursor);
    if (outputs === null) return;
    const fields = { cursor, outputs, ...(keep === null ? {} : { keep }) };
    const standing = await this.#options.report('progress', fields);
    if (standing === null) return;
    if (this.#keep === keep) this.#keep = null;
    this.#cell.commit(standing.cursor, standing.limit);
    this.#task.wake();
  }

  async #end({ ending, error }: Word): Promise<boolean> {
    // The cursor first: begun can only have grown meanwhile.
    const cursor = this.#cell.cursor;
    const { begun } = this.#cell;
    const outputs = await this.#handIn(cursor);
    if (outputs === null) return false;
    if (ending === 'complete') return (await this.#options.report('complete', { cursor, outputs })) !== null;
    const fields = ending === 'fail' ? { cursor, outputs, begun, error } : { cursor, outputs, begun };
    await this.#options.report(ending, fields);
    return false;
  }

  /** Tickets for what points below the cursor made since the last report; null when the lease is lost. */
  async #handIn(cursor: Point): Promise<readonly OutputTicket[] | null> {
    const made = this.#data?.take(cursor) ?? null;
    if (made === null) return [];
    const ticket = await this.#options.send(made);
    this.#data?.wake();
    return ticket === null ? null : [ticket];
  }
}

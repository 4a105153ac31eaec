/**
 * Program: an attempt that is a process of its own, started by the host without a line of job code in Polaris.
 *
 * The program leads a process group, so that whatever it starts can be ended with it. It begins its whole task at once;
 * on file descriptor 3 it may say how far it is, one decimal point a line, meaning that all points below are done. The
 * exit code is the verdict.
 *
 * Invariant: when the attempt has ended, nothing of its process group runs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { must } from '../base/assert.ts';
import { errorText } from '../base/errors.ts';
import {
  ABORT_GRACE_MS,
  EXEC_STDERR_TAIL_BYTES,
  JOB_LOG_LINES_PER_SECOND,
  PIPES_CLOSE_MS,
  TERMINATE_GRACE_MS,
} from '../base/limits.ts';
import type { Point } from '../base/types.ts';
import type { ExecutorEnding } from '../daemon/env.ts';
import type { TaskOrder } from '../wire/messages.ts';
import type { Attempt, AttemptEvents } from './attempt.ts';
import { type Command, commandOf } from './command.ts';
import { captureLines, LineSplitter } from './lines.ts';
import { signalGroup } from './proc.ts';
import type { Position } from './protocol.ts';
import { removeRecord, writeRecord } from './records.ts';

const PROGRESS_FD = 3;
const PROGRESS_LINE = /^-?\d{1,16}$/;

export function runProgram(order: TaskOrder, recordsDir: string, events: AttemptEvents): Attempt {
  return new Program(order, recordsDir, events);
}

class Program implements Attempt {
  readonly order: TaskOrder;
  readonly #events: AttemptEvents;
  readonly #recordsDir: string;
  #child: ChildProcess | null = null;
  #cursor: Point;
  /** Cursor at the last nudge. */
  #nudged: Point;
  #begun: Point;
  #stderrTail = '';
  #grace: NodeJS.Timeout | null = null;
  #stuck: NodeJS.Timeout | null = null;
  #limit: Point;
  #waitsForClaim = false;
  #released = false;
  /** Why we ended it, where that is a failure of its own. */
  #failure: string | null = null;
  #over = false;

  constructor(order: TaskOrder, recordsDir: string, events: AttemptEvents) {
    this.order = order;
    this.#events = events;
    this.#recordsDir = recordsDir;
    this.#cursor = order.cursor;
    this.#nudged = order.cursor;
    this.#begun = order.cursor;
    this.#limit = order.claimed;
    // In a later turn, so that the attempt is known before it can end.
    setImmediate(() => this.#start());
  }

  position(): Position {
    return { epoch: this.order.epoch, cursor: this.#cursor, begun: this.#begun };
  }

  /** A program has no window. At most once, it waits until its whole task is claimed. */
  committed(_cursor: Point, limit: Point): void {
    this.#limit = limit;
    if (this.#waitsForClaim && limit === this.order.end) this.#start();
  }

  /** It was told its range when it was started. */
  keep(): Point {
    return this.order.end;
  }

  /** Nor batches. */
  data(): void {}

  /** Nor a cell: the host's own timer terminates it. */
  moveDeadline(): void {}

  release(): void {
    if (this.#released) return;
    this.#released = true;
    if (this.#waitsForClaim) return this.#end('release', '');
    this.#signal('SIGTERM');
    this.#grace = setTimeout(() => this.terminate(), ABORT_GRACE_MS);
  }

  terminate(): void {
    this.#released = true;
    if (this.#waitsForClaim) return this.#end('release', '');
    this.#kill();
  }

  fail(error: string): void {
    if (this.#released) return;
    this.#failure = error;
    if (this.#waitsForClaim) return this.#end('fail', error);
    this.#kill();
  }

  // ---- inside ----

  #kill(): void {
    this.#signal('SIGKILL');
    this.#stuck ??= setTimeout(() => {
      this.#events.stuck('job host was ended: a program of it could not be killed');
    }, TERMINATE_GRACE_MS + PIPES_CLOSE_MS);
  }

  #start(): void {
    if (this.#released) {
      this.#end('release', '');
      return;
    }
    const { order } = this;
    this.#waitsForClaim = order.options.delivery === 'at-most-once' && this.#limit < order.end;
    if (this.#waitsForClaim) return;
    let command: Command;
    try {
      command = commandOf(this.order);
    } catch (thrown) {
      this.#end('fail', errorText(thrown));
      return;
    }
    this.#spawn(command);
  }

  #spawn({ program, args, cwd, env }: Command): void {
    const child = spawn(program, args, {
      detached: true,
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined) this.#end('fail', spawnFailure(error, program, cwd));
    });
    if (child.pid === undefined) return;
    this.#begun = this.order.end;
    this.#listen(child);
    try {
      writeRecord(this.#recordsDir, child.pid, process.pid);
    } catch (thrown) {
      // Without a record nobody would end it after a crash of ours.
      this.#events.line({ type: 'line', epoch: this.order.epoch, source: 'log', line: errorText(thrown) });
      this.#signal('SIGKILL');
    }
  }

  #listen(child: ChildProcess): void {
    const { epoch } = this.order;
    for (const source of ['stdout', 'stderr'] as const) {
      const stream = must(child[source], 'the output of a program is piped');
      captureLines(stream, JOB_LOG_LINES_PER_SECOND, (line) => {
        this.#events.line({ type: 'line', epoch, source, line });
      });
    }
    child.stderr?.on('data', (bytes: Buffer) => {
      this.#stderrTail = (this.#stderrTail + bytes.toString('utf8')).slice(-EXEC_STDERR_TAIL_BYTES);
    });
    const progress = child.stdio[PROGRESS_FD] as Readable;
    const splitter = new LineSplitter((line) => this.#progress(line));
    progress.on('data', (bytes: Buffer) => splitter.write(bytes));
    progress.on('error', () => {});
    child.once('exit', () => {
      // What it left running in its group would hold the pipes, and work beyond the end of its lease.
      this.#signal('SIGKILL');
      setTimeout(() => closePipes(child), PIPES_CLOSE_MS);
    });
    child.once('close', (code, signal) => {
      splitter.end();
      this.#closed(code, signal);
    });
  }

  /** A point within the task and beyond the last one; all else is not for us. */
  #progress(line: string): void {
    if (!PROGRESS_LINE.test(line)) return;
    const cursor = Number(line);
    if (!Number.isSafeInteger(cursor) || cursor <= this.#cursor || cursor > this.order.end) return;
    this.#cursor = cursor;
    // Half of what may be lost, as with the points of a thread: a flood of lines is seen by the next sample.
    if (cursor - this.#nudged < this.order.options.commitEvery / 2) return;
    this.#nudged = cursor;
    this.#events.nudge();
  }

  #closed(code: number | null, signal: NodeJS.Signals | null): void {
    if (code === 0) {
      this.#cursor = this.order.end;
      this.#end('complete', '');
    } else if (this.#failure !== null) {
      this.#end('fail', this.#failure);
    } else if (this.#released) {
      this.#end('release', '');
    } else {
      const verdict = signal === null ? `exit ${code}` : `killed by ${signal}`;
      this.#end('fail', [verdict, this.#stderrTail.trim()].filter((part) => part !== '').join(': '));
    }
  }

  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid !== undefined && !this.#over) signalGroup(pid, signal);
  }

  #end(ending: ExecutorEnding['ending'], error: string): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#grace !== null) clearTimeout(this.#grace);
    if (this.#stuck !== null) clearTimeout(this.#stuck);
    const pid = this.#child?.pid;
    if (pid !== undefined) removeRecord(this.#recordsDir, pid);
    this.#events.ended({ ...this.position(), ending, error });
  }
}

function closePipes(child: ChildProcess): void {
  for (const stream of child.stdio) stream?.destroy();
}

function spawnFailure(error: NodeJS.ErrnoException, program: string, cwd: string | undefined): string {
  if (cwd !== undefined && !existsSync(cwd)) return `the directory ${cwd} does not exist on this node`;
  const path = program.includes('/') && !isAbsolute(program) ? resolve(cwd ?? '.', program) : program;
  if (error.code === 'ENOENT') return `program not found on this node: ${path}`;
  if (error.code === 'EACCES') return `program cannot be executed on this node: ${path}`;
  return `program cannot be started: ${errorText(error)}`;
}

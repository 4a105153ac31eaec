/**
 * Desk: where a node answers queries. It lays the datasets out as files, has a process of its own run the query over them,
 * and gives the result as a file that goes away when it was read.
 *
 * The bytes come through the depot, so that each of them was judged by its hash on the way, wherever it lay. The result is
 * read by the reader of datasets, which trusts no length that the engine wrote.
 *
 * Invariants: what is read belongs to the handles that were given, whatever their names stand for by now · a directory of
 * a query is gone when the query is, and all of them at a start · at most QUERY_ENGINES_MAX processes run.
 */
import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PolarisError } from '../base/errors.ts';
import type { Handle } from '../base/handle.ts';
import {
  QUERIES_OPEN_MAX,
  QUERY_ENGINES_MAX,
  QUERY_INPUT_BYTES_MAX,
  QUERY_MEMORY_MB,
  QUERY_MS_MAX,
  QUERY_RESULT_BYTES_MAX,
} from '../base/limits-query.ts';
import type { Logger } from '../base/log.ts';
import type { ArrowFile } from '../data/arrow-file.ts';
import type { Depot, OpenBlob } from '../data/depot/depot.ts';
import type { BatchSource, ByteSource, RangeRead } from '../data/sources.ts';
import { Admission } from './admission.ts';
import { type EngineLimits, runEngine } from './engine-process.ts';
import type { EngineTable } from './protocol.ts';

export interface DeskOptions {
  readonly depot: Pick<Depot, 'open'>;
  /** Emptied at each start. */
  readonly spoolDir: string;
  readonly recordsDir: string;
  /** The compiled engine.js. */
  readonly entry: string;
  readonly log: Logger;
  /** Others in tests. */
  readonly limits?: EngineLimits;
  readonly inputBytesMax?: number;
  readonly started?: (pid: number) => void;
}

/** A dataset as it was when the query was asked. */
export interface QueryTable {
  readonly name: string;
  readonly handle: Handle;
}

export interface Question {
  /** SQL as `parseStatement` writes it. */
  readonly text: string;
  readonly tables: readonly QueryTable[];
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** A result. To be closed. */
export interface QueryResult {
  readonly rows: number;
  batches(): BatchSource;
  close(): Promise<void>;
}

const LIMITS: EngineLimits = { memoryMb: QUERY_MEMORY_MB, resultBytes: QUERY_RESULT_BYTES_MAX, ms: QUERY_MS_MAX };

export class QueryDesk {
  readonly #options: DeskOptions;
  readonly #admission = new Admission({ open: QUERIES_OPEN_MAX, running: QUERY_ENGINES_MAX });
  readonly #stopping = new AbortController();
  readonly #open = new Set<Promise<unknown>>();

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  /** Queries that run, wait or are read. */
  get open(): number {
    return this.#admission.open;
  }

  /** @throws PolarisError BAD_QUERY, QUERY_TOO_LARGE, QUERY_LOST, TIMED_OUT, NO_QUERY_ENGINE, OVERLOADED, STOPPING, BLOB_MISSING */
  async ask(question: Question): Promise<QueryResult> {
    this.#checkInput(question.tables);
    this.#admission.enter();
    const workDir = join(this.#options.spoolDir, `query-${randomUUID()}`);
    let isOpen = true;
    const close = async (): Promise<void> => {
      if (!isOpen) return;
      isOpen = false;
      await rm(workDir, { recursive: true, force: true }).finally(() => this.#admission.leave());
    };
    const answer = this.#answer(question, workDir, close);
    this.#open.add(answer);
    try {
      return await answer;
    } catch (thrown) {
      await close();
      if (this.#stopping.signal.aborted) throw new PolarisError('STOPPING', undefined, { cause: thrown });
      throw thrown;
    } finally {
      this.#open.delete(answer);
    }
  }

  /** Ends what runs and waits. */
  async stop(): Promise<void> {
    this.#stopping.abort(new PolarisError('STOPPING'));
    await Promise.allSettled(this.#open);
  }

  async #answer(
    { text, tables, signal: gone }: Question,
    workDir: string,
    close: () => Promise<void>,
  ): Promise<QueryResult> {
    const signal = AbortSignal.any([gone, this.#stopping.signal]);
    const resultPath = join(workDir, 'result.arrow');
    const { log, recordsDir, entry, limits = LIMITS, started } = this.#options;
    await this.#admission.run(signal, async () => {
      await mkdir(workDir, { mode: 0o700 });
      const laidOut = await this.#layOut(tables, workDir, signal);
      const line = (said: string): void => log.warn({ said }, 'query-engine');
      const order = { sql: text, tables: laidOut, resultPath };
      await runEngine({ entry, recordsDir, workDir, order, limits, signal, line, ...(started ? { started } : {}) });
      // What was read is of no use any more, and may be large.
      await Promise.all(laidOut.map(({ path }) => rm(path, { force: true })));
    });
    return openResult(resultPath, close);
  }

  /** @throws PolarisError QUERY_TOO_LARGE */
  #checkInput(tables: readonly QueryTable[]): void {
    const bytes = tables.reduce((sum, { handle }) => sum + handle.bytes, 0);
    const { inputBytesMax = QUERY_INPUT_BYTES_MAX } = this.#options;
    if (bytes <= inputBytesMax) return;
    throw new PolarisError(
      'QUERY_TOO_LARGE',
      `the datasets have ${bytes} bytes, and a query may read ${inputBytesMax}; use a job`,
    );
  }

  async #layOut(tables: readonly QueryTable[], workDir: string, signal: AbortSignal): Promise<EngineTable[]> {
    const laidOut: EngineTable[] = [];
    for (const [at, { name, handle }] of tables.entries()) {
      const path = join(workDir, `${at}.arrow`);
      const blob = await this.#options.depot.open(handle.hash);
      const { schema } = await arrowFileOf(blob);
      const { checkQueryable } = await import('./columns.ts');
      checkQueryable(name, schema);
      await writeAll(path, blob.read(), signal);
      laidOut.push({ name, path });
    }
    return laidOut;
  }
}

/** What is kept as a dataset. */
export async function arrowFileOf(blob: OpenBlob): Promise<ArrowFile> {
  const { readArrowFile } = await import('../data/arrow-file.ts');
  return readArrowFile((start, end) => blob.read({ start, end }), blob.bytes);
}

async function writeAll(path: string, source: ByteSource, signal: AbortSignal): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of source) {
      signal.throwIfAborted();
      for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
    }
  } finally {
    await file.close();
  }
}

async function openResult(path: string, close: () => Promise<void>): Promise<QueryResult> {
  const { readArrowFile } = await import('../data/arrow-file.ts');
  const { size } = await stat(path);
  const file = await open(path, 'r');
  let closing: Promise<void> | null = null;
  const closeAll = (): Promise<void> => {
    closing ??= file.close().finally(close);
    return closing;
  };
  try {
    const result = await readArrowFile(rangesOf(file), size);
    return { rows: result.rows, batches: () => result.batches(), close: closeAll };
  } catch (thrown) {
    await closeAll();
    throw thrown;
  }
}

/** A piece of a file that is read at a time. */
const READ_BYTES = 256 * 1024;

function rangesOf(file: FileHandle): RangeRead {
  return async function* read(start, end) {
    for (let at = start; at < end; ) {
      const buffer = new Uint8Array(Math.min(READ_BYTES, end - at));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
      at += bytesRead;
    }
  };
}

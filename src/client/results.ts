/**
 * Results: what jobs have made, as methods. Bytes stream as those of datasets do; tables are of apache-arrow, which is
 * loaded by the first of them and not before.
 *
 * A result may be asked for before it is whole: what is done by then is a table like any other, and its heading says that
 * it is not all. So nobody is given half a table without a word, `load` refuses it unless it was asked for.
 */
import type { RecordBatch, Table } from 'apache-arrow';
import { errorText, PolarisError } from '../base/errors.ts';
import { CLIENT_LOAD_TRIES_MAX } from '../base/limits.ts';
import { MEDIA_TYPES } from '../base/media-types.ts';
import type { JobJson, RangeJson } from '../http/job-json.ts';
import type { ResultInfoJson } from '../http/result-look.ts';
import type { JobState } from '../ranges/types.ts';
import type { Call } from './client.ts';
import type { ReadOptions } from './datasets.ts';
import { type Content, download } from './download.ts';
import { queryText } from './query-text.ts';
import type { Tries } from './tries.ts';

export interface ResultOptions extends ReadOptions {
  /** Only what points of `[start, end)` made: the outputs that begin there, so ranges side by side give every row once. */
  readonly range?: RangeJson;
}

export interface ResultGetOptions extends ResultOptions {
  /** The media type to answer with; an Arrow stream when left out. */
  readonly accept?: string;
  /** Gives what is there and then what comes, in range order, until the job is over. An end without an error is all of it. */
  readonly follow?: boolean;
}

export interface ResultLoadOptions extends ResultOptions {
  readonly follow?: boolean;
  /** What is there will do, though it is not all. */
  readonly partial?: boolean;
  /** Empty batches too, which a followed result has for a sign of life where nothing came for a while. */
  readonly beats?: boolean;
}

export interface ResultContent extends Content {
  /** The whole id of the job. */
  readonly job: string;
  /** The rest is null where it is followed, and so not known before the end. */
  readonly state: JobState | null;
  /** Every point that was asked for is done, and all that it made is in the body. */
  readonly complete: boolean | null;
  readonly rows: number | null;
}

export interface ResultsContext {
  readonly tries: Tries;
  readonly call: <T>(call: Call) => Promise<T>;
}

export class Results {
  readonly #context: ResultsContext;

  constructor(context: ResultsContext) {
    this.#context = context;
  }

  /** @throws PolarisError JOB_NOT_FOUND, NO_RESULT, NOT_ACCEPTABLE */
  async get(id: string, options: ResultGetOptions = {}): Promise<ResultContent> {
    const { accept = MEDIA_TYPES.arrow, follow = false, range, consistency, signal } = options;
    const query = queryText({ consistency, range: rangeText(range), follow: follow ? 'true' : undefined });
    const wanted = { path: `${pathOf(id)}${query}`, headers: { accept }, signal };
    const content = await (follow ? this.#patiently(wanted) : this.#once(wanted));
    if (content === null) throw new PolarisError('INTERNAL', 'a result that was asked for is never unchanged');
    return follow ? { ...content, body: this.#explained(content, signal) } : content;
  }

  /** What is known of it, without its rows. */
  info(id: string, { range, consistency, signal }: ResultOptions = {}): Promise<ResultInfoJson> {
    const query = queryText({ consistency, range: rangeText(range) });
    return this.#context.call({ method: 'GET', path: `${pathOf(id)}/info${query}`, signal });
  }

  /** All of it, in memory. @throws PolarisError WRONG_STATE when it is not whole and `partial` does not say that it may be */
  async load(id: string, options: ResultLoadOptions = {}): Promise<Table> {
    const { Table: ArrowTable } = await import('apache-arrow');
    for (let tries = 1; ; tries++) {
      const batches: RecordBatch[] = [];
      try {
        for await (const batch of this.loadStream(id, options)) batches.push(batch);
        return new ArrowTable(batches);
      } catch (thrown) {
        // Nobody has seen anything of it yet, so it may begin anew.
        const isBroken = thrown instanceof PolarisError && thrown.code === 'TRANSFER_BROKEN';
        if (!isBroken || tries === CLIENT_LOAD_TRIES_MAX) throw thrown;
      }
    }
  }

  /**
   * Batch by batch, as they come. Where the node of a followed result is lost, another one is asked, and what was given is not
   * given again. @throws PolarisError as `load`
   */
  loadStream(id: string, options: ResultLoadOptions = {}): AsyncGenerator<RecordBatch, void, void> {
    return options.follow === true ? this.#followed(id, options) : this.#present(id, options);
  }

  async *#present(id: string, { partial = false, beats: _, ...rest }: ResultLoadOptions): AsyncGenerator<RecordBatch> {
    const { readArrowStream } = await import('../data/arrow-stream.ts');
    const { complete, rows, body, job, cancel } = await this.get(id, { ...rest, accept: MEDIA_TYPES.arrow });
    if (complete === false && !partial) {
      await cancel();
      throw new PolarisError('WRONG_STATE', `the result of job ${job} is not whole yet: follow it, or say partial`);
    }
    let count = 0;
    for await (const batch of readArrowStream(body)) {
      count += batch.numRows;
      yield batch;
    }
    if (rows === null || rows === count) return;
    throw new PolarisError('TRANSFER_BROKEN', `the result of job ${job} has ${rows} rows, and ${count} came`);
  }

  /** Its rows are the same in the same order whoever gives them, so those that come a second time are counted and passed over. */
  async *#followed(id: string, { partial: _, beats = false, ...rest }: ResultLoadOptions): AsyncGenerator<RecordBatch> {
    const { readArrowStream } = await import('../data/arrow-stream.ts');
    let given = 0;
    for (let tries = 1; ; tries++) {
      try {
        const { body } = await this.get(id, { ...rest, accept: MEDIA_TYPES.arrow });
        let come = 0;
        for await (const batch of readArrowStream(body, { keepsEmpty: beats })) {
          const known = Math.min(batch.numRows, given - come);
          come += batch.numRows;
          if (known > 0 && known === batch.numRows) continue;
          if (come > given) [given, tries] = [come, 0];
          yield known === 0 ? batch : batch.slice(known);
        }
        return;
      } catch (thrown) {
        const isBroken = thrown instanceof PolarisError && thrown.code === 'TRANSFER_BROKEN';
        if (!isBroken || tries >= CLIENT_LOAD_TRIES_MAX) throw thrown;
      }
    }
  }

  #once(wanted: Wanted): Promise<ResultContent | null> {
    const { signal } = wanted;
    return this.#context.tries.run({ signal, isLong: true }, (url, tryMs) =>
      download(url, tryMs, wanted, resultHeading),
    );
  }

  /** Nobody knows how long the first row takes. */
  async #patiently(wanted: Wanted): Promise<ResultContent | null> {
    for (;;) {
      try {
        return await this.#once(wanted);
      } catch (thrown) {
        if (!(thrown instanceof PolarisError) || thrown.code !== 'TIMED_OUT') throw thrown;
      }
    }
  }

  /** A node breaks off what can never be whole, and cannot say why: the job can. */
  async *#explained({ body, job }: ResultContent, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    try {
      yield* body;
    } catch (cause) {
      if (!(cause instanceof PolarisError) || cause.code !== 'TRANSFER_BROKEN') throw cause;
      const call: Call = { method: 'GET', path: `/v1/jobs/${job}`, signal };
      const state = await this.#context.call<JobJson>(call).then(
        (found) => found.state,
        (thrown: unknown) => errorText(thrown),
      );
      const broken = `the result of job ${job} is not whole`;
      if (state === 'failed')
        throw new PolarisError('FAILED_RANGES', `${broken}: some of its ranges failed`, { cause });
      if (state === 'cancelled') throw new PolarisError('WRONG_STATE', `${broken}: it was cancelled`, { cause });
      throw cause;
    }
  }
}

interface Wanted {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
}

function resultHeading(headers: Headers): Omit<ResultContent, keyof Content> | null {
  const job = headers.get('polaris-job');
  if (job === null) return null;
  const [state, complete, rows] = ['state', 'complete', 'rows'].map((name) => headers.get(`polaris-${name}`));
  return {
    job,
    state: (state ?? null) as JobState | null,
    complete: complete == null ? null : complete === 'true',
    rows: rows == null ? null : Number(rows),
  };
}

function pathOf(id: string): string {
  return `/v1/jobs/${encodeURIComponent(id)}/result`;
}

function rangeText(range: RangeJson | undefined): string | undefined {
  return range === undefined ? undefined : `${range[0]}:${range[1]}`;
}

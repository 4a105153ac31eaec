/**
 * Pipeline: a Client made of stages, each a function from batch to batch, that does not repeat what it has finished.
 *
 *     export const Trades = pipeline('trades')
 *       .stage('validate', (batch) => validate(batch))
 *       .stage('enrich', (batch, { signal }) => enrich(batch, signal))
 *       .checkpoints('every-stage');
 *
 * Think of a relay: whoever runs may fall, but the stick lies at the last hand-over. All batches of a range go through
 * the stages up to the next checkpoint, then the checkpoint is durable, then the next stage takes its first batch from
 * it. A worker that is lost costs the stages since the last checkpoint; another goes on behind it. Each `.stage` and
 * `.checkpoints` gives a new class, so what an `index.js` exports is the whole chain.
 *
 * Memory: batches stream. One is held for each stage of a segment, plus what the functions keep; a checkpoint is written as
 * they pass and read back one by one, never held whole. With 'none' all stages are one segment and nothing is written.
 *
 * The points of the task are acknowledged at the very end, when all that came out is emitted: a range is done as a unit.
 * A stage may see a batch again after a crash, so its own effects are at least once; what is emitted counts once, for it
 * becomes visible with the commit of the points only.
 *
 * Invariants: no batch reaches a stage before the checkpoint in front of it is durable · nothing is acknowledged before
 * everything is emitted · a stage whose checkpoint is of this code does not run again for that range.
 */
import type { RecordBatch, Schema } from 'apache-arrow';
import { must } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { NAME_LENGTH_MAX, STAGES_MAX } from '../base/limits.ts';
import type { Json } from '../base/types.ts';
import type { Delivery } from '../ranges/types.ts';
import { Client, type TaskContext } from './client.ts';
import {
  type CheckpointPolicy,
  type FoundCheckpoint,
  pipelineFingerprint,
  planSegments,
  resumePoint,
  type Segment,
  schemaText,
} from './stages.ts';

/** What stands between two stages of one range. */
export interface Checkpoint extends FoundCheckpoint {
  /** Opened when it is iterated, and read batch by batch. */
  readonly batches: AsyncIterable<RecordBatch>;
}

/** Checkpoints of the task's range, kept by (job, range, stage) with the epoch that wrote them. */
export interface CheckpointStore {
  /** The last one that was saved for this range, by whatever worker; null when there is none that can be read. */
  load(): Promise<Checkpoint | null>;
  /**
   * Takes the batches as they come. When it resolves they are durable and are what `load` gives. When the iteration throws,
   * or the lease has ended, it rejects and what was there before stays.
   */
  save(stage: number, fingerprint: string, batches: AsyncIterable<RecordBatch>): Promise<void>;
}

/** A task that has batches: what a pipeline asks of its host beyond points. */
export interface BatchTask<M = Readonly<Record<string, Json>>> extends TaskContext<M> {
  /** Content hash of the job type that runs. */
  readonly codeHash: string;
  readonly checkpoint: CheckpointStore;
}

export interface StageContext<M> {
  readonly task: BatchTask<M>;
  /** That of the task. */
  readonly signal: AbortSignal;
}

/** Gives what goes on to the next stage; null for nothing. All batches that one stage gives have one schema. */
export type StageFunction<M = Readonly<Record<string, Json>>> = (
  batch: RecordBatch,
  context: StageContext<M>,
) => RecordBatch | null | Promise<RecordBatch | null>;

export interface StageOptions {
  /** Any text; another one says that checkpoints of this stage mean something else. */
  readonly version?: string;
  /** What the stage gives: checked for every batch. */
  readonly output?: Schema;
}

export interface PipelineOptions<M> {
  /** JSON Schema of the metadata, as `Client.metadata`. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Where the rows come from, if not from the job's input; it must give the same ones for every attempt at a range. */
  readonly source?: (task: BatchTask<M>) => AsyncIterable<RecordBatch>;
}

/** A class that can be exported as a job type, and the next step of the chain. */
export interface PipelineClass<M> {
  new (): Client<M> & { work(task: BatchTask<M>): Promise<void> };
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly deliveries: readonly Delivery[];
  /** Its tasks are worked as a whole. */
  readonly kind: 'pipeline';
  stage(name: string, run: StageFunction<M>, options?: StageOptions): PipelineClass<M>;
  /** Default 'every-stage'. */
  checkpoints(policy: CheckpointPolicy): PipelineClass<M>;
}

interface Stage<M> {
  readonly name: string;
  readonly version: string | null;
  readonly output: Schema | null;
  readonly run: StageFunction<M>;
}

interface Design<M> {
  readonly name: string;
  readonly options: PipelineOptions<M>;
  readonly stages: readonly Stage<M>[];
  readonly policy: CheckpointPolicy;
}

/** A pipeline without stages yet. @throws PolarisError BAD_PIPELINE. */
export function pipeline<M = Readonly<Record<string, Json>>>(
  name: string,
  options: PipelineOptions<M> = {},
): PipelineClass<M> {
  checkName('a pipeline', name);
  return classOf({ name, options, stages: [], policy: 'every-stage' });
}

function classOf<M>(design: Design<M>): PipelineClass<M> {
  return class Pipeline extends Client<M> {
    static override readonly metadata = design.options.metadata ?? { type: 'object' };
    static override readonly deliveries = ['at-least-once'] as const;
    static readonly kind = 'pipeline';

    static stage(name: string, run: StageFunction<M>, options: StageOptions = {}): PipelineClass<M> {
      checkName('a stage', name);
      const { stages } = design;
      if (stages.some((stage) => stage.name === name)) throw wrong(design, `two stages are called "${name}"`);
      if (stages.length === STAGES_MAX) throw wrong(design, `more than ${STAGES_MAX} stages`);
      if (typeof run !== 'function') throw wrong(design, `stage "${name}" has no function`);
      const stage = { name, run, version: options.version ?? null, output: options.output ?? null };
      return classOf({ ...design, stages: [...stages, stage] });
    }

    static checkpoints(policy: CheckpointPolicy): PipelineClass<M> {
      const isKnown = policy === 'every-stage' || policy === 'none';
      if (!isKnown && !(Number.isSafeInteger(policy?.everyN) && policy.everyN >= 1)) {
        throw wrong(design, "checkpoints are 'every-stage', 'none' or { everyN: a positive integer }");
      }
      return classOf({ ...design, policy });
    }

    override work(task: BatchTask<M>): Promise<void> {
      return new Run(design, task).work();
    }
  };
}

/** One attempt at one range. */
class Run<M> {
  readonly #design: Design<M>;
  readonly #task: BatchTask<M>;
  readonly #fingerprint: string;

  constructor(design: Design<M>, task: BatchTask<M>) {
    if (design.stages.length === 0) throw wrong(design, 'it has no stages');
    if (task.checkpoint === undefined) throw wrong(design, 'this node gives its tasks no batches: upgrade it');
    this.#design = design;
    this.#task = task;
    this.#fingerprint = pipelineFingerprint(design.name, design.stages, task.codeHash);
  }

  async work(): Promise<void> {
    const task = this.#task;
    const { stages, policy, options } = this.#design;
    // The whole range is at work until the end: it is not cut in two meanwhile, and what is emitted belongs to all of it.
    const pieces = task.chunks(task.end - task.start);
    await pieces.next();
    const { from, checkpoint } = await this.#resume();
    let batches = checkpoint?.batches ?? options.source?.(task) ?? task.input();
    for (const segment of planSegments(stages.length, policy, from)) {
      batches = this.#through(segment, batches);
      if (segment.saves) batches = await this.#save(segment.to - 1, batches);
    }
    for await (const batch of batches) {
      task.signal.throwIfAborted();
      await task.emit(batch);
    }
    task.signal.throwIfAborted();
    // Asking for more says that this is done.
    await pieces.next();
  }

  async #resume(): Promise<{ readonly from: number; readonly checkpoint: Checkpoint | null }> {
    const { name, stages } = this.#design;
    const found = await this.#task.checkpoint.load();
    const resume = resumePoint(stages.length, this.#fingerprint, found === null ? [] : [found]);
    for (const { stage } of resume.foreign) {
      this.#task.log(
        `pipeline ${name}: the checkpoint behind stage ${stage + 1} is of other code; the range begins anew`,
      );
    }
    if (resume.from > 0) {
      const last = must(stages[resume.from - 1], 'a checkpoint stands behind one of the stages').name;
      this.#task.log(`pipeline ${name}: goes on from the checkpoint behind stage ${resume.from}, "${last}"`);
    }
    return resume;
  }

  #through({ from, to }: Segment, source: AsyncIterable<RecordBatch>): AsyncIterable<RecordBatch> {
    const { stages } = this.#design;
    return stages.slice(from, to).reduce((batches, stage) => this.#apply(stage, batches), source);
  }

  async *#apply(stage: Stage<M>, batches: AsyncIterable<RecordBatch>): AsyncGenerator<RecordBatch> {
    const task = this.#task;
    const context = { task, signal: task.signal };
    let expected = stage.output;
    for await (const batch of batches) {
      task.signal.throwIfAborted();
      const given = await stage.run(batch, context);
      if (given === null) continue;
      expected = this.#checkSchema(stage, given, expected);
      yield given;
    }
  }

  #checkSchema(stage: Stage<M>, given: RecordBatch, expected: Schema | null): Schema {
    // Plain JavaScript may return anything.
    if (typeof given?.numRows !== 'number')
      throw wrong(this.#design, `stage "${stage.name}" gave no batch and not null`);
    if (expected === null) return given.schema;
    const [found, wanted] = [schemaText(given.schema), schemaText(expected)];
    if (found === wanted) return expected;
    const source = stage.output === null ? 'gave before' : 'declares';
    throw wrong(this.#design, `stage "${stage.name}" gave (${found}) and ${source} (${wanted})`);
  }

  /** Writes a checkpoint, and gives what was written: the next stage sees nothing that could still be lost. */
  async #save(stage: number, batches: AsyncIterable<RecordBatch>): Promise<AsyncIterable<RecordBatch>> {
    const { checkpoint, signal } = this.#task;
    await checkpoint.save(stage, this.#fingerprint, batches);
    signal.throwIfAborted();
    const saved = await checkpoint.load();
    if (saved?.stage === stage && saved.fingerprint === this.#fingerprint) return saved.batches;
    throw wrong(this.#design, `the checkpoint behind stage ${stage + 1} was saved and is not there`);
  }
}

function checkName(what: string, name: string): void {
  if (typeof name === 'string' && name.length >= 1 && name.length <= NAME_LENGTH_MAX) return;
  throw new PolarisError('BAD_PIPELINE', `${what} needs a name of 1 to ${NAME_LENGTH_MAX} characters`);
}

function wrong(design: Pick<Design<never>, 'name'>, detail: string): PolarisError {
  return new PolarisError('BAD_PIPELINE', `pipeline ${design.name}: ${detail}`);
}

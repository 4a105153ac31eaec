/**
 * A table with a pen: writes commands at the next index through their bytes, as the log would, and checks every
 * invariant after each.
 */
import { expect } from 'vitest';
import { must } from '../../src/base/assert.ts';
import type { Handle } from '../../src/base/handle.ts';
import { decodeCommand, encodeCommand } from '../../src/ranges/codec.ts';
import { checkTable } from '../../src/ranges/invariants.ts';
import { fillOptions } from '../../src/ranges/options.ts';
import { JobTable } from '../../src/ranges/table.ts';
import type { Command, JobSpec, JobView, Outcome, StampedOutput, TableEvent } from '../../src/ranges/types.ts';

export const MAIL = 'mail';

/** A blob that is easy to tell from others. */
export function handleOf(number: number, schema = '0123456789abcdef'): Handle {
  return { hash: number.toString(16).padStart(64, '0'), bytes: 1_000 + number, rows: number, schema };
}

/** A UUIDv4 that is easy to tell from others. */
export function jobId(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}

export interface SpecChanges extends Partial<Omit<JobSpec, 'options'>> {
  readonly options?: Readonly<Record<string, unknown>>;
}

export function specOf(changes: SpecChanges = {}): JobSpec {
  const { options = {}, ...rest } = changes;
  const base = {
    id: jobId(1),
    name: MAIL,
    start: 0,
    end: 100,
    metadata: '{}',
    exposure: 'window',
    overseen: false,
    input: null,
    inputName: null,
    collects: false,
  } as const;
  return { ...base, ...rest, options: fillOptions({ commitEvery: 10, ...options }) };
}

/** The same command with other fields, as a distributive Omit. */
type Untimed<C> = C extends { readonly at: number } ? Omit<C, 'at'> & { readonly at?: number } : C;

export class Pen {
  readonly table = new JobTable();
  /** All events so far. */
  readonly events: TableEvent[] = [];
  /** Of the last command. */
  last: readonly TableEvent[] = [];
  /** Stamp of the next command that brings none. */
  at = 1_000;

  apply(command: Untimed<Command>): Outcome {
    return this.applyBytes(encodeCommand({ at: this.at, ...command } as Command));
  }

  applyBytes(payload: Uint8Array): Outcome {
    const { outcome, events } = this.table.apply(this.table.appliedIndex + 1, payload);
    this.last = events;
    this.events.push(...events);
    checkTable(this.table);
    return outcome;
  }

  submit(changes: SpecChanges = {}): Outcome {
    return this.apply({ kind: 'submit-job', stamp: null, spec: specOf(changes) });
  }

  /** Joins a worker and gives its incarnation. */
  join(worker = 'w1', names: readonly string[] = [MAIL]): number {
    const offers = names.map((name) => ({ name, hash: 'h' }));
    const outcome = this.apply({
      kind: 'worker-join',
      worker,
      instanceId: `i-${worker}`,
      address: 'h:1',
      slots: 9,
      offers,
    });
    expect(outcome.kind).toBe('joined');
    return this.table.appliedIndex;
  }

  tryGrant(size: number, { worker = 'w1', job = jobId(1), retry = null as number | null } = {}): Outcome {
    const incarnation = this.table.worker(worker)?.incarnation ?? 0;
    return this.apply({ kind: 'grant', job, worker, incarnation, size, retry });
  }

  /** Grants and gives the epoch. */
  grant(size: number, choice: { worker?: string; job?: string; retry?: number | null } = {}): number {
    const outcome = this.tryGrant(size, choice);
    expect(outcome).toEqual({ kind: 'granted', epoch: this.table.appliedIndex });
    return this.table.appliedIndex;
  }

  progress(epoch: number, cursor: number, claimed = cursor, outputs: readonly StampedOutput[] = []): Outcome {
    return this.apply({ kind: 'progress', cursors: [{ epoch, cursor, claimed, outputs }] });
  }

  /** Completes a task up to its end. */
  complete(epoch: number): Outcome {
    const { end } = must(this.table.task(epoch), 'the task to complete is live');
    return this.apply({ kind: 'complete', outputs: [], epoch, cursor: end, begun: end });
  }

  fail(epoch: number, cursor: number, begun: number, error = 'boom'): Outcome {
    return this.apply({ kind: 'fail', outputs: [], epoch, cursor, begun, error });
  }

  release(epoch: number, cursor: number, begun: number): Outcome {
    return this.apply({ kind: 'release', outputs: [], epoch, cursor, begun });
  }

  expire(worker = 'w1'): Outcome {
    const incarnation = this.table.worker(worker)?.incarnation ?? 0;
    return this.apply({ kind: 'worker-expire', worker, incarnation, reason: 'silence' });
  }

  control(action: 'pause' | 'resume' | 'cancel', id = jobId(1)): Outcome {
    return this.apply({ kind: 'control-job', id, action });
  }

  job(id = jobId(1)): JobView {
    return must(this.table.job(id), 'the job is in the table');
  }

  /** What a replica is after it took this one's snapshot. */
  restored(): JobTable {
    const copy = new JobTable();
    copy.restore(this.table.appliedIndex, this.table.snapshot());
    return copy;
  }
}

/** Two encodings of what was decoded are the same bytes. */
export function roundTrip(command: Command): Command {
  const bytes = encodeCommand(command);
  const decoded = decodeCommand(bytes);
  expect(encodeCommand(decoded)).toEqual(bytes);
  return decoded;
}

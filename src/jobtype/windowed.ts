/**
 * Windowed: windows of event time over all that a job emits, as a Master that does not lose its place.
 *
 *     const turnover = windows({
 *       time: 'at',
 *       keys: ['product'],
 *       window: tumbling(60_000),
 *       aggregates: [{ fn: 'sum', column: 'cents', as: 'turnover' }],
 *     });
 *     export const Turnover = turnover.Master;
 *
 * The Master takes what points emit in the order of the points, for only there is it known what came too late; its state is
 * the open windows and what was told of closed ones, so whoever leads next goes on with them. Its result has each window once.
 * Tasks emit their rows as they are, or `partial(rows)`: the windows of these rows alone, which are far less.
 *
 * A node reads this file when it starts; what knows Arrow is loaded with the first batch.
 */
import type { RecordBatch } from 'apache-arrow';
import type { KeptWindows } from '../data/windows/kept.ts';
import type { WindowsSpec } from '../data/windows/spec.ts';
import { Master } from './master.ts';

/** To be exported as it is, or extended with `plan`, `onProgress` and `onComplete`. */
export interface WindowsMaster {
  new (): Omit<Master, 'collect' | 'state' | 'restore' | 'finish'> & {
    collect(batch: RecordBatch): Promise<void>;
    state(): Promise<RecordBatch[]>;
    restore(batches: readonly RecordBatch[]): Promise<void>;
    finish(): Promise<RecordBatch[]>;
  };
}

export interface WindowedJob {
  /** What a task emits in place of its rows, with `late: 'drop'` only. @throws PolarisError BAD_WINDOWS when they do not fit */
  partial(rows: RecordBatch): Promise<RecordBatch>;
  readonly Master: WindowsMaster;
}

const engine = () => import('../data/windows/kept.ts');

/** With `late: 'side'` the result has the rows that were too late behind the windows, in columns of their own. */
export function windows(spec: WindowsSpec): WindowedJob {
  return {
    partial: async (rows) => (await engine()).packPartial(spec, rows),
    Master: class WindowsMaster extends Master {
      override readonly ordered = true;
      #kept: KeptWindows | null = null;

      override async collect(batch: RecordBatch): Promise<void> {
        (await this.#open()).take(batch);
      }

      override async state(): Promise<RecordBatch[]> {
        return (await this.#open()).state();
      }

      override async restore(batches: readonly RecordBatch[]): Promise<void> {
        (await this.#open()).restore(batches);
      }

      override async finish(): Promise<RecordBatch[]> {
        return (await this.#open()).finish();
      }

      async #open(): Promise<KeptWindows> {
        this.#kept ??= new (await engine()).KeptWindows(spec);
        return this.#kept;
      }
    },
  };
}

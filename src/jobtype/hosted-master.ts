/**
 * HostedMaster: the Master in a job host, as its node sees it.
 *
 * The host keeps the time of what its Master does; ours is behind it, for a host that is stopped or wedged.
 *
 * Invariant: every order is answered exactly once, with the end of the host at the latest.
 */
import { errorText, PolarisError } from '../base/errors.ts';
import { ABORT_GRACE_MS, ERROR_TEXT_MAX } from '../base/limits.ts';
import { MASTER_ASKS_MAX, MASTER_CALL_MS } from '../base/limits-masters.ts';
import type { HostOrder, HostReport, MasterOrder, MasterReturn } from './protocol.ts';

/** Who hears of an order. */
export interface MasterEvents {
  /** Rows of a dataset, for a Master that plans. Without it there are none to ask for. */
  readonly rows?: (dataset: string) => Promise<number>;
  readonly returned: (returned: MasterReturn) => void;
}

interface Hosted {
  readonly events: MasterEvents;
  late: NodeJS.Timeout;
  asks: number;
}

interface HostedMasterOptions {
  readonly send: (order: HostOrder) => void;
  /** It is out of time, and its host said nothing of it. */
  readonly late: () => void;
  readonly ended: () => void;
}

/** The host takes orders one by one: one that runs and one behind it. */
const MASTER_LATE_MS = 2 * MASTER_CALL_MS + ABORT_GRACE_MS;

export class HostedMaster {
  readonly #options: HostedMasterOptions;
  /** By a number of ours. */
  readonly #orders = new Map<number, Hosted>();
  #last = 0;

  constructor(options: HostedMasterOptions) {
    this.#options = options;
  }

  get isIdle(): boolean {
    return this.#orders.size === 0;
  }

  give(order: MasterOrder, events: MasterEvents): void {
    const id = ++this.#last;
    this.#orders.set(id, { events, late: this.#timer(), asks: 0 });
    this.#options.send({ type: 'oversee', id, order });
  }

  receive(report: Extract<HostReport, { type: 'overseen' | 'moved' | 'ask' }>): void {
    const hosted = this.#orders.get(report.id);
    if (hosted === undefined) return;
    if (report.type === 'overseen') this.#end(report.id, hosted, report.returned);
    else if (report.type === 'ask') this.#ask(hosted, report);
    // What waits behind it waits for no dead one.
    else for (const each of this.#orders.values()) this.#rearm(each);
  }

  /** The host is gone. */
  settle(reason: string): void {
    for (const [id, hosted] of [...this.#orders]) this.#end(id, hosted, lostWith(reason));
  }

  #timer(): NodeJS.Timeout {
    return setTimeout(this.#options.late, MASTER_LATE_MS);
  }

  #rearm(hosted: Hosted): void {
    clearTimeout(hosted.late);
    hosted.late = this.#timer();
  }

  #end(id: number, { events, late }: Hosted, { error, ...returned }: MasterReturn): void {
    this.#orders.delete(id);
    clearTimeout(late);
    events.returned({ ...returned, error: error === null ? null : String(error).slice(0, ERROR_TEXT_MAX) });
    this.#options.ended();
  }

  #ask(hosted: Hosted, { id, ask, dataset }: Extract<HostReport, { type: 'ask' }>): void {
    const { rows } = hosted.events;
    hosted.asks += 1;
    // Whoever asks for ever is told nothing more, and runs out of time.
    if (rows === undefined || hosted.asks > MASTER_ASKS_MAX) return;
    rows(String(dataset)).then(
      (count) => this.#options.send({ type: 'answer', id, ask, rows: count }),
      (thrown: unknown) => {
        const { code, detail } =
          thrown instanceof PolarisError ? thrown : new PolarisError('INTERNAL', errorText(thrown));
        this.#options.send({ type: 'answer', id, ask, rows: null, code, detail });
      },
    );
  }
}

/** What is answered for a host that cannot answer any more. */
export function lostWith(reason: string): MasterReturn {
  return { error: reason, code: null, lost: true, value: null };
}

/**
 * Silence: how long a transfer may stand still before it counts as lost. A transfer that moves may take hours, and the
 * time in which this side lets the other wait is nobody's silence.
 */
export class Silence {
  /** Aborts when the other side was silent for too long, or when the caller says so. */
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(caller?: AbortSignal) {
    const { signal } = this.#controller;
    this.signal = caller === undefined ? signal : AbortSignal.any([signal, caller]);
  }

  get isOver(): boolean {
    return this.#controller.signal.aborted;
  }

  /** From now on it is the other side's turn, for so long. */
  await(timeoutMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(), Math.ceil(timeoutMs));
  }

  /** From now on it is ours. */
  rest(): void {
    clearTimeout(this.#timer);
  }
}

/**
 * Intake: batches that come to a task from its node, piece by piece, as fast as they are used and no faster.
 *
 * One piece is read while the next is on its way, so a reading takes two pieces of disk and one batch of memory, however
 * long the range. A reading that is given up is closed by whoever iterates, as with every async iterable.
 */
import { readFileSync, unlinkSync } from 'node:fs';
import { ERRORS, type ErrorCode, PolarisError } from '../base/errors.ts';
import type { DataAnswer, DataRequest, ReadingSource } from './data-words.ts';
import { pieceFile } from './spool-files.ts';

type Piece = Extract<DataAnswer, { kind: 'piece' | 'unreadable' }>;

export interface IntakeOptions {
  readonly spool: string;
  readonly ask: (request: DataRequest) => void;
  readonly signal: AbortSignal;
}

interface Waiting {
  readonly resolve: (piece: Piece) => void;
  readonly reject: (reason: unknown) => void;
}

export class Intake {
  readonly #options: IntakeOptions;
  #last = 0;
  /** Whoever waits for the next piece of a reading, and pieces for which nobody waits yet. */
  readonly #waiting = new Map<number, Waiting>();
  readonly #arrived = new Map<number, Piece>();

  constructor(options: IntakeOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => {
      for (const { reject } of this.#waiting.values()) reject(options.signal.reason);
    });
  }

  /** An Arrow stream. @throws PolarisError what the node says of it; the reason of the signal */
  async *bytes(source: ReadingSource): AsyncGenerator<Uint8Array> {
    const { ask, spool, signal } = this.#options;
    const reading = ++this.#last;
    ask({ kind: 'read', reading, source });
    try {
      for (;;) {
        const piece = await this.#next(reading);
        if (piece.kind === 'unreadable') throw new PolarisError(codeOf(piece.code), piece.detail);
        const path = pieceFile(spool, reading, piece.piece);
        const bytes = readFileSync(path);
        unlinkSync(path);
        if (!piece.isLast) ask({ kind: 'read', reading, source });
        yield bytes;
        if (piece.isLast) return;
        signal.throwIfAborted();
      }
    } finally {
      this.#arrived.delete(reading);
      ask({ kind: 'close', reading });
    }
  }

  /** From the node. */
  arrived(piece: Piece): void {
    const waiting = this.#waiting.get(piece.reading);
    if (waiting === undefined) this.#arrived.set(piece.reading, piece);
    else waiting.resolve(piece);
  }

  async #next(reading: number): Promise<Piece> {
    const arrived = this.#arrived.get(reading);
    this.#arrived.delete(reading);
    if (arrived !== undefined) return arrived;
    this.#options.signal.throwIfAborted();
    try {
      return await new Promise<Piece>((resolve, reject) => this.#waiting.set(reading, { resolve, reject }));
    } finally {
      this.#waiting.delete(reading);
    }
  }
}

function codeOf(code: string): ErrorCode {
  return code in ERRORS ? (code as ErrorCode) : 'BLOB_STORE_FAILED';
}

/**
 * A shelf of names alone, each of whose steps waits until the test lets it go on: with it every interleaving of what several
 * processes do to one blob can be tried.
 */
import { type Copy, nameOf } from '../../../src/store/blobs/names.ts';
import type { Draft, OpenCopy, Shelf } from '../../../src/store/blobs/shelf.ts';

export class ModelShelf implements Shelf {
  readonly contentBytesMax = Number.MAX_SAFE_INTEGER;
  readonly #names = new Map<string, Copy>();
  /** By name: how often a draft was published before this content came, which goes with it wherever it is moved. */
  readonly #generations = new Map<string, number>();
  #published = 0;
  readonly #step: () => Promise<unknown>;
  readonly #changed: (copies: readonly Copy[]) => void;

  /** @param changed is told of every change. */
  constructor(step: () => Promise<unknown>, changed: (copies: readonly Copy[]) => void) {
    this.#step = step;
    this.#changed = changed;
  }

  get now(): Copy[] {
    return [...this.#names.values()];
  }

  /** Of the copy that counts, or any other: 1 for what was published first. */
  generationOf(copy: Copy): number {
    return this.#generations.get(nameOf(copy)) ?? 0;
  }

  async copies(): Promise<Copy[]> {
    await this.#step();
    return this.now;
  }

  async *all(): AsyncGenerator<Copy> {
    yield* await this.copies();
  }

  async move(copy: Copy, stamp: number): Promise<boolean> {
    await this.#step();
    if (!this.#names.delete(nameOf(copy))) return false;
    this.#set({ ...copy, stamp }, this.generationOf(copy));
    return true;
  }

  async remove(copy: Copy): Promise<boolean> {
    await this.#step();
    const isThere = this.#names.delete(nameOf(copy));
    this.#changed(this.now);
    return isThere;
  }

  async identify(copy: Copy): Promise<string> {
    return nameOf(copy);
  }

  async removeOnly(copy: Copy): Promise<boolean> {
    return this.remove(copy);
  }

  async settle(): Promise<void> {
    await this.#step();
  }

  async draft(): Promise<Draft> {
    return {
      append: async () => {},
      publish: async (copy) => {
        await this.#step();
        this.#published += 1;
        this.#set(copy, this.#published);
      },
      abandon: async () => {},
    };
  }

  async open(): Promise<OpenCopy | null> {
    return null;
  }

  #set(copy: Copy, generation: number): void {
    this.#names.set(nameOf(copy), copy);
    this.#generations.set(nameOf(copy), generation);
    this.#changed(this.now);
  }
}

/**
 * The conformance suite of a blob store: what everybody above leans on, run against every kind.
 *
 * The suite is a list of facts, so that it can be run against broken stores as well, to see which fact finds them out
 * (twins.test.ts). A harness gives a place that outlives the stores opened on it.
 */
import { describe, test } from 'vitest';
import type { BlobHash } from '../../../src/base/handle.ts';
import type { BlobStore } from '../../../src/store/blobs/types.ts';
import { damageFacts } from './facts-damage.ts';
import { putFacts } from './facts-put.ts';
import { readFacts } from './facts-read.ts';
import { stampFacts } from './facts-stamp.ts';

export interface BlobHarness {
  /** Opens a store on the place, as another process or another life does; `owner` is the node's id. */
  open(owner?: string): Promise<BlobStore>;
  /** Changes the stored bytes of the only copy, content and digests, as a disk does that fails. */
  damage(hash: BlobHash, change: (stored: Buffer) => Uint8Array): Promise<void>;
  /** Names of all that lies in the place beside copies. */
  leftovers(): Promise<string[]>;
  /** Where nothing can be held open, a reader loses a copy that is deleted; it never gets other bytes. */
  readonly readersHoldOn: boolean;
  dispose(): Promise<void>;
}

export interface BlobFact {
  readonly name: string;
  readonly check: (harness: BlobHarness) => Promise<void>;
}

export const BLOB_FACTS: readonly BlobFact[] = [...putFacts, ...readFacts, ...damageFacts, ...stampFacts];

export function blobSuite(options: { readonly name: string; readonly create: () => Promise<BlobHarness> }): void {
  describe(`${options.name}: conformance`, () => {
    for (const { name, check } of BLOB_FACTS) {
      test(name, async () => {
        const harness = await options.create();
        try {
          await check(harness);
        } finally {
          await harness.dispose();
        }
      });
    }
  });
}

/** Names of the facts, among those so named, that do not hold. */
export async function brokenFacts(create: () => Promise<BlobHarness>, named: RegExp): Promise<string[]> {
  const broken: string[] = [];
  for (const { name, check } of BLOB_FACTS.filter((fact) => named.test(fact.name))) {
    const harness = await create();
    try {
      await check(harness);
    } catch {
      broken.push(name);
    } finally {
      await harness.dispose();
    }
  }
  return broken;
}

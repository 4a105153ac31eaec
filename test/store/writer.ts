/**
 * A process that writes entries for ever and prints the index of each once it is acknowledged. Ended by kill -9, or by a
 * disk that fails: then it tries once more, and prints both errors.
 */
import { writeSync } from 'node:fs';
import { PolarisError } from '../../src/base/errors.ts';
import { createPrng } from '../../src/base/prng.ts';
import { sealRecord } from '../../src/base/record.ts';
import { openLevelStore } from '../../src/store/level.ts';

const { store } = await openLevelStore(process.argv[2] ?? '', { prng: createPrng(1) });

function next(index: number): void {
  const record = sealRecord(1, index, Buffer.alloc(1_000, `entry ${index} `));
  const hardState = { term: 1, vote: null, commit: index - 1 };
  store.write({ hardState, entries: [{ term: 1, index, record }] }, (error) => {
    if (error === null) {
      writeSync(1, `${index}\n`);
      next(index + 1);
    } else {
      failed(error);
      store.write({ hardState }, (again) => failed(again));
    }
  });
}

function failed(error: Error | null): void {
  writeSync(1, `${error instanceof PolarisError ? error.code : error}\n`);
}

next(1);

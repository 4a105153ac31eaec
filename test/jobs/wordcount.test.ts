/**
 * wordcount: however the text is cut, and whoever takes over from whom, the counts are those of one loop.
 */
import { readFileSync } from 'node:fs';
import { type RecordBatch, Table, Utf8, vectorFromArray } from 'apache-arrow';
import { expect, test } from 'vitest';
import { WordCount, WordCounter } from '../../jobs/wordcount/index.ts';
import { words } from '../../jobs/wordcount/words.ts';
import { batchesOf, cutAt, emittedBy, rowsIn } from './task-twin.ts';

const LINES = readFileSync(new URL('../../docs/architecture.md', import.meta.url), 'utf8').split('\n');
const METADATA = { dataset: 'page', column: 'line' };

function batchOf(lines: readonly (string | null)[]): RecordBatch {
  return new Table({ line: vectorFromArray(lines, new Utf8()) }).batches[0]!;
}

/** By other means than the job: no table, no batch, no regular expression for words. */
function naive(lines: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  const isPunctuation = (character: string) => /\p{P}/u.test(character);
  for (const piece of lines.join('\n').split(/\s/u)) {
    const characters = [...piece];
    while (characters.length > 0 && isPunctuation(characters[0]!)) characters.shift();
    while (characters.length > 0 && isPunctuation(characters.at(-1)!)) characters.pop();
    const word = characters.join('').toLowerCase();
    if (word !== '') counts[word] = (counts[word] ?? 0) + 1;
  }
  return counts;
}

test('a word is what stands between white space, without punctuation around it, in lower case', () => {
  expect([...words('  “Don’t,” she said — *twice*…\tÉtat-MAJOR (1,000)!  ')]).toEqual([
    'don’t',
    'she',
    'said',
    'twice',
    'état-major',
    '1,000',
  ]);
});

test('the counts of a page are those of one loop, with a Master that is replaced after every output', async () => {
  const input = [batchOf(LINES.slice(0, 30)), batchOf(LINES.slice(30))];
  let master = new WordCount();
  for (const range of cutAt(0, LINES.length, 7, 30, 31, 90)) {
    for (const batch of await emittedBy(WordCounter, { ...range, metadata: METADATA, input, commitEvery: 10 })) {
      await master.collect(batch);
      const successor = new WordCount();
      await successor.restore(await batchesOf(master.state()));
      master = successor;
    }
  }
  const counted = rowsIn(await batchesOf(master.finish()));
  const found = Object.fromEntries(counted.map(({ word, count }) => [word, Number(count)]));
  expect(found).toEqual(naive(LINES));
  expect(counted.map(({ word }) => word)).toEqual([...Object.keys(naive(LINES))].sort());
});

test('rows without a text have no words, and a column that is not there is named', async () => {
  const input = [batchOf([null, 'one', null])];
  const batches = await emittedBy(WordCounter, { start: 0, end: 3, metadata: METADATA, input });
  expect(rowsIn(batches)).toEqual([{ word: 'one', count: 1n }]);
  const other = emittedBy(WordCounter, { start: 0, end: 3, metadata: { ...METADATA, column: 'text' }, input });
  await expect(other).rejects.toThrow('the dataset has no column "text"');
});

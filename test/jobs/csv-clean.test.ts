/**
 * csv-clean: what each stage does, and what all three make of a table.
 */
import { expect, test } from 'vitest';
import { complete, lower, trim } from '../../jobs/csv-clean/clean.ts';
import { CsvClean } from '../../jobs/csv-clean/index.ts';
import { readCsv } from '../../src/data/csv-in.ts';
import { sourceOf } from '../../src/data/sources.ts';
import { cutAt, emittedBy, rowsIn } from './task-twin.ts';

const CSV = `name,email,age
 Ada , ADA@example.org ,36
Grace,   ,45
"  ",nobody@example.org,1
Alan,Alan@Example.ORG,
`;

async function table() {
  const batches = [];
  for await (const batch of readCsv(sourceOf(Buffer.from(CSV)))) batches.push(batch);
  return batches;
}

test('white space goes, rows that lack a required value go, and named columns are in lower case', async () => {
  const input = await table();
  const metadata = { dataset: 'people', required: ['name', 'email'], lower: ['email'] };
  const expected = [
    { name: 'Ada', email: 'ada@example.org', age: 36n },
    { name: 'Alan', email: 'alan@example.org', age: null },
  ];
  expect(rowsIn(await emittedBy(CsvClean, { start: 0, end: 4, metadata, input }))).toEqual(expected);
  const parts = [];
  for (const range of cutAt(0, 4, 1, 2)) parts.push(...(await emittedBy(CsvClean, { ...range, metadata, input })));
  expect(rowsIn(parts)).toEqual(expected);
});

test('without wishes only white space goes', async () => {
  const input = await table();
  const rows = rowsIn(await emittedBy(CsvClean, { start: 0, end: 4, metadata: { dataset: 'people' }, input }));
  expect(rows.map(({ name, email }) => [name, email])).toEqual([
    ['Ada', 'ADA@example.org'],
    ['Grace', null],
    [null, 'nobody@example.org'],
    ['Alan', 'Alan@Example.ORG'],
  ]);
});

test('each stage keeps the columns, and names one that is not there', async () => {
  const [batch] = await table();
  for (const made of [trim(batch!), complete(batch!, ['age']), lower(batch!, ['name'])]) {
    expect(String(made.schema)).toBe(String(batch!.schema));
  }
  expect(() => complete(batch!, ['phone'])).toThrow('the dataset has no column "phone"');
  expect(() => lower(batch!, ['phone'])).toThrow('the dataset has no column "phone"');
});

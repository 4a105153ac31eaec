import {
  Dictionary,
  Field,
  Int32,
  Int64,
  Interval,
  IntervalUnit,
  List,
  Schema,
  Struct,
  Timestamp,
  TimeUnit,
  Union,
  Utf8,
  Utf8View,
} from 'apache-arrow';
import { describe, expect, test } from 'vitest';
import { isSchemaHash } from '../../src/base/handle.ts';
import { COLUMNS_MAX } from '../../src/base/limits.ts';
import {
  checkSchema,
  describeSchema,
  plainSchema,
  sameSchema,
  schemaDifference,
  schemaHash,
} from '../../src/data/schema.ts';
import { KINDS } from './arbitrary.ts';

const schemaOf = (...fields: Field[]) => new Schema(fields);
const word = new Field('word', new Utf8(), true);
const count = new Field('count', new Int64(), true);

describe('hash', () => {
  test('it is the same for the same columns, and says nothing of metadata', () => {
    const hash = schemaHash(schemaOf(word, count));
    expect(isSchemaHash(hash)).toBe(true);
    const noted = new Field('word', new Utf8(), true, new Map([['note', 'x']]));
    expect(schemaHash(new Schema([noted, count], new Map([['a', 'b']])))).toBe(hash);
    // Handles are kept for years; a change of this text makes all of them strangers to new ones.
    expect(hash).toBe('de288787b1b9cd33');
  });

  test('a name, a type, its parameters, nullability and order each change it', () => {
    const struct = (name: string) => new Field('s', new Struct([new Field(name, new Int32(), true)]), true);
    const time = (unit: TimeUnit, zone: string | null) => new Field('t', new Timestamp(unit, zone), true);
    const schemas = [
      schemaOf(),
      schemaOf(word),
      schemaOf(word, count),
      schemaOf(count, word),
      schemaOf(new Field('word', new Utf8(), false)),
      schemaOf(new Field('words', new Utf8(), true)),
      schemaOf(new Field('word', new Int32(), true)),
      schemaOf(new Field('word: utf8, count', new Int64(), true)),
      schemaOf(new Field('word', new List(word), true)),
      schemaOf(new Field('word', new List(new Field('item', new Utf8(), false)), true)),
      schemaOf(struct('a')),
      schemaOf(struct('b')),
      schemaOf(time(TimeUnit.SECOND, null)),
      schemaOf(time(TimeUnit.MILLISECOND, null)),
      schemaOf(time(TimeUnit.SECOND, 'UTC')),
      ...Object.values(KINDS).map(({ type }) => schemaOf(new Field('k', type, true))),
    ];
    expect(new Set(schemas.map(schemaHash)).size).toBe(schemas.length);
  });

  test('a dictionary and a view are the type of their values', () => {
    for (const type of [new Dictionary(new Utf8(), new Int32()), new Utf8View()]) {
      const other = schemaOf(new Field('word', type, true));
      expect(schemaHash(other)).toBe(schemaHash(schemaOf(word)));
      expect(plainSchema(other).fields[0]!.type.toString()).toBe('Utf8');
    }
  });
});

describe('words', () => {
  test('a schema is described as a person would write it', () => {
    expect(describeSchema(schemaOf(word, new Field('a b', new Int64(), false)))).toBe(
      'word: utf8, "a b": int64 not null',
    );
    expect(describeSchema(schemaOf())).toBe('no columns');
    const many = Array.from({ length: 23 }, (_, at) => new Field(`c${at}`, new Int32(), true));
    expect(describeSchema(schemaOf(...many))).toMatch(/c19: int32 and 3 more$/);
  });

  test('the first difference is named with its side', () => {
    const sides = { one: 'task 1', other: 'task 2' };
    expect(schemaDifference(schemaOf(word, count), schemaOf(word, count))).toBeNull();
    expect(schemaDifference(schemaOf(word, count), schemaOf(word), sides)).toBe(
      'column 2 (count: int64) is in task 1 and missing in task 2',
    );
    expect(schemaDifference(schemaOf(), schemaOf(word), sides)).toBe(
      'column 1 (word: utf8) is in task 2 and missing in task 1',
    );
    const other = new Field('count', new Int32(), false);
    expect(schemaDifference(schemaOf(word, count), schemaOf(word, other), sides)).toBe(
      'column 2 is count: int64 in task 1 and count: int32 not null in task 2',
    );
    expect(sameSchema(schemaOf(word), schemaOf(other))).toBe(false);
  });
});

describe('refusals', () => {
  const refusal = (...fields: Field[]) => {
    try {
      checkSchema(schemaOf(...fields));
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  };

  test('types that are not carried are named with their column, at any depth', () => {
    const interval = new Field('how long', new Interval(IntervalUnit.DAY_TIME), true);
    expect(refusal(new Field('x', new Struct([interval]), true))).toBe(
      'BAD_SCHEMA: Column x."how long" is of type Interval<DAY_TIME>, which is not carried.',
    );
    expect(refusal(new Field('u', new Union(0, [], []), true))).toMatch(/^BAD_SCHEMA: Column u is of type /);
    const lists = new Dictionary(new List(word), new Int32());
    expect(refusal(new Field('d', lists, true))).toBe(
      'BAD_SCHEMA: Column d is a dictionary of list<utf8>, which is not carried.',
    );
  });

  test('columns are counted at all depths together, to the limit', () => {
    const columns = (many: number) => Array.from({ length: many }, (_, at) => new Field(`c${at}`, new Int32(), true));
    expect(refusal(...columns(COLUMNS_MAX))).toBeNull();
    expect(refusal(...columns(COLUMNS_MAX + 1))).toMatch(
      /^BAD_SCHEMA: At column c4096 there are more than 4096 columns/,
    );
    expect(refusal(new Field('s', new Struct(columns(COLUMNS_MAX)), true))).toMatch(/^BAD_SCHEMA: At column s\.c4095/);
    expect(refusal(word, count, word)).toBe('BAD_SCHEMA: There are two columns word.');
  });
});

/**
 * Plan: whether a query falls apart over the rows of one dataset, and into what.
 *
 * Some queries can be asked of any part of a dataset by itself, and their answers be put together: rows that are picked and
 * reshaped one by one are put one behind the other, and a count is the sum of the counts of the parts. The plan says what
 * to ask of each part (`partial`, over TABLE_PART) and what of the answers, one behind the other in the order of the rows
 * (`final`, over TABLE_ANSWERS). For all others it says why they do not: such a query runs as a whole, in one place.
 *
 * It is a function of text and types alone. Whatever is not understood to fall apart does not: a plan that is missing costs
 * time, and a wrong one the truth.
 *
 * Invariant: for every cut of the rows into parts, `final` over the answers of `partial` is what the query itself gives, up
 * to the order of rows that it leaves open and the rounding of sums of floats.
 */
import { PolarisError } from '../base/errors.ts';
import { type Clauses, cutClauses, type Item, NotPlanned } from './clauses.ts';
import { Folds, isColumnName } from './folds.ts';
import { OF_VALUES } from './functions.ts';
import { flat, isSign, isWord, namedBy, type Part, parseStatement } from './statement.ts';
import { type Token, textOf } from './tokens.ts';

export const TABLE_PART = 'part';
export const TABLE_ANSWERS = 'answers';

export interface Plan {
  readonly kind: 'rows' | 'groups';
  readonly dataset: string;
  /** Asked of each part of the rows. */
  readonly partial: string;
  /** Asked of all answers. */
  readonly final: string;
}

export type Planned = { readonly plan: Plan; readonly reason: null } | { readonly plan: null; readonly reason: string };

/** Columns of the dataset, with the texts of their types. */
export type ColumnTypes = ReadonlyMap<string, string>;

/** @throws PolarisError BAD_QUERY for what no query is */
export function planQuery(sql: string, columns: ColumnTypes): Planned {
  const { parts, datasets } = parseStatement(sql);
  try {
    const [dataset, other] = datasets;
    if (dataset === undefined) throw new NotPlanned('it reads no dataset');
    if (other !== undefined) throw new NotPlanned(`it reads "${dataset}" and "${other}"`);
    const clauses = cutClauses(parts, dataset);
    return { plan: { dataset, ...(isFolding(clauses) ? planGroups : planRows)(clauses, columns) }, reason: null };
  } catch (thrown) {
    if (thrown instanceof NotPlanned) return { plan: null, reason: thrown.message };
    throw thrown;
  }
}

type Halves = Pick<Plan, 'kind' | 'partial' | 'final'>;

function isFolding({ items, groupBy, having }: Clauses): boolean {
  if (groupBy !== null || having !== null) return true;
  return items.some(({ value }) => flat(value).some((token) => isWord(token, 'COUNT', 'SUM', 'MIN', 'MAX', 'AVG')));
}

// ---- rows that are picked and reshaped ------------------------------------------------------------------------------

function planRows({ distinct, items, where, orderBy, limit, offset }: Clauses, columns: ColumnTypes): Halves {
  for (const { value } of items) requireRowWise(value);
  if (where !== null) requireRowWise(where);
  // The engine gives a row for literals, however many rows there are.
  if (!items.some(({ value }) => namesColumn(value))) throw new NotPlanned('it selects no column');
  const order = orderBy === null ? [] : orderOf(orderBy, items, columns);
  const select = phrase('SELECT', distinct ? word('DISTINCT') : [], itemsText(items), ...from(TABLE_PART, where));
  // Without an order, the first rows are those of the dataset; each part needs no more than all of them.
  const few = orderBy === null && !distinct && limit !== null ? phrase('LIMIT', number(limit + (offset ?? 0))) : [];
  const final = phrase('SELECT', distinct ? word('DISTINCT') : [], [
    ...sign('*'),
    ...from(TABLE_ANSWERS, null),
    ...order,
    ...tail({ limit, offset }),
  ]);
  return { kind: 'rows', partial: textOf([...select, ...few]), final: textOf(final) };
}

/** Of one row after the other: no window, no aggregate, nothing that counts rows. */
function requireRowWise(parts: readonly Part[]): void {
  parts.forEach((part, at) => {
    if (isWord(part, 'OVER', 'FILTER')) throw new NotPlanned('it looks at more than one row at a time (OVER)');
    if (part.kind === 'group') requireRowWise(part.parts);
    const next = parts[at + 1];
    if (part.kind !== 'word' || next?.kind !== 'group' || next.open !== '(') return;
    const name = part.text.toLowerCase();
    if (isWord(part, 'IN', 'AND', 'OR', 'NOT', 'WHEN', 'THEN', 'ELSE', 'BETWEEN', 'LIKE', 'EXCLUDE', 'DECIMAL')) return;
    if (!OF_VALUES.has(name)) throw new NotPlanned(`${part.text}(…) is not known to look at one row at a time`);
  });
}

function namesColumn(parts: readonly Part[]): boolean {
  return parts.some((part, at) => {
    if (part.kind === 'group') return namesColumn(part.parts);
    return isColumnName(part, parts[at + 1]) || (isSign(part, '*') && at === 0);
  });
}

// ---- groups ---------------------------------------------------------------------------------------------------------

function planGroups(clauses: Clauses, columns: ColumnTypes): Halves {
  const { distinct, items, where, groupBy, having, orderBy, limit, offset } = clauses;
  if (distinct) throw new NotPlanned('it asks for DISTINCT groups');
  if (where !== null) requireRowWise(where);
  const folds = new Folds(columns);
  for (const key of groupBy ?? []) {
    const meant = meantBy(key, items);
    requireRowWise(meant);
    folds.key(meant);
  }
  const finals = items.map((item) => ({ name: folds.nameOf(item), value: folds.rewrite(item.value) }));
  if (new Set(finals.map(({ name }) => name)).size < finals.length) throw new NotPlanned('two columns have one name');
  const aliases = new Map(items.map(({ alias }, at) => [alias, finals[at]?.value ?? []]));
  const kept = having === null ? [] : phrase('HAVING', folds.rewrite(withAliases(having, aliases)));
  const order = orderBy === null ? [] : orderOf(orderBy, items, new Map());
  const select = finals.flatMap(({ name, value }, at) => [
    ...(at === 0 ? [] : sign(',')),
    ...value,
    ...word('AS'),
    quoted(name),
  ]);
  const { partialItems, keys } = folds.partial();
  const partial = phrase('SELECT', partialItems, [
    ...from(TABLE_PART, where),
    ...grouped(keys.map(({ value }) => value)),
  ]);
  const final = phrase('SELECT', select, [
    ...from(TABLE_ANSWERS, null),
    ...grouped(keys.map(({ name }) => [quoted(name)])),
    ...kept,
    ...order,
    ...tail({ limit, offset }),
  ]);
  return { kind: 'groups', partial: textOf(partial), final: textOf(final) };
}

/** A key may be the place of a column in the answer, or the name that it has there. */
function meantBy(key: readonly Part[], items: readonly Item[]): readonly Part[] {
  const [only, more] = key;
  if (more !== undefined || only === undefined) return key;
  if (only.kind === 'number') {
    const item = items[Number(only.text) - 1];
    if (item === undefined) throw new NotPlanned(`it groups by a column ${only.text} that it does not have`);
    return item.value;
  }
  const named = items.find(({ alias }) => alias !== null && alias === namedBy(only));
  if (named === undefined) return key;
  // A column of the same name would be meant as well, and which of the two is the engine's to say.
  throw new NotPlanned(
    `it groups by "${named.alias}", a name given with AS; group by what it stands for, or by its place`,
  );
}

/** HAVING may use names of the answer, which stand for what was folded already. */
function withAliases(parts: readonly Part[], aliases: ReadonlyMap<string | null, readonly Token[]>): readonly Part[] {
  for (const token of flat(parts)) {
    const isNamed = (token.kind === 'word' || token.kind === 'name') && aliases.has(token.text);
    if (isNamed) throw new NotPlanned(`HAVING uses "${token.text}", a name given with AS; say what it stands for`);
  }
  return parts;
}

// ---- both -----------------------------------------------------------------------------------------------------------

/** By names and places of the answer: those are what `final` has, too. */
function orderOf(
  orderBy: readonly (readonly Part[])[],
  items: readonly Item[],
  columns: ColumnTypes,
): readonly Token[] {
  const isAll = items.some(({ whole: [only, more] }) => isSign(only, '*') && more === undefined);
  const names = new Set([...items.map(({ alias, column }) => alias ?? column), ...(isAll ? columns.keys() : [])]);
  for (const [first, ...direction] of orderBy) {
    const isPlace = first?.kind === 'number';
    const isName = names.has(namedBy(first)) && namedBy(first) !== null;
    const isPlain = direction.every((part) => isWord(part, 'ASC', 'DESC', 'NULLS', 'FIRST', 'LAST'));
    if ((isPlace || isName) && isPlain) continue;
    throw new NotPlanned('it is ordered by something else than columns of its answer');
  }
  const list = orderBy.flatMap((parts, at) => [...(at === 0 ? [] : sign(',')), ...flat(parts)]);
  return [...word('ORDER'), ...word('BY'), ...list];
}

function from(table: string, where: readonly Part[] | null): readonly Token[] {
  return [...word('FROM'), quoted(table), ...(where === null ? [] : phrase('WHERE', flat(where)))];
}

function grouped(keys: readonly (readonly Token[])[]): readonly Token[] {
  if (keys.length === 0) return [];
  return phrase('GROUP', [...word('BY'), ...keys.flatMap((key, at) => [...(at === 0 ? [] : sign(',')), ...key])]);
}

function tail({ limit, offset }: Pick<Clauses, 'limit' | 'offset'>): readonly Token[] {
  return [
    ...(limit === null ? [] : phrase('LIMIT', number(limit))),
    ...(offset === null ? [] : phrase('OFFSET', number(offset))),
  ];
}

function itemsText(items: readonly Item[]): readonly Token[] {
  return items.flatMap(({ whole }, at) => [...(at === 0 ? [] : sign(',')), ...flat(whole)]);
}

function phrase(first: string, ...rest: readonly (readonly Token[] | Token)[]): readonly Token[] {
  return [...word(first), ...rest.flat()];
}

function word(text: string): readonly Token[] {
  return [{ kind: 'word', text, at: 0 }];
}

function sign(text: string): readonly Token[] {
  return [{ kind: 'sign', text, at: 0 }];
}

function number(value: number): readonly Token[] {
  if (!Number.isSafeInteger(value)) throw new PolarisError('BAD_QUERY', 'LIMIT and OFFSET are integers');
  return [{ kind: 'number', text: String(value), at: 0 }];
}

function quoted(text: string): Token {
  return { kind: 'name', text, at: 0 };
}

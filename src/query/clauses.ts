/**
 * Clauses: a SELECT over one dataset, cut into its parts. It knows the one shape that can be planned; whatever has another is
 * turned down with the reason, and is none the worse for it.
 */
import { must } from '../base/assert.ts';
import { flat, isSign, isWord, namedBy, type Part } from './statement.ts';

/** Why a query runs as a whole. */
export class NotPlanned extends Error {
  override readonly name = 'NotPlanned';
}

/** One column of the answer. */
export interface Item {
  readonly whole: readonly Part[];
  /** Without its name. */
  readonly value: readonly Part[];
  /** The name behind AS. */
  readonly alias: string | null;
  /** Set where the value is a bare column. */
  readonly column: string | null;
}

export interface Clauses {
  readonly distinct: boolean;
  readonly items: readonly Item[];
  readonly where: readonly Part[] | null;
  readonly groupBy: readonly (readonly Part[])[] | null;
  readonly having: readonly Part[] | null;
  readonly orderBy: readonly (readonly Part[])[] | null;
  readonly limit: number | null;
  readonly offset: number | null;
}

/** In the order in which they come. */
const ORDER = ['SELECT', 'FROM', 'WHERE', 'GROUP', 'HAVING', 'ORDER', 'LIMIT', 'OFFSET'] as const;
type ClauseName = (typeof ORDER)[number];

/** @throws NotPlanned */
export function cutClauses(parts: readonly Part[], dataset: string): Clauses {
  const found = cut(parts);
  const whole = found.get('SELECT') ?? [];
  const distinct = isWord(whole[0], 'DISTINCT');
  if (distinct && isWord(whole[1], 'ON')) throw new NotPlanned('it is DISTINCT ON some columns');
  const tables = aliasesOf(found.get('FROM') ?? [], dataset);
  // Columns are named alone from here on: there is only one table that they could be of.
  const clause = (name: ClauseName): readonly Part[] | null => {
    const given = found.get(name);
    return given === undefined ? null : unqualified(given, tables);
  };
  const by = (name: ClauseName): readonly (readonly Part[])[] | null => {
    const given = clause(name);
    if (given === null) return null;
    if (!isWord(given[0], 'BY') || isWord(given[1], 'ALL'))
      throw new NotPlanned(`${name} is not followed by BY and columns`);
    return cutItems(given.slice(1));
  };
  return {
    distinct,
    items: cutItems(must(clause('SELECT'), 'a query selects').slice(distinct ? 1 : 0)).map(itemOf),
    where: clause('WHERE'),
    groupBy: by('GROUP'),
    having: clause('HAVING'),
    orderBy: by('ORDER'),
    limit: countOf(clause('LIMIT')),
    offset: countOf(clause('OFFSET')),
  };
}

/** At the commas. */
export function cutItems(parts: readonly Part[]): readonly (readonly Part[])[] {
  const items: Part[][] = [[]];
  for (const part of parts) {
    if (isSign(part, ',')) items.push([]);
    else items.at(-1)?.push(part);
  }
  if (items.some((item) => item.length === 0)) throw new NotPlanned('a list has an empty place');
  return items;
}

function cut(parts: readonly Part[]): ReadonlyMap<ClauseName, readonly Part[]> {
  const found = new Map<ClauseName, Part[]>();
  let last = -1;
  for (const part of parts) {
    const at = ORDER.findIndex((name) => isWord(part, name));
    if (isWord(part, 'WITH', 'UNION', 'INTERSECT', 'EXCEPT', 'WINDOW', 'QUALIFY', 'FETCH', 'FOR')) {
      throw new NotPlanned(`it uses ${flat([part])[0]?.text}`);
    }
    if (part.kind === 'group' && flat([part]).some((token) => isWord(token, 'SELECT'))) {
      throw new NotPlanned('it has a query within it');
    }
    if (at < 0) {
      const name = ORDER[last];
      if (name === undefined) throw new NotPlanned('it does not begin with SELECT');
      found.get(name)?.push(part);
      continue;
    }
    // Two of the engine's own extensions come in another order.
    if (at <= last) throw new NotPlanned('its clauses come in an order of their own');
    last = at;
    found.set(must(ORDER[at], 'it was found there'), []);
  }
  return found;
}

/** Names by which columns of the dataset may be qualified. */
function aliasesOf(from: readonly Part[], dataset: string): ReadonlySet<string> {
  const [table, ...rest] = from;
  const named = isWord(rest[0], 'AS') ? rest.slice(1) : rest;
  const [alias, more] = named;
  const name = alias === undefined ? dataset : namedBy(alias);
  if (table?.kind === 'name' && name !== null && more === undefined) return new Set([name]);
  throw new NotPlanned('it reads more than one dataset by name');
}

function unqualified(parts: readonly Part[], tables: ReadonlySet<string>): readonly Part[] {
  const kept: Part[] = [];
  for (let at = 0; at < parts.length; at++) {
    const part = must(parts[at], 'the index is within the list');
    if (part.kind === 'group') kept.push({ ...part, parts: unqualified(part.parts, tables) });
    else if (isSign(parts[at + 1], '.') && !isSign(parts[at - 1], '.') && tables.has(part.text)) at += 1;
    else kept.push(part);
  }
  return kept;
}

function itemOf(whole: readonly Part[]): Item {
  const alias = isWord(whole.at(-2), 'AS') ? namedBy(whole.at(-1)) : null;
  const value = alias === null ? whole : whole.slice(0, -2);
  return { whole, value, alias, column: value.length === 1 ? namedBy(value[0]) : null };
}

function countOf(parts: readonly Part[] | null): number | null {
  if (parts === null) return null;
  const [only, more] = parts;
  const count = only?.kind === 'number' && more === undefined ? Number(only.text) : Number.NaN;
  if (!Number.isSafeInteger(count)) throw new NotPlanned('LIMIT or OFFSET is no plain integer');
  return count;
}

/**
 * /v1/query: SQL over datasets. The node that is asked runs the query; only the look at what the names stand for is the
 * leader's. The answer streams, in whatever format datasets go out in.
 *
 * All names are looked up at once, at one point of the log, so a query never sees one dataset before and another after a
 * change that was made to both in that order; which versions it saw stands in the answer.
 *
 * Invariants: a query changes nothing · whoever goes away takes his query with him.
 */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { PolarisError } from '../base/errors.ts';
import type { Handle } from '../base/handle.ts';
import { QUERY_DATASETS_MAX, QUERY_NEIGHBOURS_MAX } from '../base/limits-query.ts';
import type { LogIndex } from '../base/types.ts';
import { arrowFileOf, type QueryDesk } from '../query/desk.ts';
import type { Plan } from '../query/plan.ts';
import { parseStatement } from '../query/statement.ts';
import type { Table } from '../ranges/types.ts';
import type { DatasetContext } from './datasets.ts';
import { atLeader, onLeader } from './forward.ts';
import { goneWith } from './patience.ts';
import type { HttpContext, HttpRoute } from './route.ts';
import { expectNothing, parse } from './schema.ts';
import { readTable } from './settle.ts';

export interface QueryContext extends Omit<DatasetContext, 'streams'> {
  readonly queries: QueryDesk;
}

/** A dataset as it was when it was asked for. */
export interface LookedUp {
  readonly name: string;
  readonly version: LogIndex;
  readonly handle: Handle;
}

const QUERY = '/v1/query';
const LOOK = `${QUERY}/look`;
const PLAN = `${QUERY}/plan`;

/** What would run where. */
export interface PlanJson {
  readonly datasets: readonly {
    readonly name: string;
    readonly version: number;
    readonly rows: number;
    readonly bytes: number;
  }[];
  /** As a range job over the rows of one dataset; null where it runs as a whole. */
  readonly plan: Plan | null;
  /** Why it runs as a whole. */
  readonly reason: string | null;
}

export function queryRoutes(context: QueryContext): readonly HttpRoute[] {
  return [
    { method: 'POST', url: QUERY, handle: (request, reply) => query(context, request, reply) },
    { method: 'POST', url: PLAN, handle: (request, reply) => explain(context, request, reply) },
    { method: 'POST', url: LOOK, handle: (request, reply) => look(context, request, reply) },
  ];
}

const querySchema = z.strictObject({ sql: z.string('must be a text').min(1, 'must not be empty') });
const lookSchema = z.strictObject({ names: z.array(z.string('must be a text')).min(1).max(QUERY_DATASETS_MAX) });

async function query(context: QueryContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  expectNothing(request.query, 'the query');
  const { sql } = parse(querySchema, request.body, 'the body');
  const { text, datasets } = parseStatement(sql);
  const { formatFor } = await import('../data/formats.ts');
  const { write, mediaTypes } = formatFor(request.headers.accept);
  const { signal } = goneWith(reply);
  const tables = await lookUp(context, request, datasets);
  const result = await context.queries.ask({ text, tables, signal });
  // Read to its end or given up, the connection says so once.
  if (signal.aborted) await result.close();
  else signal.addEventListener('abort', () => void result.close().catch(() => {}), { once: true });
  if (write === null) throw new PolarisError('NOT_ACCEPTABLE', 'this format is read only');
  reply
    .type(mediaTypes[0] ?? '')
    .header('vary', 'accept')
    .header('polaris-rows', String(result.rows))
    .header('polaris-versions', tables.map(({ name, version }) => `${name}=${version}`).join(', '));
  return reply.send(Readable.from(write(result.batches()), { objectMode: false }));
}

/** Nothing is run. */
async function explain(context: QueryContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { sql } = parse(querySchema, request.body, 'the body');
  const tables = await lookUp(context, request, parseStatement(sql).datasets);
  const columns = new Map<string, string>();
  if (tables[0] !== undefined && tables.length === 1) {
    const { typeText } = await import('../data/column-type.ts');
    const { schema } = await arrowFileOf(await context.data.depot.open(tables[0].handle.hash));
    for (const { name, type } of schema.fields) columns.set(name, typeText(type));
  }
  const { planQuery } = await import('../query/plan.ts');
  const datasets = tables.map(({ name, version, handle: { rows, bytes } }) => ({ name, version, rows, bytes }));
  return reply.send({ datasets, ...planQuery(sql, columns) } satisfies PlanJson);
}

async function look(context: QueryContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { names } = parse(lookSchema, request.body, 'the body');
  return onLeader(context, { request, reply, write: false, body: { names } }, async () =>
    reply.send({ tables: await lookHere(context, names) }),
  );
}

/** At one moment, as new as everything that was answered before. @throws PolarisError NOT_FOUND, NO_LEADER */
export async function lookUp(
  context: HttpContext,
  request: FastifyRequest,
  names: readonly string[],
): Promise<readonly LookedUp[]> {
  if (names.length === 0) return [];
  const question = { request, method: 'POST', path: LOOK, write: false, body: { names } };
  const { tables } = await atLeader(context, question, async () => ({ tables: await lookHere(context, names) }));
  return tables;
}

function lookHere({ api }: HttpContext, names: readonly string[]): Promise<readonly LookedUp[]> {
  return readTable(api, 'linearizable', (table) => names.map((name) => find(table, name)));
}

function find(table: Table, wanted: string): LookedUp {
  const dataset = table.dataset(wanted);
  if (dataset === undefined)
    throw new PolarisError('NOT_FOUND', `there is no dataset "${wanted}"${hintFor(table, wanted)}`);
  const { name, version, handle } = dataset;
  return { name, version, handle };
}

/** Names that may have been meant. */
function hintFor(table: Table, wanted: string): string {
  const near = [...table.datasets()]
    .map(({ name }) => ({ name, likeness: likeness(name.toLowerCase(), wanted.toLowerCase()) }))
    .filter(({ likeness: found }) => found > 0)
    .sort((one, other) => other.likeness - one.likeness)
    .slice(0, QUERY_NEIGHBOURS_MAX);
  return near.length === 0 ? '' : `; there are ${near.map(({ name }) => `"${name}"`).join(', ')}`;
}

/** Of what both begin and end with, as a part of the longer one; one within the other is near. Cheap: it is the leader's turn. */
function likeness(one: string, other: string): number {
  const [short, long] = one.length <= other.length ? [one, other] : [other, one];
  let head = 0;
  while (head < short.length && short[head] === long[head]) head += 1;
  let tail = 0;
  while (tail < short.length - head && short.at(-1 - tail) === long.at(-1 - tail)) tail += 1;
  const shared = (head + tail) / long.length;
  if (shared >= 0.5) return shared;
  return short.length >= 3 && long.includes(short) ? short.length / long.length : 0;
}

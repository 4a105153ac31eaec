/**
 * /v1/jobs/:id/result: what a job has made, as one table in whatever format, while it runs and afterwards.
 *
 * Any node gives it: the one that is asked waits until its table is as new as the leader's, looks once, and reads the blobs
 * from wherever they lie; one without a table hands on what the leader gives. A look is a moment: what is committed later is not in the answer, and the headers say whether
 * it is all. Who follows gets the rows in range order as they are committed, and an answer that ends in order is all of
 * it; where no more can come, it is broken off, so that nobody takes it for whole.
 *
 * A job without rows is a problem and no empty table: nobody knows the columns, and a table of none would fail its reader
 * somewhere else, much later.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PolarisError } from '../base/errors.ts';
import { READ_WAIT_MS } from '../base/limits.ts';
import { RESULT_RANGES_SHOWN } from '../base/result-limits.ts';
import type { JobId, Range } from '../base/types.ts';
import type { Consistency } from '../daemon/api.ts';
import type { DatasetContext } from './datasets.ts';
import { findJob } from './find-job.ts';
import { atLeader, onLeader } from './forward.ts';
import { JSON_TYPE, pathId } from './read.ts';
import { Followers } from './result-follow.ts';
import { noResult, type ResultInfoJson, type ResultLook, resultInfo, resultLook, rowsOf } from './result-look.ts';
import { Relays } from './result-relay.ts';
import { parseResultInfoQuery, parseResultQuery, type ResultQuery } from './result-schema.ts';
import type { HttpRoute } from './route.ts';
import { sendBytes } from './send-bytes.ts';
import { readTable } from './settle.ts';

const CATCH_UP_MS = 5;

export function resultRoutes(context: DatasetContext): readonly HttpRoute[] {
  const followers = new Followers(context);
  const relays = new Relays(context);
  const url = '/v1/jobs/:id/result';
  return [
    {
      method: 'GET',
      url,
      handle: async (request, reply) => {
        const query = parseResultQuery(request.query);
        const handle = () => read(context, followers, request, reply, query);
        // Without copies there is no table to look into.
        return context.data.copies === null
          ? relays.answer(request, reply, { follow: query.follow, handle })
          : handle();
      },
    },
    { method: 'GET', url: `${url}/info`, handle: (request, reply) => show(context, request, reply) },
  ];
}

async function read(
  context: DatasetContext,
  followers: Followers,
  request: FastifyRequest,
  reply: FastifyReply,
  { range, follow, consistency }: ResultQuery,
): Promise<FastifyReply> {
  const id = await caughtUp(context, request, consistency);
  if (follow && request.method !== 'HEAD') return followers.answer(request, reply, { id, range });
  const look = await lookAt(context, id, range);
  const [first, ...rest] = look.outputs;
  if (first === undefined) throw noResult(look);
  const { giveOut } = await import('./dataset-bytes.ts');
  const wanted = { first: first.handle, rest: rest.map(({ handle }) => handle) };
  const { contentType, open } = giveOut(context.data, wanted, request.headers.accept);
  reply.type(contentType).header('vary', 'accept').headers(headersOf(look));
  if (request.method === 'HEAD') return reply.send();
  const hashes = look.outputs.map(({ handle }) => handle.hash);
  context.streams.enter(reply);
  return sendBytes(context.data, reply, hashes, open);
}

async function show(context: DatasetContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const id = pathId(request);
  const { consistency, range } = parseResultInfoQuery(request.query);
  const answer = async () => reply.type(JSON_TYPE).send(JSON.stringify(await infoOf(context, id, range)));
  if (consistency === 'local' && context.data.copies !== null) return answer();
  return onLeader(context, { request, reply, write: false }, async () => {
    await readTable(context.api, 'linearizable', () => null);
    return answer();
  });
}

function infoOf(context: DatasetContext, id: string, range: Range | null): Promise<ResultInfoJson> {
  const look = () =>
    readTable(context.api, 'local', (table) => resultInfo(resultLook(findJob(table, id), range), table.appliedIndex));
  return context.turnstile.run(look);
}

function lookAt(context: DatasetContext, id: string, range: Range | null): Promise<ResultLook> {
  return context.turnstile.run(() => readTable(context.api, 'local', (table) => resultLook(findJob(table, id), range)));
}

/**
 * The job's whole id, once the table of this node is as new as the asker wants it. A job may have thousands of outputs,
 * which are not sent from node to node when both have them.
 */
async function caughtUp(context: DatasetContext, request: FastifyRequest, consistency: Consistency): Promise<JobId> {
  const id = pathId(request);
  const { api } = context;
  if (consistency === 'local') return readTable(api, 'local', (table) => findJob(table, id).spec.id);
  const question = { request, method: 'GET', path: `/v1/jobs/${encodeURIComponent(id)}/result/info`, write: false };
  const { job, index } = await atLeader<Pick<ResultInfoJson, 'job' | 'index'>>(context, question, () =>
    readTable(api, 'linearizable', (table) => ({ job: findJob(table, id).spec.id, index: table.appliedIndex })),
  );
  const giveUpAt = performance.now() + READ_WAIT_MS;
  while ((await readTable(api, 'local', (table) => table.appliedIndex)) < index) {
    if (performance.now() >= giveUpAt) {
      throw new PolarisError(
        'OVERLOADED',
        `${api.id} is behind the leader by more than ${READ_WAIT_MS} ms; ask another`,
      );
    }
    await sleep(CATCH_UP_MS);
  }
  return job;
}

/** What a reader must know who sees the rows alone. */
function headersOf(look: ResultLook): Record<string, string> {
  const shown = look.ranges.slice(0, RESULT_RANGES_SHOWN).map(({ start, end }) => `${start}:${end}`);
  const more = look.ranges.length > shown.length ? ['...'] : [];
  return {
    'polaris-job': look.id,
    'polaris-state': look.state,
    'polaris-complete': String(look.isComplete),
    'polaris-rows': String(rowsOf(look.outputs)),
    'polaris-ranges': [...shown, ...more].join(','),
  };
}

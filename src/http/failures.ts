/**
 * GET /v1/jobs/:id/failures: what failed or is uncertain, with who, when and why; as JSON, or as CSV for a spreadsheet or
 * for the script that repairs it.
 *
 * A job has at most FAILED_RANGES_MAX failed and some UNCERTAIN_RANGES_MAX uncertain ranges, which is a few megabytes as
 * text. The lists themselves never change once they are given out, so they are kept and written piece by piece, as fast
 * as the reader reads.
 */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ANSWER_PIECE_CHARACTERS } from '../base/limits.ts';
import type { JobView } from '../ranges/types.ts';
import { failuresCsv } from './failures-csv.ts';
import { findJob } from './find-job.ts';
import { failedJson, uncertainJson } from './job-json.ts';
import { parseFailuresQuery } from './queries.ts';
import { answerLook, JSON_TYPE, pathId, type ReadContext } from './read.ts';
import type { HttpRoute } from './route.ts';

const CSV_TYPE = 'text/csv; charset=utf-8; header=present';

type Wrong = Pick<JobView, 'failed' | 'uncertain'>;

export function failureRoutes(context: ReadContext): readonly HttpRoute[] {
  return [{ method: 'GET', url: '/v1/jobs/:id/failures', handle: (request, reply) => answer(context, request, reply) }];
}

async function answer(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const id = pathId(request);
  const { consistency, format } = parseFailuresQuery(request.query);
  const asCsv = (format ?? wantedForm(request)) === 'csv';
  return answerLook(
    context,
    { request, reply, consistency },
    {
      look: (table): Wrong => {
        const { failed, uncertain } = findJob(table, id);
        return { failed, uncertain };
      },
      send: (wrong) => {
        const parts = asCsv ? failuresCsv(rowsOf(wrong)) : jsonParts(wrong);
        return reply.type(asCsv ? CSV_TYPE : JSON_TYPE).send(Readable.from(pieces(parts)));
      },
    },
  );
}

function wantedForm(request: FastifyRequest): 'json' | 'csv' {
  return /^text\/csv\b/i.test(request.headers.accept ?? '') ? 'csv' : 'json';
}

function rowsOf({ failed, uncertain }: Wrong) {
  return { failed: each(failed, failedJson), uncertain: each(uncertain, uncertainJson) };
}

function* jsonParts({ failed, uncertain }: Wrong): Iterable<string> {
  yield '{"failed":[';
  yield* listed(each(failed, failedJson));
  yield '],"uncertain":[';
  yield* listed(each(uncertain, uncertainJson));
  yield ']}';
}

function* listed(items: Iterable<object>): Iterable<string> {
  let separator = '';
  for (const item of items) {
    yield `${separator}${JSON.stringify(item)}`;
    separator = ',';
  }
}

function* each<T, R>(items: Iterable<T>, map: (item: T) => R): Iterable<R> {
  for (const item of items) yield map(item);
}

/** The same text in fewer pieces: a write a range would cost more than the range. */
function* pieces(parts: Iterable<string>): Iterable<string> {
  let gathered = '';
  for (const part of parts) {
    gathered += part;
    if (gathered.length < ANSWER_PIECE_CHARACTERS) continue;
    yield gathered;
    gathered = '';
  }
  if (gathered !== '') yield gathered;
}

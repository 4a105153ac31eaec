/**
 * /v1/schedules: jobs that are submitted again and again, by a cron text. PUT puts one in place of the one of its key,
 * so that it may be sent again after any failure; DELETE takes one away, and leaves the jobs that it submitted.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { parseCron } from '../base/cron.ts';
import { PolarisError } from '../base/errors.ts';
import type { Json } from '../base/types.ts';
import type { JobOptions, Schedule, Table } from '../ranges/types.ts';
import { admitJob, soundJob, wantedBody } from './admission.ts';
import { parseKey, parseSchedule, type WantedSchedule } from './control-schema.ts';
import { onLeader } from './forward.ts';
import { isoTime } from './job-json.ts';
import { pageText } from './page.ts';
import { parseConsistency, parsePageQuery } from './queries.ts';
import { answerText, type ReadContext } from './read.ts';
import type { HttpRoute } from './route.ts';
import { expectNothing } from './schema.ts';
import { dropSchedule, putSchedule, readTable } from './settle.ts';

export interface ScheduleJson {
  readonly key: string;
  readonly cron: string;
  readonly timeZone: string;
  /** What it submits. */
  readonly job: {
    readonly name: string;
    readonly start: number;
    readonly end: number;
    readonly metadata: Json;
    readonly options: JobOptions;
  };
  /** ISO 8601; null when it is never due again, or not until it is put anew. */
  readonly nextAt: string | null;
  readonly lastJob: string | null;
  /** Times that passed without a job: the last one was still at work, or nobody led. */
  readonly skipped: number;
}

const ONE = '/v1/schedules/:key';

export function scheduleRoutes(context: ReadContext): readonly HttpRoute[] {
  return [
    { method: 'GET', url: '/v1/schedules', handle: (request, reply) => list(context, request, reply) },
    { method: 'GET', url: ONE, handle: (request, reply) => show(context, request, reply) },
    { method: 'PUT', url: ONE, handle: (request, reply) => put(context, request, reply) },
    { method: 'DELETE', url: ONE, handle: (request, reply) => drop(context, request, reply) },
  ];
}

async function list(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { limit, after, consistency } = parsePageQuery(request.query);
  return answerText(context, { request, reply, consistency }, (table) => {
    const items = [...table.schedules()].filter(({ key }) => after === undefined || key > after);
    return pageText({ name: 'schedules', items, limit, look: scheduleJson, cursorOf: ({ key }) => key });
  });
}

async function show(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const key = keyOf(request);
  const consistency = parseConsistency(request.query);
  return answerText(context, { request, reply, consistency }, (table) =>
    JSON.stringify(scheduleJson(find(table, key))),
  );
}

async function put(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  expectNothing(request.query, 'the query');
  const key = keyOf(request);
  const wanted = parseSchedule(request.body);
  const { cron, timeZone, job } = wanted;
  const sound = soundJob(job);
  checkTimes(wanted, sound.spec.options);
  const body = { cron, timeZone, job: wantedBody(job) };
  return onLeader(context, { request, reply, write: true, body }, async () => {
    const isNew = await readTable(context.api, 'local', (table) => table.schedule(key) === undefined);
    await putSchedule(context.api, { key, cron, timeZone, spec: await admitJob(context, sound, null) });
    if (isNew) reply.code(201).header('location', `/v1/schedules/${key}`);
    return reply.send(await readTable(context.api, 'local', (table) => scheduleJson(find(table, key))));
  });
}

/** Answered with the schedule as it was. */
async function drop(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  expectNothing(request.query, 'the query');
  expectNothing(request.body ?? undefined, 'the body');
  const key = keyOf(request);
  return onLeader(context, { request, reply, write: true }, async () => {
    const dropped = await readTable(context.api, 'linearizable', (table) => scheduleJson(find(table, key)));
    await dropSchedule(context.api, key);
    return reply.send(dropped);
  });
}

/** @throws PolarisError BAD_OPTION for what can never be due, and for a job that says for itself when it starts */
function checkTimes({ cron, timeZone }: WantedSchedule, { at, after }: JobOptions): void {
  if (at !== null || after !== null) {
    throw new PolarisError(
      'BAD_OPTION',
      `a scheduled job starts when it is due: leave out ${at === null ? 'after' : 'at'}`,
    );
  }
  if (parseCron(cron, timeZone).next(Date.now()) === null) {
    throw new PolarisError('BAD_OPTION', `"${cron}" is never due again`);
  }
}

function keyOf(request: FastifyRequest): string {
  return parseKey((request.params as { readonly key: string }).key);
}

function find(table: Table, key: string): Schedule {
  const schedule = table.schedule(key);
  if (schedule === undefined) throw new PolarisError('NOT_FOUND', `there is no schedule "${key}"`);
  return schedule;
}

function scheduleJson({ key, cron, timeZone, spec, nextAt, lastJob, skipped }: Schedule): ScheduleJson {
  const { name, start, end, metadata, options } = spec;
  return {
    ...{ key, cron, timeZone },
    job: { name, start, end, metadata: JSON.parse(metadata), options },
    nextAt: nextAt === null ? null : isoTime(nextAt),
    ...{ lastJob, skipped },
  };
}

/**
 * Shapes of what an operator asks for while jobs run: other controls, a schedule, a worker at rest.
 */
import { z } from 'zod';
import { PolarisError } from '../base/errors.ts';
import { fillOptions } from '../ranges/options.ts';
import type { Controls } from '../ranges/types.ts';
import { jsonObject, parse, parseWanted, type WantedJob } from './schema.ts';

const CONTROLS = [
  'priority',
  'weight',
  'maxConcurrency',
  'pointsPerSecond',
  'tolerate',
] as const satisfies readonly (keyof Controls)[];
/** Null is a value of these: no bound. */
const UNBOUNDED: readonly string[] = ['maxConcurrency', 'pointsPerSecond'];
const changesSchema = z.strictObject({ options: jsonObject });

/** What `PATCH /v1/jobs/:id` changes; judged as at a submit. @throws PolarisError BAD_REQUEST or BAD_OPTION */
export function parseChanges(body: unknown): Partial<Controls> {
  if (body === undefined) throw new PolarisError('BAD_JSON', 'the body is empty; send {"options": {…}}');
  const { options } = parse(changesSchema, body, 'the body');
  const given = Object.keys(options);
  if (given.length === 0) throw new PolarisError('BAD_OPTION', `options is empty; it may have ${CONTROLS.join(', ')}`);
  const filled = fillOptions(options);
  for (const name of given) {
    if (!CONTROLS.some((control) => control === name)) {
      throw new PolarisError('BAD_OPTION', `${name} stays as it was submitted; ${CONTROLS.join(', ')} may change`);
    }
    if (options[name] === null && !UNBOUNDED.includes(name)) {
      throw new PolarisError('BAD_OPTION', `${name} must not be null`);
    }
  }
  const changed = CONTROLS.filter((control) => given.includes(control));
  return Object.fromEntries(changed.map((control) => [control, filled[control]]));
}

const scheduleSchema = z.strictObject({
  cron: z.string('must be a cron text such as "0 3 * * *"').min(1, 'must not be empty'),
  timeZone: z.string('must be the name of a time zone').min(1, 'must not be empty').default('UTC'),
  job: z.unknown(),
});

export interface WantedSchedule {
  readonly cron: string;
  readonly timeZone: string;
  readonly job: WantedJob;
}

/** What `PUT /v1/schedules/:key` asks for. @throws PolarisError as for a submit */
export function parseSchedule(body: unknown): WantedSchedule {
  if (body === undefined) throw new PolarisError('BAD_JSON', 'the body is empty; send a JSON object');
  const { cron, timeZone, job } = parse(scheduleSchema, body, 'the body');
  return { cron, timeZone, job: parseWanted(job, 'job') };
}

const KEY = z.string('must be a text').regex(/^[A-Za-z0-9._-]{1,64}$/, 'may have 1 to 64 of A-Z a-z 0-9 . _ -');

/** @throws PolarisError BAD_REQUEST */
export function parseKey(text: unknown): string {
  return parse(KEY, text, 'the key');
}

const drainSchema = z.strictObject({ draining: z.boolean('must be true or false').default(true) });

/** No body asks for the draining. @throws PolarisError BAD_REQUEST */
export function parseDraining(body: unknown): boolean {
  return parse(drainSchema, body ?? {}, 'the body').draining;
}

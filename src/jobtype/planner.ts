/**
 * Planner: has the Master of a job type say what a job is to work on.
 *
 * A plan belongs to no job yet, so it fails whoever asked, and nothing else. The Master sees datasets through the eyes of the node,
 * which remembers what it answered: the job gets the very version whose rows were counted.
 */
import { ERRORS, type ErrorCode, PolarisError } from '../base/errors.ts';
import { PLANS_AT_ONCE_MAX } from '../base/limits-masters.ts';
import type { JobId, Point } from '../base/types.ts';
import type { MasterReturn } from './protocol.ts';

/** A job that has no range yet. */
export interface PlanRequest {
  readonly job: JobId;
  readonly name: string;
  /** Canonical JSON of an object. */
  readonly metadata: string;
  readonly memoryMb: number | null;
  /** Rejects with a PolarisError where there is no such dataset. */
  readonly rows: (dataset: string) => Promise<number>;
}

/** What the Master said; null where it left that open. */
export interface MadePlan {
  readonly input: string | null;
  readonly start: Point | null;
  readonly end: Point | null;
}

export interface Planner {
  /** @throws PolarisError BAD_PLAN, OVERLOADED, and what `rows` threw if the Master let it pass */
  plan(request: PlanRequest): Promise<MadePlan>;
}

const KEYS = ['input', 'start', 'end'];

/** One that asks for a while, and not everybody at once: each plan is a process. */
export class PlanDesk implements Planner {
  readonly #ask: (request: PlanRequest) => Promise<MasterReturn>;
  #planning = 0;

  constructor(ask: (request: PlanRequest) => Promise<MasterReturn>) {
    this.#ask = ask;
  }

  async plan(request: PlanRequest): Promise<MadePlan> {
    if (this.#planning >= PLANS_AT_ONCE_MAX) {
      throw new PolarisError('OVERLOADED', `${PLANS_AT_ONCE_MAX} jobs are being planned; try again`);
    }
    this.#planning += 1;
    try {
      return readPlan(request.name, await this.#ask(request));
    } finally {
      this.#planning -= 1;
    }
  }
}

/** It comes from where job code runs, so it is read like anything else from outside. */
function readPlan(name: string, { error, code, value }: MasterReturn): MadePlan {
  const refuse = (why: string): never => {
    throw new PolarisError('BAD_PLAN', `the Master of "${name}": ${why}`);
  };
  if (error !== null) {
    // What the node itself said of a dataset is said on as it is.
    if (code !== null && isErrorCode(code) && ERRORS[code].status < 500) {
      throw new PolarisError(code, error.replace(`${code}: `, ''));
    }
    return refuse(error);
  }
  if (typeof value !== 'object' || value === null) return refuse('its plan is no object');
  const unknown = Object.keys(value).find((key) => !KEYS.includes(key));
  if (unknown !== undefined)
    return refuse(`its plan says ${JSON.stringify(unknown)}, and may say input, start and end`);
  const { input = null, start = null, end = null } = value as Readonly<Record<string, unknown>>;
  if (input !== null && typeof input !== 'string') return refuse('the input of its plan is no name of a dataset');
  if (input === null && (start === null || end === null)) return refuse('its plan has neither an input nor a range');
  return { input, start: pointOf(start, 'start', refuse), end: pointOf(end, 'end', refuse) };
}

function pointOf(value: unknown, field: string, refuse: (why: string) => never): Point | null {
  if (value === null) return null;
  return typeof value === 'number' && Number.isSafeInteger(value)
    ? value
    : refuse(`${field} of its plan is no integer`);
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

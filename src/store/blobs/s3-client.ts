/**
 * Requests to S3: signed, bounded in time and size, and repeated where that may help.
 *
 * Repeated are only those that nobody refused: no answer, 5xx, 429, and an answer of 200 that turns out to be an error (S3
 * sends its head before it has copied or joined an object). Every request that is made here may be repeated, for it
 * names its whole effect. Waits are drawn between nothing and a bound that doubles, so that nodes that were turned away
 * together do not come back together.
 *
 * A body is sent with its SHA-256, which S3 compares; what was damaged on the way is refused there.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AwsClient } from 'aws4fetch';
import { errorText, PolarisError } from '../../base/errors.ts';
import {
  S3_ATTEMPTS_MAX,
  S3_BACK_OFF_MS_MAX,
  S3_BACK_OFF_MS_MIN,
  S3_PART_BYTES,
  S3_TIMEOUT_MS,
} from '../../base/limits.ts';
import type { Prng } from '../../base/prng.ts';
import { digestOf } from './pieces.ts';
import { errorCode } from './s3-xml.ts';

export interface S3Place {
  /** `https://HOST[:PORT]`; the bucket goes into the path, which every S3 understands. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** For the waits between attempts. */
  readonly prng: Prng;
  /** In place of Node's own. */
  readonly fetch?: (request: Request, init: RequestInit) => Promise<Response>;
  /** In place of a timer. */
  readonly wait?: (ms: number) => Promise<unknown>;
}

export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Empty for the bucket itself. Of the characters that need no escape in a URL. */
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Statuses that are answers to the caller; everything else but 2xx is an error. */
  readonly accepts?: readonly number[];
}

export interface S3Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

/** A read is a part at most, a page of a list far less; whatever is longer is no answer. */
const ANSWER_BYTES_MAX = 2 * S3_PART_BYTES;
const KEY = /^[A-Za-z0-9/._-]*$/;
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
/** S3 says so when the client was slow, with the status of a mistake. */
const SLOW_CODE = 'RequestTimeout';
/** No room; some S3 say so with a status that otherwise means "later". */
const FULL_STATUS = 507;
const UNKNOWN_METHOD_STATUS = 501;

export class S3Client {
  readonly #place: S3Place;
  readonly #base: string;
  readonly #aws: AwsClient;
  readonly #fetch: (request: Request, init: RequestInit) => Promise<Response>;
  readonly #wait: (ms: number) => Promise<unknown>;

  /** @throws PolarisError BAD_REQUEST. */
  constructor(place: S3Place) {
    const { endpoint, bucket, region, accessKeyId, secretAccessKey, sessionToken } = place;
    if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
      throw new PolarisError('BAD_REQUEST', `the endpoint of S3 is an http or https URL, and not ${endpoint}`);
    }
    if (!BUCKET.test(bucket)) throw new PolarisError('BAD_REQUEST', `S3 allows no bucket ${JSON.stringify(bucket)}`);
    this.#place = place;
    this.#base = `${endpoint.replace(/\/+$/, '')}/${bucket}`;
    const session = sessionToken === undefined ? {} : { sessionToken };
    this.#aws = new AwsClient({ accessKeyId, secretAccessKey, ...session, region, service: 's3' });
    this.#fetch = place.fetch ?? ((request, init) => fetch(request, init));
    this.#wait = place.wait ?? delay;
  }

  get bucket(): string {
    return this.#place.bucket;
  }

  /** @throws PolarisError BLOB_STORE_FAILED, BLOB_STORE_FULL. */
  async ask(request: S3Request): Promise<S3Answer> {
    if (!KEY.test(request.key)) throw new PolarisError('BAD_REQUEST', 'a key in S3 has characters that need no escape');
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#attempt(request);
      if (answer instanceof Error || isPassing(request, answer)) {
        if (attempt === S3_ATTEMPTS_MAX) throw failure(request, answer, attempt);
        const bound = Math.min(S3_BACK_OFF_MS_MAX, S3_BACK_OFF_MS_MIN * 2 ** (attempt - 1));
        await this.#wait(this.#place.prng.next() * bound);
        continue;
      }
      if (isSuccess(answer) || request.accepts?.includes(answer.status)) return answer;
      throw failure(request, answer, attempt);
    }
  }

  /** What went wrong on the way is returned: it may go right the next time. */
  async #attempt({ method, key, query = {}, headers = {}, body }: S3Request): Promise<S3Answer | Error> {
    const url = new URL(`${this.#base}${key === '' ? '' : `/${key}`}`);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const digest = Buffer.from(await digestOf(body ?? new Uint8Array())).toString('hex');
    const request = await this.#aws.sign(url, {
      method,
      headers: { ...headers, 'x-amz-content-sha256': digest },
      ...(body === undefined ? {} : { body }),
    });
    try {
      // A redirect would be answered with a signature for another place.
      const bounds = { signal: AbortSignal.timeout(S3_TIMEOUT_MS), redirect: 'manual' } as const;
      const response = await this.#fetch(request, bounds);
      return { status: response.status, headers: response.headers, body: await gather(response) };
    } catch (thrown) {
      return thrown instanceof Error ? thrown : new Error(errorText(thrown));
    }
  }
}

async function gather(response: Response): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`the answer has more than ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function isSuccess({ status }: S3Answer): boolean {
  return status >= 200 && status < 300;
}

function isPassing({ method }: S3Request, answer: S3Answer): boolean {
  const { status } = answer;
  if (status === FULL_STATUS || status === UNKNOWN_METHOD_STATUS) return false;
  if (status >= 500 || status === 429) return true;
  // What was read may look like an error and be somebody's content.
  if (isSuccess(answer)) return method !== 'GET' && errorCode(answer) !== null;
  return errorCode(answer) === SLOW_CODE;
}

function failure({ method, key }: S3Request, answer: S3Answer | Error, attempts: number): PolarisError {
  const asked = `${method} ${key === '' ? 'the bucket' : key}`;
  const times = attempts === 1 ? '' : `, ${attempts} times`;
  if (answer instanceof Error) {
    const cause = answer.cause instanceof Error ? answer.cause : answer;
    const detail = `S3 did not answer to ${asked}${times}: ${errorText(cause)}`;
    return new PolarisError('BLOB_STORE_FAILED', detail, { cause: answer });
  }
  const code = errorCode(answer) ?? '';
  const isFull = answer.status === FULL_STATUS || code === 'QuotaExceeded';
  const detail = `S3 answered ${[answer.status, code].join(' ').trim()} to ${asked}${times}`;
  return new PolarisError(isFull ? 'BLOB_STORE_FULL' : 'BLOB_STORE_FAILED', detail);
}

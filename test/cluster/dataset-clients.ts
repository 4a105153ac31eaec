/**
 * Clients of datasets, for tests on real processes: they put, read and drop a few names through any node, all at once, and
 * write down what they asked and what they were told (test/sim/register-history.ts).
 *
 * Content tells by itself which put it is of: it has as many rows as the put has its number, and every row says so.
 */
import { tableFromArrays, tableFromIPC, tableToIPC } from 'apache-arrow';
import type { LocalCluster } from '../../chaos/cluster.ts';
import { must } from '../../src/base/assert.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { DatasetJson } from '../../src/http/datasets.ts';
import type {
  RegisterAnswer,
  RegisterHistories,
  RegisterOperation,
  RegisterQuestion,
} from '../sim/register-history.ts';

export const STREAM = 'application/vnd.apache.arrow.stream';
/** A paused node takes a connection and says nothing. */
const ANSWER_MS = 2_000;
/** Whoever was refused asks again, as everybody does, after a moment. */
const AGAIN_MS = 20;
/** Nothing was changed: nobody was reached, or whoever was knew that it was not for him to do. */
const CERTAINLY_NOT: ReadonlySet<string> = new Set<ErrorCode | 'ECONNREFUSED'>([
  'ECONNREFUSED',
  'NO_LEADER',
  'TOO_FEW_COPIES',
  'BLOB_CONDEMNED',
]);

/** What came back: a status and its body, or the code of what went wrong. */
export interface Reply {
  readonly status: number;
  readonly code: string;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

export async function ask(url: string, init: RequestInit = {}): Promise<Reply> {
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(ANSWER_MS) });
    const bytes = new Uint8Array(await response.arrayBuffer());
    const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json') ?? false;
    const code = isProblem ? (JSON.parse(new TextDecoder().decode(bytes)) as { code: string }).code : '';
    return { status: response.status, code, headers: response.headers, bytes };
  } catch (cause) {
    const { code } = ((cause as Error).cause ?? {}) as { readonly code?: string };
    return { status: 0, code: code ?? 'BROKEN', headers: new Headers(), bytes: new Uint8Array() };
  }
}

/** Rows that all say how many they are. */
export function contentOf(count: number): Uint8Array<ArrayBuffer> {
  const text = Array.from({ length: count }, (_, at) => `row ${at} of ${count}`);
  return new Uint8Array(tableToIPC(tableFromArrays({ count: Int32Array.from(text, () => count), text }), 'stream'));
}

/** The number of rows, once each of them is as it was put. */
export function countOf(bytes: Uint8Array): number {
  const table = tableFromIPC(bytes);
  const rows = table.toArray() as { readonly count: number; readonly text: string }[];
  for (const [at, { count, text }] of rows.entries()) {
    if (count !== rows.length || text !== `row ${at} of ${rows.length}`) {
      throw new Error(`row ${at} of ${rows.length} says: ${text}, ${count}`);
    }
  }
  return rows.length;
}

export function putDataset(url: string, name: string, count: number, headers = {}): Promise<Reply> {
  const init = { method: 'PUT', headers: { 'content-type': STREAM, ...headers }, body: contentOf(count) };
  return ask(`${url}/v1/datasets/${name}`, init);
}

export interface DatasetClientOptions {
  readonly cluster: LocalCluster;
  readonly names: readonly string[];
  readonly histories: RegisterHistories;
  readonly prng: Prng;
  /** No two calls give the same. */
  readonly nextCount: () => number;
}

export class DatasetClient {
  readonly #options: DatasetClientOptions;
  readonly #heard = new Map<string, number>();
  #isOver = false;
  #done: Promise<void> = Promise.resolve();
  /** Puts, drops and refusals of both that were answered. */
  writesAnswered = 0;
  operationCount = 0;
  /** Puts that were answered with the version of another one. */
  mistaken = 0;

  constructor(options: DatasetClientOptions) {
    this.#options = options;
  }

  start(): void {
    this.#done = this.#run();
  }

  /** Resolves when the last question is over. */
  stop(): Promise<void> {
    this.#isOver = true;
    return this.#done;
  }

  /** One linearizable read through a node. */
  async read(node: string, name: string): Promise<boolean> {
    const reply = await this.#ask(name, { kind: 'read' }, () => ask(this.#url(node, name)));
    return reply.status === 200 || reply.status === 404;
  }

  async #run(): Promise<void> {
    const { cluster, prng, names } = this.#options;
    while (!this.#isOver) {
      const node = must(cluster.ids[prng.integer(0, cluster.ids.length)], 'a node');
      const name = must(names[prng.integer(0, names.length)], 'a name');
      const lot = prng.next();
      const isAnswered = lot < 0.5 ? await this.read(node, name) : await this.#write(node, name, lot < 0.92);
      this.operationCount += 1;
      if (isAnswered && lot >= 0.5) this.writesAnswered += 1;
      if (!isAnswered) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  async #write(node: string, name: string, isPut: boolean): Promise<boolean> {
    const { prng, nextCount } = this.#options;
    const expected = prng.chance(0.5) ? (this.#heard.get(name) ?? 0) : null;
    const headers = conditionOf(expected);
    if (!isPut) {
      const question = { kind: 'drop', expected } as const;
      const reply = await this.#ask(name, question, () => ask(this.#url(node, name), { method: 'DELETE', headers }));
      return reply.status === 200 || reply.status === 404 || reply.code === 'DATASET_CONFLICT';
    }
    const count = nextCount();
    const question = { kind: 'put', value: String(count), expected } as const;
    const put = () => putDataset(this.#options.cluster.url(node), name, count, headers);
    const reply = await this.#ask(name, question, put);
    return reply.status === 200 || reply.code === 'DATASET_CONFLICT';
  }

  async #ask(name: string, question: RegisterQuestion, run: () => Promise<Reply>): Promise<Reply> {
    const { histories } = this.#options;
    const operation = histories.asked(name, question, performance.now());
    const reply = await run();
    this.#settle(name, operation, reply);
    return reply;
  }

  /** The history keeps what was answered, keeps what is in doubt as it is, and forgets what never took place. */
  #settle(name: string, operation: RegisterOperation, reply: Reply): void {
    const { histories } = this.#options;
    const answer = this.#answerOf(operation.question, reply);
    if (answer !== null) histories.answered(operation, answer, performance.now());
    else if (operation.question.kind === 'read' || CERTAINLY_NOT.has(reply.code)) histories.dropped(name, operation);
    if (answer?.kind === 'put') this.#heard.set(name, answer.version);
    if (answer?.kind === 'content') this.#heard.set(name, answer.content?.version ?? 0);
  }

  #answerOf(question: RegisterQuestion, { status, code, headers, bytes }: Reply): RegisterAnswer | null {
    if (code === 'DATASET_CONFLICT') return { kind: 'conflict' };
    if (question.kind === 'read') {
      if (status === 404) return { kind: 'content', content: null };
      if (status !== 200) return null;
      return { kind: 'content', content: { version: versionOf(headers), value: String(countOf(bytes)) } };
    }
    if (question.kind === 'drop') {
      if (status === 404) return { kind: 'not-found' };
      return status === 200 ? { kind: 'done' } : null;
    }
    if (status !== 200) return null;
    const { handle } = JSON.parse(new TextDecoder().decode(bytes)) as DatasetJson;
    if (question.kind === 'put' && String(handle.rows) === question.value) {
      return { kind: 'put', version: versionOf(headers) };
    }
    this.mistaken += 1;
    return null;
  }

  #url(node: string, name: string): string {
    return `${this.#options.cluster.url(node)}/v1/datasets/${name}`;
  }
}

/** The ETag is the version. */
export function versionOf(headers: Headers): number {
  return Number(JSON.parse(headers.get('etag') ?? '""'));
}

function conditionOf(expected: number | null): Record<string, string> {
  if (expected === null) return {};
  return expected === 0 ? { 'if-none-match': '*' } : { 'if-match': `"${expected}"` };
}

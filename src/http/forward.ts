/**
 * Forward: any node takes any request, and the one that leads answers it.
 *
 * A node that does not lead passes the request on and streams the answer back. A header marks the hop, so that two
 * nodes that each believe the other leads cannot play ball with a request: the second says NO_LEADER.
 *
 * Invariants: a request hops once at most · it is sent again only while nothing of it can have been carried out (never
 * connected, or answered NO_LEADER), or when it changes nothing · a write whose connection broke after that has an
 * unknown outcome, and the answer says so.
 */
import { Agent, type IncomingMessage, request as sendRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { splitAddress } from '../base/config.ts';
import { ERRORS, type ErrorCode, errorText, PolarisError } from '../base/errors.ts';
import { CLAIMS_WAITING_MAX, FORWARD_RETRY_MS, FORWARD_WAIT_MS, FORWARDS_MAX, LEADER_WAIT_MS } from '../base/limits.ts';
import { RESULTS_RELAYED_MAX } from '../base/result-limits.ts';
import type { Address, Json } from '../base/types.ts';
import { CODE_HEADER } from './problem.ts';
import type { HttpContext } from './route.ts';

export const HOP_HEADER = 'polaris-forwarded-by';

const REQUEST_HEADERS = ['accept', 'idempotency-key', 'if-match', 'if-none-match'] as const;
const ANSWER_HEADERS = [
  'content-type',
  'content-length',
  'location',
  'retry-after',
  'allow',
  'etag',
  'vary',
  'polaris-job',
  'polaris-state',
  'polaris-complete',
  'polaris-rows',
  'polaris-ranges',
  CODE_HEADER,
] as const;

// A kept connection may be closed by the other side just as a write goes out on it, which would make outcomes unknown
// without need; one connection a request costs a fraction of a commit.
const AGENT = new Agent({ keepAlive: false, maxSockets: FORWARDS_MAX });
/** Claims wait for long, and results are long: neither may stand in the way of all other requests. */
const PATIENT_AGENTS = {
  claim: new Agent({ keepAlive: false, maxSockets: CLAIMS_WAITING_MAX }),
  result: new Agent({ keepAlive: false, maxSockets: RESULTS_RELAYED_MAX }),
};

type Attempt =
  | { readonly kind: 'answered'; readonly answer: IncomingMessage }
  /** The connection was never made. */
  | { readonly kind: 'unsent' }
  | { readonly kind: 'broken'; readonly error: Error };

export interface ForwardOptions {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  /** Whether it changes anything: decides what a broken connection means. */
  readonly write: boolean;
  /** Sent on in place of the body that came in. */
  readonly body?: Json;
  /** The leader may take so much longer to answer; it hears of it when nobody waits for the answer any more. */
  readonly patient?: {
    readonly kind: keyof typeof PATIENT_AGENTS;
    readonly waitMs: number;
    readonly gone: AbortSignal;
  };
}

/** What is asked of the leader. */
interface Question {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly write: boolean;
  readonly body?: Json;
  readonly patient?: ForwardOptions['patient'];
}

/** Whether it says that another node passed it on. Anybody can say so: it bounds the hops, and proves nothing. */
export function isForwarded({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  return headers[HOP_HEADER] !== undefined;
}

/** Runs `handle` when this node leads, else has the leader answer. @throws PolarisError NO_LEADER, OUTCOME_UNKNOWN */
export async function onLeader(
  context: HttpContext,
  { request, reply, write, ...rest }: ForwardOptions,
  handle: () => Promise<FastifyReply>,
): Promise<FastifyReply> {
  const { method, url: path } = request;
  const question = { method, path, headers: carriedHeaders(request), write, ...rest };
  const answer = await answerOfLeader(context, question, isForwarded(request));
  return answer === null ? handle() : streamAnswer(reply, answer);
}

/**
 * Asks the leader on behalf of this node: part of a request may be this node's own work, and only the rest the leader's.
 * Gives the JSON that it answers, or what `handle` gives when this node leads.
 *
 * @throws PolarisError as the leader says, NO_LEADER, OUTCOME_UNKNOWN
 */
export async function atLeader<T>(
  context: HttpContext,
  { request, ...question }: Omit<Question, 'headers'> & { readonly request: FastifyRequest },
  handle: () => Promise<T>,
): Promise<T> {
  const answer = await answerOfLeader(context, { ...question, headers: {} }, isForwarded(request));
  if (answer === null) return handle();
  const said = await readJson(answer);
  if ((answer.statusCode ?? 500) < 300) return said as T;
  const { code = '', detail = 'it gave no reason' } = said as { readonly code?: string; readonly detail?: string };
  throw new PolarisError(code in ERRORS ? (code as ErrorCode) : 'INTERNAL', detail);
}

/** Null when this node leads. */
async function answerOfLeader(
  context: HttpContext,
  question: Question,
  hopped: boolean,
): Promise<IncomingMessage | null> {
  const { api } = context;
  const giveUpAt = performance.now() + LEADER_WAIT_MS;
  while (!api.leads()) {
    const leftMs = giveUpAt - performance.now();
    if (hopped) throw new PolarisError('NO_LEADER', `${api.id} was asked as the leader, but does not lead`);
    if (leftMs <= 0 || !(await leaderFound(context, leftMs))) throw new PolarisError('NO_LEADER');
    if (api.leads()) break;
    const address = api.leaderAddress();
    const answer = address === null ? null : await askLeader(context, question, address, giveUpAt);
    if (answer !== null) return answer;
    await sleep(FORWARD_RETRY_MS);
  }
  return null;
}

function leaderFound(context: HttpContext, waitMs: number): Promise<boolean> {
  return new Promise((resolve) => context.api.awaitLeader(waitMs, resolve));
}

/** The leader's answer; null when another try may be made. */
async function askLeader(
  context: HttpContext,
  question: Question,
  address: Address,
  giveUpAt: number,
): Promise<IncomingMessage | null> {
  const attempt = await send(context, question, address, giveUpAt);
  switch (attempt.kind) {
    case 'answered': {
      if (attempt.answer.headers[CODE_HEADER] !== 'NO_LEADER') return attempt.answer;
      attempt.answer.resume();
      return null;
    }
    case 'unsent':
      return null;
    case 'broken': {
      context.log.warn({ leader: address, error: errorText(attempt.error) }, 'forward-broken');
      if (!question.write) return null;
      throw new PolarisError('OUTCOME_UNKNOWN', `the connection to the leader at ${address} broke`, {
        cause: attempt.error,
      });
    }
  }
}

function send(context: HttpContext, question: Question, address: Address, giveUpAt: number): Promise<Attempt> {
  const { host, port } = splitAddress(address);
  const body = question.body === undefined ? '' : JSON.stringify(question.body);
  const { method, path, patient } = question;
  return new Promise((resolve) => {
    let connected = false;
    const outgoing = sendRequest({
      ...{ host, port, method, path, agent: patient === undefined ? AGENT : PATIENT_AGENTS[patient.kind] },
      headers: headersFor(context, question, body),
    });
    if (patient?.gone.aborted === true) outgoing.destroy();
    else patient?.gone.addEventListener('abort', () => outgoing.destroy(), { once: true });
    const finish = (attempt: Attempt): void => {
      clearTimeout(connectTimer);
      clearTimeout(answerTimer);
      resolve(attempt);
    };
    const connectTimer = setTimeout(
      () => {
        if (!connected) outgoing.destroy(new Error('no connection in time'));
      },
      Math.max(0, giveUpAt - performance.now()),
    );
    const answerMs = FORWARD_WAIT_MS + (patient?.waitMs ?? 0);
    const answerTimer = setTimeout(() => outgoing.destroy(new Error('no answer in time')), answerMs);
    outgoing.once('socket', (socket) => {
      socket.once('connect', () => {
        connected = true;
      });
    });
    outgoing.once('response', (answer) => finish({ kind: 'answered', answer }));
    // `on`, not `once`: a socket may fail again while it is torn down.
    outgoing.on('error', (error) => finish(connected ? { kind: 'broken', error } : { kind: 'unsent' }));
    outgoing.end(body);
  });
}

function carriedHeaders(request: FastifyRequest): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of REQUEST_HEADERS) {
    const value = request.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  return headers;
}

async function readJson(answer: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    return {};
  }
}

function headersFor(context: HttpContext, question: Question, body: string): Record<string, string> {
  const headers: Record<string, string> = { ...question.headers, [HOP_HEADER]: context.api.id };
  if (body !== '') {
    headers['content-type'] = 'application/json';
    headers['content-length'] = String(Buffer.byteLength(body));
  } else if (question.method === 'POST') {
    headers['content-length'] = '0';
  }
  return headers;
}

function streamAnswer(reply: FastifyReply, answer: IncomingMessage): FastifyReply {
  for (const name of ANSWER_HEADERS) {
    const value = answer.headers[name];
    if (typeof value === 'string') reply.header(name, value);
  }
  return reply.code(answer.statusCode ?? 500).send(answer);
}

/**
 * The HTTP server of a node: routes of the resource files, and around them what holds for all. It stands on NodeApi
 * alone and knows nothing of Raft.
 *
 * Invariants: every answer that is no success is a problem with a code of the table · bad input changes nothing and
 * never ends the process · nothing is read beyond a limit.
 */
import { STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { PolarisError } from '../base/errors.ts';
import {
  BLOB_BYTES_MAX,
  BODY_BYTES_MAX,
  CLOSE_GRACE_MS,
  CONNECTION_SILENCE_MS,
  REQUEST_TIMEOUT_MS,
  URL_LENGTH_MAX,
} from '../base/limits.ts';
import { backupRoutes } from './backup.ts';
import { blobRoutes, type CopiesContext } from './blobs.ts';
import { cacheRoutes } from './cache.ts';
import { clusterRoutes } from './cluster.ts';
import { Connections } from './connections.ts';
import { datasetBatchRoutes } from './dataset-batch.ts';
import { type DatasetContext, datasetRoutes } from './datasets.ts';
import { failureRoutes } from './failures.ts';
import { healthRoutes } from './health.ts';
import { jobActionRoutes } from './job-actions.ts';
import { jobRoutes } from './jobs.ts';
import { parseJsonBody } from './json-body.ts';
import { memberRoutes } from './members.ts';
import { checkOrigin } from './origin.ts';
import { Patience } from './patience.ts';
import { CODE_HEADER, PROBLEM_TYPE, problemOf, sendProblem, toPolarisError } from './problem.ts';
import { type QueryContext, queryRoutes } from './query.ts';
import type { ReadContext } from './read.ts';
import { resultRoutes } from './results.ts';
import type { DataPlane, HttpContext, HttpRoute } from './route.ts';
import { scheduleRoutes } from './schedules.ts';
import { Streams } from './streams.ts';
import { taskDataRoutes } from './task-data.ts';
import { taskRoutes } from './tasks.ts';
import { Turnstile } from './turnstile.ts';
import { workerRoutes } from './workers.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
/** What any path of ours takes: the answer to methods that are not even routed (TRACE, those of WebDAV). */
const ALLOW_AT_MOST = 'GET, HEAD, POST, PUT, PATCH, DELETE';

/** Both are left out where nothing of batches is tested. */
export interface ServerContext extends HttpContext {
  readonly data?: DataPlane;
  readonly queries?: QueryContext['queries'];
}

/** A server that does not listen yet. Its `server` is Node's own, for the peers' upgrades. */
export function createHttpServer(context: ServerContext): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    // Bodies that stream may take hours; all others are timed by `hurry`, and headers by `headersTimeout`.
    requestTimeout: 0,
    connectionTimeout: CONNECTION_SILENCE_MS,
    // A stopping node says so through NodeApi, with a code of the table.
    return503OnClosing: false,
    // A missing Host is judged with everything else, so that its answer is a problem too.
    http: { requireHostHeader: false },
    routerOptions: { maxParamLength: URL_LENGTH_MAX },
    frameworkErrors: (error, request, reply) => {
      sendProblem(reply, request.url.length > URL_LENGTH_MAX ? overlongUrl() : toPolarisError(error, context.log));
    },
    clientErrorHandler: refuseRaw,
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: FastifyRequest, body: Buffer) =>
    parseJsonBody(body),
  );
  app.server.headersTimeout = REQUEST_TIMEOUT_MS;
  const connections = new Connections();
  followConnections(app, connections);
  answerOddities(app);
  app.addHook('onRequest', async (request, reply) => {
    // Both in one turn: requests that came in one packet must not all be counted before the first is judged.
    connections.request(request.raw.socket, reply.raw);
    checkRequest(context, request);
    hurry(request);
  });
  app.setErrorHandler((error, _request, reply) => sendProblem(reply, toPolarisError(error, context.log)));
  app.setNotFoundHandler((request, reply) => {
    if (!METHODS.some((method) => method === request.method)) {
      reply.header('allow', ALLOW_AT_MOST);
      return sendProblem(reply, new PolarisError('METHOD_NOT_ALLOWED', `nothing here takes ${request.method}`));
    }
    const path = request.url.split('?', 1)[0];
    return sendProblem(reply, new PolarisError('NOT_FOUND', `there is nothing at ${path}`));
  });
  const patience = new Patience();
  app.addHook('preClose', async () => {
    patience.close();
    connections.close();
  });
  addRoutes(app, routesOf(context, patience));
  return app;
}

function routesOf(context: ServerContext, patience: Patience): readonly HttpRoute[] {
  const { data, queries } = context;
  const reading: ReadContext = {
    // `api` stays behind its getter: the node that it stands for is made after the routes.
    get api() {
      return context.api;
    },
    ...{ log: context.log, prng: context.prng, turnstile: new Turnstile() },
    ...(context.planner === undefined ? {} : { planner: context.planner }),
  };
  return [
    ...jobRoutes(reading),
    ...failureRoutes(reading),
    ...workerRoutes(reading),
    ...taskRoutes(context, patience, data?.depot ?? null),
    ...scheduleRoutes(reading),
    ...jobActionRoutes(context),
    ...clusterRoutes(context),
    ...memberRoutes({
      get api() {
        return context.api;
      },
      ...{ log: context.log, prng: context.prng, keeper: data?.copies?.keeper ?? null },
    }),
    ...backupRoutes(context),
    ...(data === undefined ? [] : dataRoutes(withData(reading, data))),
    ...(data === undefined || queries === undefined ? [] : queryRoutes(withQueries(reading, data, queries))),
    ...healthRoutes(context),
  ];
}

function dataRoutes(context: DatasetContext): readonly HttpRoute[] {
  return [
    ...(keepsCopies(context) ? blobRoutes(context) : []),
    ...datasetRoutes(context),
    ...datasetBatchRoutes(context),
    ...cacheRoutes(context),
    ...resultRoutes(context),
    ...taskDataRoutes(context),
  ];
}

function keepsCopies(context: DatasetContext): context is DatasetContext & CopiesContext {
  return context.data.copies !== null;
}

/** `api` stays behind its getter: the node that it stands for is made after the routes. */
function withData(context: ReadContext, data: DataPlane): DatasetContext {
  return {
    get api() {
      return context.api;
    },
    ...{ log: context.log, prng: context.prng, turnstile: context.turnstile, data, streams: new Streams() },
  };
}

function withQueries(context: ReadContext, data: DataPlane, queries: QueryContext['queries']): QueryContext {
  const { log, prng, turnstile } = context;
  return {
    get api() {
      return context.api;
    },
    ...{ log, prng, turnstile, data, queries },
  };
}

/** Each route, and for every other method of its path an answer that names the right ones. */
function addRoutes(app: FastifyInstance, routes: readonly HttpRoute[]): void {
  for (const { method, url, handle } of routes.filter(({ streams }) => !streams)) {
    app.route({ method, url, handler: handle });
  }
  app.register(async (streaming) => {
    // Whatever comes is handed on as it comes.
    streaming.removeAllContentTypeParsers();
    streaming.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
    for (const { method, url, handle } of routes.filter(({ streams }) => streams)) {
      const handler = (request: FastifyRequest, reply: FastifyReply) =>
        handle(request, reply).catch((thrown: unknown) => {
          abandonBody(request, reply);
          throw thrown;
        });
      streaming.route({ method, url, handler, bodyLimit: BLOB_BYTES_MAX, config: { streams: true } });
    }
  });
  for (const url of new Set(routes.map((route) => route.url))) {
    const here = routes.filter((route) => route.url === url);
    // Fastify answers HEAD wherever it answers GET.
    const taken: readonly string[] = here.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
    const allow = taken.join(', ');
    const refuse = async (request: FastifyRequest, reply: FastifyReply): Promise<never> => {
      reply.header('allow', allow);
      throw new PolarisError('METHOD_NOT_ALLOWED', `${url} takes ${allow}, not ${request.method}`);
    };
    // In onRequest, so that it comes before any complaint about the body.
    app.route({ method: METHODS.filter((method) => !taken.includes(method)), url, onRequest: refuse, handler: refuse });
  }
}

/** Nobody reads what is left of a body: a little of it is passed over, so that the refusal is heard, and then the line goes dead. */
function abandonBody({ raw }: FastifyRequest, reply: FastifyReply): void {
  if (raw.complete) return;
  reply.header('connection', 'close');
  raw.resume();
  // A request that was given up has closed already, and will have no socket when the time comes.
  const socket: Socket | null = raw.socket;
  const timer = setTimeout(() => socket?.destroy(), CLOSE_GRACE_MS);
  for (const end of [raw, socket]) end?.once('close', () => clearTimeout(timer));
}

/** A body that does not stream has so long to arrive; Node's own limit knows no exception for one that does. */
function hurry({ raw, routeOptions }: FastifyRequest): void {
  if (raw.complete || (routeOptions.config as { readonly streams?: boolean }).streams === true) return;
  const timer = setTimeout(() => {
    // It came whole long ago, and was one without a body, of which nobody waits for the end: its answer takes its time.
    if (raw.complete) return;
    endWith(raw.socket, new PolarisError('BAD_REQUEST', `the request did not arrive within ${REQUEST_TIMEOUT_MS} ms`));
  }, REQUEST_TIMEOUT_MS);
  raw.once('close', () => clearTimeout(timer));
  raw.once('end', () => clearTimeout(timer));
}

function checkRequest(context: HttpContext, request: FastifyRequest): void {
  const { raw, headers, url } = request;
  if (url.length > URL_LENGTH_MAX) throw overlongUrl();
  // RFC 9112 §3.2: one Host in every request of HTTP/1.1.
  if (headers.host === undefined && raw.httpVersion === '1.1') {
    throw new PolarisError('BAD_REQUEST', 'the Host header is missing');
  }
  if (raw.rawHeaders.filter((text, at) => at % 2 === 0 && text.toLowerCase() === 'host').length > 1) {
    throw new PolarisError('BAD_REQUEST', 'there are several Host headers');
  }
  checkOrigin(headers, () => context.api.address);
}

function overlongUrl(): PolarisError {
  return new PolarisError('BAD_REQUEST', `the URL is longer than ${URL_LENGTH_MAX} characters`);
}

function followConnections(app: FastifyInstance, connections: Connections): void {
  app.server.on('connection', (socket) => connections.opened(socket));
  app.server.on('upgrade', (request, socket) => {
    connections.left(request.socket);
    // Who listens for upgrades is made after the server; until then nobody would answer.
    if (app.server.listenerCount('upgrade') > 1) return;
    endWith(socket, new PolarisError('NOT_FOUND', 'nothing here takes an upgrade'));
  });
}

/** What never becomes a request for Fastify, though Node has read it. */
function answerOddities(app: FastifyInstance): void {
  // RFC 9110 §10.1.1: an expectation that is not known may be passed over. Node's own 417 is no problem document.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.server.on('connect', (_request, socket) => {
    endWith(socket, new PolarisError('METHOD_NOT_ALLOWED', 'this is no proxy'));
  });
}

/** What Node's parser refuses never becomes a request; the answer is written by hand. */
function refuseRaw(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  endWith(socket, new PolarisError('BAD_REQUEST', rawDetail(error.code)));
}

function rawDetail(code: string | undefined): string {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return 'the URL and headers are too long';
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return `the request did not arrive within ${REQUEST_TIMEOUT_MS} ms`;
    default:
      return 'this is no HTTP/1.1 request';
  }
}

/** The last that is said on a connection which nothing else listens to. */
export function endWith(socket: Duplex, error: PolarisError): void {
  // A socket that Node has handed out has no listener of its own left: without one its reset would end the process.
  socket.on('error', () => socket.destroy());
  if (socket instanceof Socket) socket.setTimeout(CLOSE_GRACE_MS, () => socket.destroy());
  const problem = problemOf(error);
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    `${CODE_HEADER}: ${problem.code}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  socket.resume();
}

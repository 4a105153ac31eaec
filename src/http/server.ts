/**
 * The HTTP server of a node: routes of the resource files, and around them what holds for all. It stands on NodeApi
 * alone and knows nothing of Raft.
 *
 * Invariants: every answer that is no success is a problem with a code of the table · bad input changes nothing and
 * never ends the process · nothing is read beyond a limit.
 */
import type { Socket } from 'node:net';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { PolarisError } from '../base/errors.ts';
import { BODY_BYTES_MAX, REQUEST_TIMEOUT_MS, URL_LENGTH_MAX } from '../base/limits.ts';
import { clusterRoutes } from './cluster.ts';
import { healthRoutes } from './health.ts';
import { jobActionRoutes } from './job-actions.ts';
import { jobRoutes } from './jobs.ts';
import { parseJsonBody } from './json-body.ts';
import { memberRoutes } from './members.ts';
import { checkOrigin } from './origin.ts';
import { PROBLEM_TYPE, problemOf, sendProblem, toPolarisError } from './problem.ts';
import type { HttpContext, HttpRoute } from './route.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

/** A server that does not listen yet. Its `server` is Node's own, for the peers' upgrades. */
export function createHttpServer(context: HttpContext): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // A stopping node says so through NodeApi, with a code of the table.
    return503OnClosing: false,
    routerOptions: { maxParamLength: URL_LENGTH_MAX },
    frameworkErrors: (error, _request, reply) => {
      sendProblem(reply, toPolarisError(error, context.log));
    },
    clientErrorHandler: refuseRaw,
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: FastifyRequest, body: Buffer) =>
    parseJsonBody(body),
  );
  app.addHook('onRequest', async (request) => checkRequest(context, request));
  app.setErrorHandler((error, _request, reply) => sendProblem(reply, toPolarisError(error, context.log)));
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0];
    return sendProblem(reply, new PolarisError('NOT_FOUND', `there is nothing at ${path}`));
  });
  addRoutes(app, [
    ...jobRoutes(context),
    ...jobActionRoutes(context),
    ...clusterRoutes(context),
    ...memberRoutes(context),
    ...healthRoutes(context),
  ]);
  return app;
}

/** Each route, and for every other method of its path an answer that names the right ones. */
function addRoutes(app: FastifyInstance, routes: readonly HttpRoute[]): void {
  for (const url of new Set(routes.map((route) => route.url))) {
    const here = routes.filter((route) => route.url === url);
    for (const { method, handle } of here) app.route({ method, url, handler: handle });
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

function checkRequest(context: HttpContext, request: FastifyRequest): void {
  if (request.url.length > URL_LENGTH_MAX) {
    throw new PolarisError('BAD_REQUEST', `the URL is longer than ${URL_LENGTH_MAX} characters`);
  }
  checkOrigin(request.headers, () => context.api.address);
}

/** What Node's parser refuses never becomes a request; the answer is written by hand. */
function refuseRaw(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const detail =
    error.code === 'HPE_HEADER_OVERFLOW' ? 'the URL and headers are too long' : 'this is no HTTP/1.1 request';
  const body = JSON.stringify(problemOf(new PolarisError('BAD_REQUEST', detail)));
  const head = [
    'HTTP/1.1 400 Bad Request',
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/**
 * The membership over HTTP: POST /v1/cluster/members takes a node in, DELETE lets one go, …/promote makes a learner a
 * voter, POST /v1/cluster/transfer says who is to lead. All are for the leader and are forwarded to it; each is answered
 * once it is in force, with the cluster as the leader then sees it. GET /v1/node says who this node is, which the first
 * of them needs to know of a node that is to join.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PolarisError } from '../base/errors.ts';
import type { NodeId } from '../base/types.ts';
import type { MemberRequest } from '../daemon/api.ts';
import type { Keeper } from '../data/depot/keeper.ts';
import { onLeader } from './forward.ts';
import type { HttpContext, HttpRoute } from './route.ts';
import { expectNothing, parseForce, parseMember, parseNodeId, parseTransfer } from './schema.ts';
import { changeMembers } from './settle.ts';

/** A worker-role node keeps no copies; it leads nothing either. */
export interface MemberContext extends HttpContext {
  readonly keeper: Pick<Keeper, 'hindrance'> | null;
}

export function memberRoutes(context: MemberContext): readonly HttpRoute[] {
  const change =
    (read: (request: FastifyRequest) => MemberRequest) => (request: FastifyRequest, reply: FastifyReply) => {
      expectNothing(request.query, 'the query');
      const wanted = read(request);
      return onLeader(context, { request, reply, write: true }, async () => {
        await changeMembers(context.api, wanted);
        return reply.send(context.api.status());
      });
    };
  const only = (request: FastifyRequest) => {
    expectNothing(request.body ?? undefined, 'the body');
    return idOf(request);
  };
  return [
    { method: 'GET', url: '/v1/node', handle: async (_request, reply) => reply.send(nodeJson(context)) },
    {
      method: 'POST',
      url: '/v1/cluster/members',
      handle: change((request) => ({ kind: 'add', member: parseMember(request.body) })),
    },
    {
      method: 'DELETE',
      url: '/v1/cluster/members/:id',
      handle: (request, reply) => remove(context, request, reply),
    },
    {
      method: 'POST',
      url: '/v1/cluster/members/:id/promote',
      handle: change((request) => ({ kind: 'promote', id: only(request) })),
    },
    {
      method: 'POST',
      url: '/v1/cluster/transfer',
      handle: change((request) => ({ kind: 'transfer', to: parseTransfer(request.body) })),
    },
  ];
}

/** Waits for no copies, but says that they are still being made; with `force` it goes whatever is lost with it. */
async function remove(context: MemberContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const force = parseForce(request.query);
  expectNothing(request.body ?? undefined, 'the body');
  const id = idOf(request);
  return onLeader(context, { request, reply, write: true }, async () => {
    const hindrance = force ? null : ((await context.keeper?.hindrance(id)) ?? null);
    if (hindrance !== null) throw new PolarisError('BLOBS_MOVING', hindrance);
    await changeMembers(context.api, { kind: 'remove', id });
    return reply.send(context.api.status());
  });
}

function idOf(request: FastifyRequest): NodeId {
  return parseNodeId((request.params as { readonly id: string }).id);
}

/** A node as it names itself; what `cluster add` passes on. */
export interface NodeJson {
  readonly id: string;
  readonly instanceId: string;
  readonly address: string;
}

function nodeJson({ api: { id, instanceId, address } }: HttpContext): NodeJson {
  return { id, instanceId, address };
}

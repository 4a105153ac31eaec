/**
 * GET /v1/cluster: this node's own view of the cluster, at once, with or without a leader. It is what one asks when
 * something is wrong, so it waits for nothing.
 */
import { parseConsistency } from './queries.ts';
import type { HttpContext, HttpRoute } from './route.ts';

export function clusterRoutes(context: HttpContext): readonly HttpRoute[] {
  return [
    {
      method: 'GET',
      url: '/v1/cluster',
      handle: async (request, reply) => {
        // Taken as on any read, and always local.
        parseConsistency(request.query);
        return reply.send(context.api.status());
      },
    },
  ];
}

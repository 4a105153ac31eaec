/**
 * GET /v1/cluster/backup: the whole cluster as one file (daemon/backup.ts), from the leader, and at least as new as
 * everything that was acknowledged before the request. A follower streams the leader's answer through.
 */
import { onLeader } from './forward.ts';
import type { HttpContext, HttpRoute } from './route.ts';
import { expectNothing } from './schema.ts';
import { takeBackup } from './settle.ts';

export const BACKUP_TYPE = 'application/octet-stream';

export function backupRoutes(context: HttpContext): readonly HttpRoute[] {
  return [
    {
      method: 'GET',
      url: '/v1/cluster/backup',
      handle: async (request, reply) => {
        expectNothing(request.query, 'the query');
        return onLeader(context, { request, reply, write: false }, async () => {
          const bytes = await takeBackup(context.api);
          return reply.type(BACKUP_TYPE).send(bytes);
        });
      },
    },
  ];
}

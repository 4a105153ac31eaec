/**
 * GET /v1/cache: how often a piece of a blob that lies on other nodes or in S3 was at hand. Of this node alone, and at once.
 */
import type { CacheCounts } from '../store/blobs/cache.ts';
import type { DataContext, HttpRoute } from './route.ts';
import { expectNothing } from './schema.ts';

/** Counts since the node began; `bytes` and `pieces` are held now. */
export type CacheJson = CacheCounts;

export function cacheRoutes({ data }: DataContext): readonly HttpRoute[] {
  return [
    {
      method: 'GET',
      url: '/v1/cache',
      handle: async (request, reply) => {
        expectNothing(request.query, 'the query');
        return reply.send(data.cache.counts);
      },
    },
  ];
}

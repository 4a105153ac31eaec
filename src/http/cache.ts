/**
 * GET /v1/cache: how often a piece of a blob that lies on other nodes or in S3 was at hand. Of this node alone, and at once.
 */
import type { CacheCounts } from '../store/blobs/cache.ts';
import type { DataContext, HttpRoute } from './route.ts';
import { expectNothing } from './schema.ts';

/** Counts since the node began; `bytes` and `pieces` are held now. */
export interface CacheJson extends CacheCounts {
  /** The share of all that was asked for that was at hand, from 0 to 1; null before anybody asked. */
  readonly hitRate: number | null;
}

export function cacheRoutes({ data }: DataContext): readonly HttpRoute[] {
  return [
    {
      method: 'GET',
      url: '/v1/cache',
      handle: async (request, reply) => {
        expectNothing(request.query, 'the query');
        const { counts } = data.cache;
        const asked = counts.hits + counts.misses;
        return reply.send({ ...counts, hitRate: asked === 0 ? null : counts.hits / asked } satisfies CacheJson);
      },
    },
  ];
}

/**
 * /livez and /readyz, as Kubernetes words them.
 *
 * Live means that this process answers: it must not hang on the quorum, or a lost majority would have every node of the
 * rest killed and restarted. Ready means that requests may be sent here.
 */
import type { HttpContext, HttpRoute } from './route.ts';

export function healthRoutes(context: HttpContext): readonly HttpRoute[] {
  return [
    { method: 'GET', url: '/livez', handle: async (_request, reply) => reply.type('text/plain').send('ok\n') },
    {
      method: 'GET',
      url: '/readyz',
      handle: async (request, reply) => {
        const checks = context.api.readiness();
        const ready = checks.every((check) => check.ok);
        const verbose = (request.query as { verbose?: string }).verbose !== undefined;
        const lines = checks.map((check) => (check.ok ? `[+]${check.name} ok` : `[-]${check.name} failed`));
        const text = ready && !verbose ? 'ok' : [...lines, `readyz check ${ready ? 'passed' : 'failed'}`].join('\n');
        return reply
          .code(ready ? 200 : 503)
          .type('text/plain')
          .send(`${text}\n`);
      },
    },
  ];
}

/**
 * The Env as the parts of a node get it: every callback of it is an event of the node, and none comes after its end.
 */
import type { Env } from './env.ts';

export interface Guard {
  /** Runs one event of the node, with the end of a turn after it; nothing once the node has ended. */
  readonly event: (run: () => void) => void;
  readonly fatal: (error: Error) => void;
}

export function guardedEnv(env: Env, { event, fatal }: Guard): Env {
  const { store, probe } = env;
  return {
    ...env,
    // A write that is durable is an event like any other: nothing follows from it once the node has ended.
    store: {
      write: (batch, done) => store.write(batch, (error) => event(() => done(error))),
      close: () => store.close(),
    },
    probe: {
      run: (command, environment, done) => probe.run(command, environment, (answer) => event(() => done(answer))),
      fetch: (request, done) => probe.fetch(request, (answer) => event(() => done(answer))),
    },
    fatal,
  };
}

/**
 * Describe: what a job type says of itself, asked from a node that must not run a line of it.
 */
import { fork } from 'node:child_process';
import { z } from 'zod';
import { DESCRIBE_MS, METADATA_BYTES_MAX } from '../base/limits.ts';
import { DELIVERIES } from '../ranges/deliveries.ts';
import type { Description } from './exported.ts';

const SCHEMA = z.record(z.string(), z.unknown());

/** The answer of the child. It runs user code, so it is read like anything else from outside. */
const ANSWER = z.discriminatedUnion('ok', [
  z.object({
    ok: z.literal(true),
    description: z.object({
      kind: z.enum(['client', 'pipeline', 'program']),
      metadataSchema: SCHEMA.nullable(),
      deliveries: z.array(z.enum(DELIVERIES)),
      overseen: z.boolean(),
      plans: z.boolean(),
      collects: z.enum(['in-order', 'as-committed']).nullable(),
      deliveriesWhen: z.partialRecord(z.enum(DELIVERIES), SCHEMA),
    }),
  }),
  z.object({ ok: z.literal(false), error: z.string() }),
]);

/** Asks a child process for it, which is ended after DESCRIBE_MS. @throws Error with the reason when it is no job type. */
export async function describeInChild(describerEntry: string, module: string): Promise<Description> {
  const answer = await new Promise<unknown>((resolve, reject) => {
    const child = fork(describerEntry, [module], { execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    const timer = setTimeout(() => {
      reject(new Error(`it could not be loaded within ${DESCRIBE_MS} ms`));
      child.kill('SIGKILL');
    }, DESCRIBE_MS);
    let complaint = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-METADATA_BYTES_MAX);
    });
    child.once('message', (message) => {
      resolve(message);
      child.kill('SIGKILL');
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      reject(new Error(`loading it ended its process (${signal ?? `exit ${code}`}) ${complaint.trim()}`.trim()));
    });
  });
  const parsed = ANSWER.safeParse(answer);
  if (!parsed.success) throw new Error('its description is malformed');
  if (!parsed.data.ok) throw new Error(parsed.data.error);
  return parsed.data.description;
}

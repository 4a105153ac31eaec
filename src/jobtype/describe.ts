/**
 * Describe: what a job type says of itself, without running its work.
 */
import { fork } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { errorText } from '../base/errors.ts';
import { DESCRIBE_MS, METADATA_BYTES_MAX } from '../base/limits.ts';
import { exportedClass } from './exported.ts';
import type { JobTypeKind } from './protocol.ts';

export interface Description {
  readonly kind: JobTypeKind;
  readonly metadataSchema: Readonly<Record<string, unknown>> | null;
}

/** The answer of the child. It runs user code, so it is read like anything else from outside. */
const ANSWER = z.discriminatedUnion('ok', [
  z.object({
    ok: z.literal(true),
    description: z.object({
      kind: z.enum(['client', 'program']),
      metadataSchema: z.record(z.string(), z.unknown()).nullable(),
    }),
  }),
  z.object({ ok: z.literal(false), error: z.string() }),
]);

/** Imports the module here. @throws Error with the reason when it is no job type. */
export async function describeModule(module: string): Promise<Description> {
  const type = exportedClass(await import(pathToFileURL(module).href));
  return { kind: type.kind, metadataSchema: plainSchema(type.metadata) };
}

/** The same in a child process, which is ended after DESCRIBE_MS. */
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

function plainSchema(schema: unknown): Description['metadataSchema'] {
  if (schema === undefined) return null;
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) {
    throw new Error('static metadata must be a JSON Schema object');
  }
  let text: string;
  try {
    text = JSON.stringify(schema);
  } catch (thrown) {
    throw new Error(`static metadata is no JSON: ${errorText(thrown)}`);
  }
  if (Buffer.byteLength(text) > METADATA_BYTES_MAX) {
    throw new Error(`static metadata is larger than ${METADATA_BYTES_MAX} bytes`);
  }
  return JSON.parse(text);
}

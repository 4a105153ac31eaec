/**
 * Hooks of a job: what the leader asks and tells the world outside. Checked wherever they come from: the edge, the log and
 * other nodes.
 */
import { z } from 'zod';
import {
  HOOK_URL_LENGTH_MAX,
  HOOK_WORD_LENGTH_MAX,
  HOOK_WORDS_MAX,
  THROTTLE_INTERVAL_MS_DEFAULT,
  THROTTLE_INTERVAL_MS_MAX,
  THROTTLE_INTERVAL_MS_MIN,
} from '../base/limits.ts';
import { isWellFormed } from './text.ts';
import type { Throttle } from './types.ts';

const text = (lengthMax: number) => z.string().min(1).max(lengthMax).refine(isWellFormed, 'is no Unicode');
// No more than its shape: how a URL is parsed may change with the version of Node, and replicas must agree.
const hookUrl = text(HOOK_URL_LENGTH_MAX).regex(/^https?:\/\/./, 'must be an http or https URL');
const intervalMs = z
  .int()
  .min(THROTTLE_INTERVAL_MS_MIN)
  .max(THROTTLE_INTERVAL_MS_MAX)
  .default(THROTTLE_INTERVAL_MS_DEFAULT);

const throttle = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('command'),
    command: z.array(text(HOOK_WORD_LENGTH_MAX)).min(1).max(HOOK_WORDS_MAX),
    intervalMs,
  }),
  z.strictObject({ kind: z.literal('url'), url: hookUrl, intervalMs }),
  z.strictObject({
    kind: z.literal('prometheus'),
    url: hookUrl,
    query: text(HOOK_WORD_LENGTH_MAX),
    holdAbove: z.number(),
    intervalMs,
  }),
]);

/** With its fields in one order and its interval filled in, or what is wrong with it. */
export function readThrottle(value: unknown): { readonly throttle: Throttle } | { readonly complaint: string } {
  const result = throttle.safeParse(value);
  if (result.success) return { throttle: result.data };
  const issue = result.error.issues[0];
  return { complaint: `${['throttle', ...(issue?.path ?? [])].join('.')}: ${issue?.message ?? 'is malformed'}` };
}

/** Absolute, of the web, and without a name and a password that a log could show. For the edge alone. */
export function isHookUrl(value: string): boolean {
  if (value.length > HOOK_URL_LENGTH_MAX || !URL.canParse(value)) return false;
  const { protocol, username, password } = new URL(value);
  return (protocol === 'http:' || protocol === 'https:') && username === '' && password === '';
}

/**
 * Health: which nodes are ready, asked of all at once and answered within the time of one try.
 */
import { CLIENT_TRY_MS } from '../base/limits.ts';
import { noAnswer } from './answers.ts';

export interface NodeHealth {
  readonly url: string;
  readonly ready: boolean;
  /** What the node says of itself, or why it says nothing. */
  readonly detail: string;
}

export interface Health {
  /** Whether any node is ready; one is enough, since any answers everything. */
  readonly ready: boolean;
  readonly nodes: readonly NodeHealth[];
}

export async function healthOf(urls: readonly string[]): Promise<Health> {
  const nodes = await Promise.all(urls.map(ask));
  return { ready: nodes.some(({ ready }) => ready), nodes };
}

async function ask(url: string): Promise<NodeHealth> {
  const signal = AbortSignal.timeout(CLIENT_TRY_MS);
  try {
    const response = await fetch(`${url}/readyz`, { signal, redirect: 'error' });
    return { url, ready: response.ok, detail: (await response.text()).trim() };
  } catch (thrown) {
    return { url, ready: false, detail: noAnswer(thrown, url, !signal.aborted).detail };
  }
}

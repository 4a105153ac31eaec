/**
 * Runner ids: how a worker that is no node of Polaris is called in the table, and told from one that is.
 *
 * A runner chooses its own name, and so must not be able to choose that of a node: the mark in front is no character
 * that a node's id may have. Whoever sees `@resize-1` in a list knows that it works over HTTP.
 */
import type { NodeId } from './types.ts';

const MARK = '@';

/** One character less than a node's id, which leaves room for the mark. */
export const RUNNER_NAME = /^[A-Za-z0-9._-]{1,63}$/;

/** The worker id of the runner with this name. */
export function runnerId(name: string): NodeId {
  return `${MARK}${name}`;
}

export function isRunner(id: NodeId): boolean {
  return id.startsWith(MARK);
}

/**
 * Protocol: what a node and the process of one query say to each other. One order, and one report.
 */

/** A dataset, as a file that the engine may map. */
export interface EngineTable {
  readonly name: string;
  readonly path: string;
}

export interface EngineOrder {
  /** SQL as `parseStatement` writes it. */
  readonly sql: string;
  readonly tables: readonly EngineTable[];
  /** An Arrow file, which is not there yet. */
  readonly resultPath: string;
}

export type EngineReport =
  | { readonly type: 'done' }
  /** The engine is there, and does not take the query: in its own words. */
  | { readonly type: 'refused'; readonly text: string }
  /** There is no engine. */
  | { readonly type: 'absent'; readonly text: string };

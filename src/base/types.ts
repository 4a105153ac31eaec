/**
 * The numbers and names that every layer shares, each a type of its own so that they cannot be mixed up.
 *
 * A flavor is optional on purpose: a plain number may become a LogIndex (`index + 1` stays cheap to write), but a Term
 * is never accepted where a LogIndex is wanted.
 */
type Flavor<T, F extends string> = T & { readonly __flavor?: F };

/** Name of a node, from `--id`: 1 to 64 of `A-Z a-z 0-9 . _ -`. */
export type NodeId = Flavor<string, 'NodeId'>;
/** UUIDv4, lower case. */
export type JobId = Flavor<string, 'JobId'>;
/** UUIDv4 of one Polaris cluster, made at formation. */
export type ClusterId = Flavor<string, 'ClusterId'>;
/** UUIDv4 of one data directory: a wiped disk comes back with another one. */
export type InstanceId = Flavor<string, 'InstanceId'>;
/** Raft term, from 1. */
export type Term = Flavor<number, 'Term'>;
/** Index of an entry in the Raft log, from 1. */
export type LogIndex = Flavor<number, 'LogIndex'>;
/** Fencing token of a lease: the log index of the entry that granted it. */
export type Epoch = Flavor<number, 'Epoch'>;
/** One life of a worker: the log index of its WorkerJoin. */
export type Incarnation = Flavor<number, 'Incarnation'>;
/** One integer of a job's range: a safe integer. */
export type Point = Flavor<number, 'Point'>;

/** Half-open `[start, end)`, `start < end`. */
export interface Range {
  readonly start: Point;
  readonly end: Point;
}

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** HOST:PORT. */
export type Address = Flavor<string, 'Address'>;

/**
 * The public surface of Polaris: what a job type is written with, and what a program talks to a cluster with.
 */
export { type ErrorCode, PolarisError } from './base/errors.ts';
export type { Json } from './base/types.ts';
export { type ClientOptions, PolarisClient, type SubmitRequest, type WaitOptions } from './client/client.ts';
export type { ClusterStatus } from './daemon/api.ts';
export type { JobJson, ProgressJson, RangeJson, RangesJson, VerifyJson } from './http/job-json.ts';
export { Client, type TaskContext } from './jobtype/client.ts';

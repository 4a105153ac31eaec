/**
 * The public surface of Polaris: what a job type is written with, and what a program talks to a cluster with.
 */
export { type ErrorCode, PolarisError } from './base/errors.ts';
export type { Json } from './base/types.ts';
export {
  type ClientOptions,
  type JobRequest,
  type ListOptions,
  PolarisClient,
  type RetryOptions,
  type ScheduleRequest,
  type SubmitRequest,
  type WaitOptions,
} from './client/client.ts';
export type {
  Datasets,
  GetOptions,
  IfVersion,
  KeepOptions,
  PutOptions,
  ReadOptions,
} from './client/datasets.ts';
export type { Content, DatasetContent } from './client/download.ts';
export type { Health, NodeHealth } from './client/health.ts';
export type { Queries, QueryContent, QueryOptions } from './client/query.ts';
export type {
  ResultContent,
  ResultGetOptions,
  ResultLoadOptions,
  ResultOptions,
  Results,
} from './client/results.ts';
export { type RunnerOptions, runner } from './client/runner.ts';
export type { Work } from './client/runner-attempt.ts';
export { type Columns, StoreBatchError, type StoreOptions, type TableLike } from './client/tables.ts';
export type { DataSource } from './client/upload.ts';
export type { ClusterStatus } from './daemon/api.ts';
export {
  type Aggregate,
  session,
  sliding,
  tumbling,
  type WindowShape,
  type WindowsSpec,
} from './data/windows/spec.ts';
export type { CacheJson } from './http/cache.ts';
export type { DatasetJson } from './http/datasets.ts';
export type { FailuresJson, JobJson, ProgressJson, RangeJson, RangesJson, VerifyJson } from './http/job-json.ts';
export type { PlanJson } from './http/query.ts';
export type { ResultInfoJson } from './http/result-look.ts';
export type { ScheduleJson } from './http/schedules.ts';
export type { WorkerJson } from './http/workers.ts';
export { type BatchPiece, Client, type PointRow, type TaskContext } from './jobtype/client.ts';
export {
  type Batches,
  type CollectedTask,
  type CollectingJob,
  Master,
  type OverseenJob,
  type Plan,
  type PlannedJob,
} from './jobtype/master.ts';
export {
  type BatchTask,
  type PipelineClass,
  type PipelineOptions,
  pipeline,
  type StageContext,
  type StageFunction,
  type StageOptions,
} from './jobtype/pipeline.ts';
export type { CheckpointPolicy } from './jobtype/stages.ts';
export { type WindowedJob, type WindowsMaster, windows } from './jobtype/windowed.ts';
export type { Controls, Delivery, JobOptions, Throttle, Tolerance } from './ranges/types.ts';

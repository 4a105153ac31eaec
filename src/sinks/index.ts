/**
 * The public surface of `polarisd/sinks`: what an author of a job type takes to get exactly-once effects.
 */

export { doneWithin, openRange, pushPoints, type Segment, type Segments } from './fence.ts';
export { type FileRecord, FileSink, readFileSink } from './file.ts';
export { type MemoryEffect, MemorySink } from './memory.ts';
export { type PointValue, PostgresSink, type PostgresSinkOptions } from './postgres.ts';
export { RedisSink, type RedisSinkOptions } from './redis.ts';
export { fencedPoints } from './task.ts';
export type { FencedSink, FencedTask, Pushed } from './types.ts';

/**
 * query: a job type of two halves, each in a room of its own.
 */
export { Query } from './client.ts';
export { QueryMaster } from './master.ts';

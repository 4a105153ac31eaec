export { Query } from './client.ts';
export { QueryMaster } from './master.ts';

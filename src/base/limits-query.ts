/**
 * Limits of queries, each with its reason, as limits.ts has those of everything else.
 */
const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Characters of one SQL query: what a person or a report writes has a few thousand. */
export const QUERY_SQL_CHARACTERS_MAX = 64 * KIB;
/** Brackets within brackets in SQL: the engine's own parser gives up a little later, and its stack much later. */
export const QUERY_DEPTH_MAX = 32;
/** Datasets that one query reads. */
export const QUERY_DATASETS_MAX = 16;
/** Bytes of all datasets of one query: they are laid out on the disk of the node that answers it. */
export const QUERY_INPUT_BYTES_MAX = 8 * GIB;
/** Bytes of an answer, on the same disk until it is read. */
export const QUERY_RESULT_BYTES_MAX = 2 * GIB;
/** Memory of the process of one query; what it maps of its input counts for nothing, since the system takes that back. */
export const QUERY_MEMORY_MB = 2_048;
/** From its first byte of input to its last byte of result. */
export const QUERY_MS_MAX = 120_000;
/** Processes of queries on one node: each takes a core and the memory above. */
export const QUERY_ENGINES_MAX = 2;
/** Queries that run, wait, or have results that are not read to their end yet. */
export const QUERIES_OPEN_MAX = 16;
/** Of what the engine says about a query: its plans can be long, and what is wrong stands in front. */
export const QUERY_ERROR_CHARACTERS_MAX = 1_000;
/** Names that are proposed for one that is not there. */
export const QUERY_NEIGHBOURS_MAX = 3;
/** Columns named with an error, so that the right one may be among them. */
export const QUERY_COLUMNS_SHOWN_MAX = 30;
/** Rows that `polaris query` shows as a table: they are held to be aligned, and nobody reads more. */
export const QUERY_TABLE_ROWS_MAX = 1_000;
/** Rows of a task, and of partial answers, that the job type `query` takes into memory at once. */
export const QUERY_TASK_BYTES_MAX = 256 * MIB;

/**
 * The one table of errors. HTTP, CLI, logs and docs/reference/errors.md all come from these rows; callers match
 * `error.code`, never its text.
 */
interface ErrorRow {
  /** HTTP status. */
  readonly status: number;
  /** Exit code of the CLI. */
  readonly exit: number;
  /** Whether the same request may succeed later, unchanged. */
  readonly retry: boolean;
  /** What it means and what to do, one sentence. */
  readonly text: string;
}

export const ERRORS = {
  BAD_REQUEST: { status: 400, exit: 2, retry: false, text: 'The request is malformed; the detail names the field.' },
  BAD_JSON: { status: 400, exit: 2, retry: false, text: 'The body is not JSON.' },
  BAD_RANGE: {
    status: 400,
    exit: 2,
    retry: false,
    text: 'start and end must be safe integers with start < end and at most 2^53-1 points between them.',
  },
  BAD_ID: { status: 400, exit: 2, retry: false, text: 'A job id must be a UUIDv4.' },
  BAD_METADATA: { status: 400, exit: 2, retry: false, text: 'The job type refuses the metadata; the detail says why.' },
  BAD_OPTION: { status: 400, exit: 2, retry: false, text: 'An option is unknown, or its value is not allowed.' },
  BAD_PLAN: {
    status: 400,
    exit: 2,
    retry: false,
    text: 'The Master of the job type cannot say what the job is to work on; the detail says why.',
  },
  UNKNOWN_JOB_TYPE: {
    status: 400,
    exit: 2,
    retry: false,
    text: 'No worker ever offered this job type and this node does not have it; start a node with --jobs DIR, or a runner that offers it.',
  },
  BAD_ARROW: {
    status: 400,
    exit: 1,
    retry: false,
    text: 'The bytes are no whole Arrow IPC stream or file; the detail says what is wrong and where.',
  },
  BAD_DATA: {
    status: 400,
    exit: 1,
    retry: false,
    text: 'The data cannot be read as its format says; the detail names the place.',
  },
  BAD_SCHEMA: {
    status: 400,
    exit: 1,
    retry: false,
    text: 'The columns cannot be carried, or are not those that were expected; the detail names the first one.',
  },
  BATCH_TOO_LARGE: { status: 413, exit: 1, retry: false, text: 'A record batch may have 64 MiB; cut it.' },
  NOT_ACCEPTABLE: { status: 406, exit: 2, retry: false, text: 'None of the accepted media types can be written.' },
  METADATA_TOO_LARGE: { status: 413, exit: 2, retry: false, text: 'Metadata may have 64 KiB as canonical JSON.' },
  BODY_TOO_LARGE: { status: 413, exit: 2, retry: false, text: 'The body is larger than the limit.' },
  NOT_FOUND: { status: 404, exit: 1, retry: false, text: 'There is no such thing.' },
  JOB_NOT_FOUND: { status: 404, exit: 1, retry: false, text: 'There is no job with this id.' },
  AMBIGUOUS_ID: { status: 400, exit: 2, retry: false, text: 'The shortened id fits several jobs; give more of it.' },
  METHOD_NOT_ALLOWED: { status: 405, exit: 2, retry: false, text: 'This path does not take this method.' },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    exit: 2,
    retry: false,
    text: 'This body is of a type that is not read here; the detail names those that are.',
  },
  SPEC_CONFLICT: {
    status: 409,
    exit: 1,
    retry: false,
    text: 'A job with this id exists and has another specification.',
  },
  WRONG_STATE: { status: 409, exit: 1, retry: false, text: 'The job is in a state in which this cannot be done.' },
  BAD_MEMBERSHIP: {
    status: 409,
    exit: 1,
    retry: false,
    text: 'This change does not fit the members that the cluster has; the detail says why.',
  },
  STALE_EPOCH: {
    status: 410,
    exit: 1,
    retry: false,
    text: 'The lease of this epoch has ended; its work is given to others.',
  },
  SESSION_ENDED: {
    status: 410,
    exit: 1,
    retry: false,
    text: 'The session of this runner has ended, and its leases with it: stop its tasks, and claim without a session.',
  },
  OUT_OF_ORDER: {
    status: 409,
    exit: 1,
    retry: false,
    text: 'A fenced sink takes the points of a task in ascending order, and this one is not the next.',
  },
  NO_RESULT: {
    status: 404,
    exit: 1,
    retry: false,
    text: 'The job has no rows to give: its points emitted nothing so far, or its Master has not finished.',
  },
  DATASET_CONFLICT: {
    status: 412,
    exit: 1,
    retry: false,
    text: 'The dataset is not at the version that was expected; look at it again.',
  },
  SCHEMA_CONFLICT: {
    status: 409,
    exit: 1,
    retry: false,
    text: 'What was emitted has other columns than what the job has emitted before.',
  },
  BLOB_CONDEMNED: {
    status: 503,
    exit: 5,
    retry: true,
    text: 'What was stored was given up before it was named; send it again.',
  },
  BLOBS_MOVING: {
    status: 503,
    exit: 5,
    retry: true,
    text: 'Too few of the members that would be left hold all batches; wait until they have fetched them, or say force.',
  },
  TRANSFER_BROKEN: {
    status: 502,
    exit: 5,
    retry: true,
    text: 'The data broke off on its way; what came of it is not whole. Ask for it again.',
  },
  TOO_FEW_COPIES: {
    status: 503,
    exit: 5,
    retry: true,
    text: 'Too few nodes could take a copy of the data; nothing was named. Try again.',
  },
  NO_LEADER: {
    status: 503,
    exit: 5,
    retry: true,
    text: 'The cluster has no leader just now; nothing was changed, try again.',
  },
  OUTCOME_UNKNOWN: {
    status: 503,
    exit: 5,
    retry: true,
    text: 'The leader was lost before it could say whether the change was made; repeat it with the same id.',
  },
  OVERLOADED: { status: 503, exit: 5, retry: true, text: 'Too much is waiting for the log; try again.' },
  TOO_MANY_JOBS: { status: 503, exit: 1, retry: true, text: 'Too many unfinished jobs; wait for some or cancel some.' },
  STOPPING: { status: 503, exit: 5, retry: true, text: 'This node is stopping; ask another.' },
  UNREACHABLE: {
    status: 503,
    exit: 5,
    retry: true,
    text: 'No node of the cluster can be reached at the given address.',
  },
  TIMED_OUT: { status: 504, exit: 6, retry: true, text: 'It took longer than the time given.' },
  USAGE: { status: 400, exit: 2, retry: false, text: 'The command line is wrong; see --help.' },
  NOT_LOOPBACK: {
    status: 403,
    exit: 4,
    retry: false,
    text: 'Without TLS and tokens a node listens on loopback only; say --insecure to listen elsewhere.',
  },
  FOREIGN_ORIGIN: {
    status: 403,
    exit: 4,
    retry: false,
    text: 'A page of another site may not send requests here.',
  },
  STRANGER: {
    status: 403,
    exit: 4,
    retry: false,
    text: 'The other side is not a member of this cluster.',
  },
  CLUSTER_MISMATCH: { status: 403, exit: 4, retry: false, text: 'The other side belongs to another cluster.' },
  PROTOCOL_MISMATCH: { status: 403, exit: 4, retry: false, text: 'The two sides speak no common protocol version.' },
  CONFIG_MISMATCH: {
    status: 403,
    exit: 4,
    retry: false,
    text: 'The voters of a cluster must have the same --session-ttl-ms.',
  },
  INSTANCE_MISMATCH: {
    status: 403,
    exit: 4,
    retry: false,
    text: 'This id is bound to another data directory: join under a new id.',
  },
  BAD_FRAME: {
    status: 400,
    exit: 1,
    retry: false,
    text: 'A peer sent bytes that are no Polaris frame; the connection is closed.',
  },
  MEMBERSHIP_BUSY: {
    status: 409,
    exit: 1,
    retry: true,
    text: 'Another change of the membership is under way; try again.',
  },
  REMOVED: {
    status: 403,
    exit: 4,
    retry: false,
    text: 'This node was removed from its cluster; to come back, start it with an empty data directory under a new id.',
  },
  LOG_DAMAGED: {
    status: 500,
    exit: 1,
    retry: false,
    text: 'The data directory is damaged: move it away and join under a new id.',
  },
  OTHER_FORMAT: {
    status: 500,
    exit: 1,
    retry: false,
    text: 'The data directory was written by another version of Polaris: start it with that version; nothing was changed.',
  },
  BAD_BACKUP: {
    status: 400,
    exit: 1,
    retry: false,
    text: 'This is no whole backup that this version can read; take another one, or use the version that made it.',
  },
  DATA_DIR_NOT_EMPTY: {
    status: 409,
    exit: 1,
    retry: false,
    text: 'A cluster is restored into a new data directory only; name one that is empty or not there yet.',
  },
  FILE_FAILED: {
    status: 500,
    exit: 1,
    retry: false,
    text: 'A file or directory that the command was given cannot be read or written; the detail says why.',
  },
  BLOB_MISSING: {
    status: 404,
    exit: 1,
    retry: false,
    text: 'The blob store has no copy of this blob.',
  },
  BLOB_DAMAGED: {
    status: 500,
    exit: 1,
    retry: true,
    text: 'These bytes are not those that the hash of the blob names; none of them was handed on, and a replica repairs the copy.',
  },
  BLOB_TOO_LARGE: { status: 413, exit: 2, retry: false, text: 'The blob is larger than the limit; nothing was kept.' },
  BLOB_STORE_FULL: {
    status: 507,
    exit: 1,
    retry: true,
    text: 'The blob store has no room left; nothing was kept. Make room, or drop datasets and jobs.',
  },
  BLOB_STORE_FAILED: {
    status: 503,
    exit: 1,
    retry: true,
    text: 'The blob store cannot be read or written; the detail says why.',
  },
  NOT_UNDERSTOOD: {
    status: 409,
    exit: 1,
    retry: true,
    text: 'Some member runs a version that does not understand this yet; upgrade all members first.',
  },
  CANNOT_LISTEN: {
    status: 500,
    exit: 1,
    retry: false,
    text: 'The node cannot take the address of --listen; end what uses it, or choose another.',
  },
  DATA_DIR_BUSY: { status: 500, exit: 1, retry: false, text: 'Another process uses this data directory.' },
  DISK_FAILED: {
    status: 500,
    exit: 1,
    retry: false,
    text: 'A write to the data directory failed; the process stops and rebuilds from disk at its next start.',
  },
  STATE_DIVERGED: {
    status: 500,
    exit: 70,
    retry: false,
    text: 'This node holds another job table than the majority of the voters: keep its data directory for a report, and join under a new id with an empty one.',
  },
  BAD_WINDOWS: {
    status: 400,
    exit: 2,
    retry: false,
    text: 'The windows are described wrongly, or a batch or a saved state does not fit them; the detail says which and why.',
  },
  TOO_MANY_WINDOWS: {
    status: 413,
    exit: 1,
    retry: false,
    text: 'More windows and keys are open than one job may hold; take larger windows, fewer keys or less lateness.',
  },
  SUM_OVERFLOW: {
    status: 400,
    exit: 1,
    retry: false,
    text: 'A sum of integers does not fit into 64 bits; sum a float column instead.',
  },
  BAD_PIPELINE: {
    status: 400,
    exit: 2,
    retry: false,
    text: 'A pipeline is described wrongly, or a stage gave what it did not declare; the detail names the stage.',
  },
  BAD_QUERY: {
    status: 400,
    exit: 2,
    retry: false,
    text: 'The SQL cannot be run, or asks for more than to read datasets; the detail says what, and where.',
  },
  QUERY_TOO_LARGE: {
    status: 413,
    exit: 1,
    retry: false,
    text: 'The query needs more memory, or makes a larger answer, than one query may; the detail says which limit it met.',
  },
  QUERY_LOST: {
    status: 503,
    exit: 5,
    retry: true,
    text: 'The process that ran the query ended before it had an answer; ask again.',
  },
  NO_QUERY_ENGINE: {
    status: 501,
    exit: 1,
    retry: false,
    text: 'The query engine has no build for the platform of this node; ask another node.',
  },
  INTERNAL: { status: 500, exit: 70, retry: false, text: 'A fault in Polaris itself; its log has the trace.' },
  FAILED_RANGES: { status: 200, exit: 3, retry: false, text: 'The job is finished, but some ranges failed.' },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

export class PolarisError extends Error {
  override readonly name = 'PolarisError';
  readonly code: ErrorCode;
  /** What happened, to what: one sentence for a person. */
  readonly detail: string;

  constructor(code: ErrorCode, detail?: string, options?: { cause?: unknown }) {
    const said = detail ?? ERRORS[code].text;
    super(`${code}: ${said}`, options);
    this.code = code;
    this.detail = said;
  }

  get row(): ErrorRow {
    return ERRORS[this.code];
  }
}

/** The text of anything that was thrown. */
export function errorText(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

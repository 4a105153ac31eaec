/**
 * Limits of Masters: what they plan and take in, how they hear of their jobs, and whom else the leader asks or tells outside.
 */
const KIB = 1024;
const MIB = 1024 * KIB;

/** A command or request of the leader that takes longer is ended, and counts as unreachable. */
export const OUTSIDE_WAIT_MS = 5_000;
/** What is read of an answer from outside; the rest is not looked at. */
export const OUTSIDE_BYTES_MAX = 64 * KIB;
/** Completions being told at a time. */
export const NOTICES_ASKING_MAX = 16;
/** Of these, completions that somebody did not take before: who does not answer must not keep the news from others. */
export const NOTICES_AGAIN_MAX = 8;
/** Tries at a Master, some three minutes, after which it and the webhook take turns: neither keeps it from the other. */
export const NOTICE_TURNS_AFTER = 10;
/** Back-off between tries, doubled from the first to the last, with jitter; it goes on as long as the job is kept. */
export const NOTICE_RETRY_MS_MIN = 500;
export const NOTICE_RETRY_MS_MAX = 60_000;
/** Calls of Masters at a time on the leader. */
export const MASTER_CALLS_MAX = 16;
/** A Master that takes longer for one call, or for one batch, has failed in it; its thread is ended. */
export const MASTER_CALL_MS = 30_000;
/** How often a Master hears of progress at most. */
export const MASTER_PROGRESS_MS = 1_000;
/** How often a Master that takes step after step says so: far more often than MASTER_CALL_MS. */
export const MASTER_MOVED_MS = 1_000;
/** Datasets that one plan may ask for. */
export const MASTER_ASKS_MAX = 1_000;
/** What a Master writes down of all that it took in: with each fold it is written anew, and copied to a majority. */
export const MASTER_STATE_BYTES_MAX = 256 * MIB;
/** Jobs that a node plans at a time: each is a process. */
export const PLANS_AT_ONCE_MAX = 4;
/** Outputs that a Master takes in for one entry of the log. */
export const FOLD_OUTPUTS_MAX = 256;
/** Bytes of outputs for one entry: what is taken in again when the Master's host is lost. One output goes whatever its size. */
export const FOLD_BYTES_MAX = 256 * MIB;
/** A fold that would be small waits this long for more: the state is written anew with each. */
export const FOLD_INTERVAL_MS = 1_000;
/** Masters that fold at a time on the leader. */
export const FOLDS_AT_ONCE_MAX = 4;
/** Outputs of a job that its Master has not taken in; with more, nothing new of the job is granted until it has. */
export const FOLD_BACKLOG_MAX = 1 * KIB;
/** Ends of the host of a Master in a row, without a fold between them, after which the job pauses. */
export const FOLD_DEATHS_MAX = 5;
/** Back-off after an order that failed through no word of the Master, doubled from the first to the last, with jitter. */
export const FOLD_RETRY_MS_MIN = 200;
export const FOLD_RETRY_MS_MAX = 10_000;

/**
 * Limits of results, of what runners read and leave, and of tables on their way through a node, each with the reason for it;
 * all others are in limits.ts.
 */
import { CONNECTION_SILENCE_MS } from './limits.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** How often a followed result is looked at: fast enough for a person, and a short look each. */
export const RESULT_LOOK_MS = 250;
/** Whoever follows a job that has emitted nothing is told so after this long, and asks again. Below the tries of a client. */
export const RESULT_WAIT_MS = 10_000;
/** A followed Arrow stream that has nothing to say sends an empty batch so often: six in the longest silence. */
export const RESULT_BEAT_MS = CONNECTION_SILENCE_MS / 6;
/** A node that has known no leader for so long gives up what it follows: another node may know more. Several elections. */
export const RESULT_LEADERLESS_MS = 10_000;
/** Tables on their way into a node or out of it: each may hold a batch of 64 MiB, and most hold one of less than one. */
export const TABLE_STREAMS_MAX = 64;
/** Results followed on one node: each looks at the table four times a second. */
export const RESULTS_FOLLOWED_MAX = 64;
/** Results that one node without a table hands on from the leader: as many as the leader would let be followed. */
export const RESULTS_RELAYED_MAX = 64;
/** Ranges named in a header; all of them are told by `/result/info`. Some 2 KB. */
export const RESULT_RANGES_SHOWN = 64;
/** 1 GiB: one output of a runner, which is written, copied and read as a whole. */
export const RUNNER_OUTPUT_BYTES_MAX = 1 * GIB;
/** Outputs of one task on their way to one node: a runner sends one after the other, and a repetition may overtake. */
export const RUNNER_UPLOADS_MAX = 4;
/** What a runner of the SDK gathers of a task before it sends it, and lets its code wait meanwhile. */
export const RUNNER_SEAL_BYTES = 8 * MIB;
/** What the points of one piece may emit there: it is held in memory until they are done, for they may still fail. */
export const RUNNER_EMIT_BYTES_MAX = 64 * MIB;

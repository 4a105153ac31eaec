/**
 * Every queue, message, loop and retry of Polaris has its number here, with the reason for it.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

// ---- Raft -----------------------------------------------------------------------------------------------------------

/** 20 ms: fine enough that 500 to 1000 ms gives 25 different election timeouts, coarse enough to cost 50 wake-ups a second. */
export const TICK_MS = 20;
/** 100 ms, the field's usual 1:5 to the shortest election. */
export const HEARTBEAT_TICKS = 5;
/** 500 ms: ten times a slow fsync, so that a busy disk does not cost a leader. */
export const ELECTION_TICKS_MIN = 25;
/** 1000 ms, exclusive: double the minimum, so that two candidates rarely collide twice. */
export const ELECTION_TICKS_MAX = 50;
/** After a stall at most this many ticks fire at once: less than a heartbeat, far less than an election. */
export const TICKS_AT_ONCE_MAX = 4;
/** One append message: large enough to fill a synced batch, small enough to pass in a few ms. */
export const APPEND_BYTES_MAX = 1 * MIB;
/** Appends under way to one follower: covers a 100 ms round trip at one message a ms. */
export const INFLIGHT_MESSAGES_MAX = 128;
/** Bytes under way to one follower. */
export const INFLIGHT_BYTES_MAX = 8 * MIB;
/** Proposed and not committed: what a leader without a quorum may pile up in memory. */
export const UNCOMMITTED_BYTES_MAX = 16 * MIB;
/** 5 s: a snapshot that made no headway for so long is asked after with a small probe. A mistake costs one message. */
export const SNAPSHOT_LOST_TICKS = 250;
/** 2 s: a leader whose own disk takes longer for one write steps down, for another disk serves better. Twice the longest election. */
export const WRITE_STALLED_TICKS = 100;
/** Entries applied before other events get their turn. */
export const APPLY_BYTES_AT_ONCE_MAX = 256 * KIB;
/** A snapshot is taken after so many entries: some 3 MB of grants and progress, one second of replay. */
export const SNAPSHOT_EVERY_ENTRIES = 10_000;
/** Or after so many bytes of entries. */
export const SNAPSHOT_EVERY_BYTES = 32 * MIB;
/** Entries kept behind a snapshot, so that a follower that was away for seconds needs no snapshot. */
export const LOG_TAIL_ENTRIES = 2_000;
/** Proposals that wait for their commit; beyond it callers get OVERLOADED. */
export const PROPOSALS_WAITING_MAX = 10_000;
/** Reads that wait for their round. */
export const READS_WAITING_MAX = 10_000;

// ---- Membership -----------------------------------------------------------------------------------------------------

/** Removed members that are remembered, so that each is told and its id is not given again. */
export const REMOVED_MEMBERS_MAX = 1_000;
/** A node that wants to join, and a record that is to be taken, are offered this often. */
export const JOIN_EVERY_MS = 500;
/** A learner this near to the commit index has caught up: less than a heartbeat of a busy log. */
export const CAUGHT_UP_ENTRIES = 200;
/** A leader that stops waits this long for its successor: an election, at most. */
export const HAND_OVER_MS = 1_000;
/** A removed node stays this long, so that its own commit reaches the others. */
export const FAREWELL_MS = 1_000;

// ---- Wire -----------------------------------------------------------------------------------------------------------

/** Version of the frames spoken here, and the oldest that is understood. */
export const PROTOCOL = 1;
export const PROTOCOL_MIN = 1;
/**
 * Largest frame. The largest that is sent: an append of APPEND_BYTES_MAX or of one entry that alone is larger (1 MiB at
 * most), a `leases` with 16 orders of 64 KiB metadata, a `reported` or `report` of 1,024 errors of 1,024 characters with
 * three bytes each (3.2 MB). Snapshots travel in chunks.
 */
export const FRAME_BYTES_MAX = 4 * MIB;
/** Single values in one frame: 20 bytes is the smallest entry, so 1 MiB of entries has some 50,000; four times that. */
export const FRAME_VALUES_MAX = 256 * KIB;
/** Arrays in arrays: the deepest message (an order with its options) has four. */
export const FRAME_DEPTH_MAX = 8;
/** The largest text in a frame is a job's metadata. */
export const FRAME_TEXT_BYTES_MAX = 64 * KIB;
/** Voters in a hello, a formation or a snapshot: a larger quorum would only be slower. */
export const MEMBERS_MAX = 64;
/** Nodes whose protocol version is remembered: all members, and as many that come and go. */
export const ANNOUNCED_MAX = 2 * MEMBERS_MAX;
/** Queued on one socket; beyond it messages are dropped, which Raft and the sessions both survive. Four windows of appends. */
export const SOCKET_QUEUE_BYTES_MAX = 4 * INFLIGHT_BYTES_MAX;
/** Messages that wait for a bulk line to open: a window of chunks; more would be a speaker that does not wait for acks. */
export const BULK_WAITING_MESSAGES_MAX = 16;
/** A bulk line without a word for so long is closed: snapshots are rare, and a spare socket serves nobody. */
export const BULK_IDLE_MS = 10_000;
/** Reconnect back-off, doubled from the first to the last, with jitter. */
export const RECONNECT_MS_MIN = 50;
export const RECONNECT_MS_MAX = 1_000;
/** A connection that says no hello within this time is closed. */
export const HELLO_TIMEOUT_MS = 5_000;
/** What is queued on a closing connection may still leave: a release or a refusal passes in a few ms. */
export const CLOSE_GRACE_MS = 500;
/** Pings find half-open connections; two unanswered close the socket. */
export const PING_INTERVAL_MS = 2_000;
/** One probe of a silent worker on this host. */
export const PROBE_TIMEOUT_MS = 250;
/** Connections accepted from strangers that have not yet said hello. */
export const PENDING_CONNECTIONS_MAX = 64;

// ---- Snapshot transfer ----------------------------------------------------------------------------------------------

/** Largest snapshot that is offered or taken: three times the metadata of all jobs, for ranges and workers need room too. */
export const SNAPSHOT_BYTES_MAX = 64 * MIB;
/** One chunk: 2 ms on a gigabit line, and small against the buffers of a socket. */
export const SNAPSHOT_CHUNK_BYTES = 256 * KIB;
/** Chunks under way to one follower: 2 MiB cover a round trip of 60 ms at the full rate. */
export const SNAPSHOT_WINDOW_CHUNKS = 8;
/** What a leader spends on all its transfers together: a quarter of a gigabit line, and 64 MiB in two seconds. */
export const SNAPSHOT_BYTES_PER_SECOND = 32 * MIB;
/** What may leave at once after a rest: more than the rate gives between two ticks, so that ticks do not throttle. */
export const SNAPSHOT_BURST_BYTES = 1 * MIB;
/**
 * Without headway for so long, the transfer is offered anew and goes on from what the follower holds; then after twice,
 * and four times as long, so that a slow line is not filled with repetitions.
 */
export const SNAPSHOT_OFFER_MS = 500;
/** Without headway for so long, it is given up: four offers were in vain. The core asks again when the follower is heard. */
export const SNAPSHOT_STUCK_MS = 5_000;
/** No transfer holds the log of its leader longer than this: 64 MiB at 1 MiB a second, the slowest line worth waiting for. */
export const SNAPSHOT_TRANSFER_MS_MAX = 64_000;
/** A follower keeps a broken-off transfer so long for its resumption. */
export const SNAPSHOT_PARTIAL_MS = 60_000;

// ---- Backup ---------------------------------------------------------------------------------------------------------

/**
 * A restored cluster begins so far behind the index of its backup. What the old cluster gave after the backup lies below:
 * at 10,000 entries a second it takes five days to write so many, and a cluster that busy is backed up more often.
 */
export const RESTORE_INDEX_GAP = 2 ** 32;
/** The head of a backup: a few ids and numbers. */
export const BACKUP_HEADER_BYTES_MAX = 64 * KIB;
/** A file larger than this is none: far beyond any job table, and small enough to be held in memory a few times. */
export const BACKUP_BYTES_MAX = 512 * MIB;
/** One backup over HTTP: as long as the largest snapshot takes on the slowest line worth waiting for. */
export const BACKUP_WAIT_MS = SNAPSHOT_TRANSFER_MS_MAX;

// ---- State hash -----------------------------------------------------------------------------------------------------

/** The table is hashed at each index that is a multiple: as often as a snapshot is taken, and at the price of one. */
export const STATE_HASH_EVERY_ENTRIES = 10_000;
/** Hashes kept of each voter: one that lags behind by seventy thousand entries can still be compared. */
export const STATE_HASHES_KEPT = 8;

// ---- Sessions -------------------------------------------------------------------------------------------------------

/** Default life of a session without a word from its worker. */
export const SESSION_TTL_MS = 5_000;
/** Four times the longest election: a worker must outlive a change of leader. */
export const SESSION_TTL_MS_MIN = 4 * ELECTION_TICKS_MAX * TICK_MS;
export const SESSION_TTL_MS_MAX = 600_000;
/** Keep-alives in a TTL: nine may be lost before a session ends. */
export const KEEP_ALIVES_PER_TTL = 10;
/** Quarters of the TTL that the log may hold against a silent worker. */
export const SUSPECT_QUARTERS_MAX = 3;
/** Refused connections must last this long to prove a death. */
export const DEATH_PROOF_MS = 500;
/** Nodes of this host of which it is remembered that they listened: as many as can be workers. */
export const ANSWERED_MAX = 10_000;
/** Full orders in one 'leases' message; the rest comes with the next. 16 × 64 KiB of metadata stay below 2 MiB. */
export const ORDERS_PER_MESSAGE_MAX = 16;
/** Slots of one worker. */
export const SLOTS_MAX = 1_024;
/** Workers with a session: beyond it a join is refused. */
export const WORKERS_MAX = 10_000;
/** Job types offered by one worker. */
export const OFFERS_MAX = 256;
/** Reports in one message of a worker: one a slot. */
export const REPORTS_PER_MESSAGE_MAX = SLOTS_MAX;

// ---- Runners --------------------------------------------------------------------------------------------------------

/** Workers that are no nodes: half of all, so that whoever invents names cannot keep nodes from joining. */
export const RUNNERS_MAX = WORKERS_MAX / 2;
/** A claim waits no longer than so many keep-alives: as long as a silent worker is still expected to take a task. */
export const CLAIM_WAIT_KEEP_ALIVES = 3;
/** Nor longer than this: half of what a connection may be silent. */
export const CLAIM_WAIT_MS_MAX = 30_000;
/** Claims that wait on one node: the other connections that may be busy stay for everything else. */
export const CLAIMS_WAITING_MAX = 512;
/** Orders in answers that are not yet read: thirty of the longest answers. */
export const CLAIM_ANSWERS_BYTES_MAX = 32 * MIB;
/** A try of a runner waits for this part of the TTL before it asks another node: two may hang, and the third be in time. */
export const RUNNER_TRIES_PER_TTL = 4;
/** Ended epochs that a leader remembers, so that the repetition of a complete is told the same. */
export const ENDED_EPOCHS_REMEMBERED = 10_000;

// ---- Jobs -----------------------------------------------------------------------------------------------------------

/** Canonical JSON of a job's metadata: a job is a pointer to work, not the work. */
export const METADATA_BYTES_MAX = 64 * KIB;
/** Metadata of all jobs together: a third of the largest snapshot. */
export const METADATA_TOTAL_BYTES_MAX = 20 * MIB;
/** Jobs that are neither done, failed nor cancelled. */
export const OPEN_JOBS_MAX = 1_000;
/** Finished jobs kept for `show` and `verify`; the oldest go first. */
export const FINISHED_JOBS_MAX = 1_000;
/** And no longer than 30 days by the leader's stamps. */
export const FINISHED_JOBS_AGE_MS = 30 * 24 * 3_600_000;
/** Finished jobs kept before others until somebody took the word of their end: half, so that a dead receiver leaves room. */
export const UNTOLD_JOBS_MAX = 500;
/** Failed ranges of one job; beyond it neighbours are merged, never dropped. */
export const FAILED_RANGES_MAX = 1_000;
/** Priority of a job, from minus this on. */
export const PRIORITY_MAX = 100;
/** Weight of a job among those of its priority. */
export const WEIGHT_MAX = 1_000;
/** Live tasks that a job may be held to: more than there are slots in the largest cluster. */
export const CONCURRENCY_MAX = 10_000_000;
export const POINTS_PER_SECOND_MAX = 1_000_000_000;
/** A task may be given from a tenth of a second to a week. */
export const TASK_TIMEOUT_MS_MIN = 100;
export const TASK_TIMEOUT_MS_MAX = 7 * 24 * 3_600_000;
/** Heap of one job thread, where a job says something of it. */
export const TASK_MEMORY_MB_MIN = 16;
export const TASK_MEMORY_MB_MAX = 65_536;
/** A URL that the leader calls. */
export const HOOK_URL_LENGTH_MAX = 2_048;
/** A command that the leader runs: its words, and the length of one. */
export const HOOK_WORDS_MAX = 64;
export const HOOK_WORD_LENGTH_MAX = 4_096;
export const THROTTLE_INTERVAL_MS_MIN = 100;
export const THROTTLE_INTERVAL_MS_MAX = 3_600_000;
/** A throttle as JSON: its longest command. */
export const THROTTLE_LENGTH_MAX = 64 * KIB;
/** Schedules of a cluster: with the largest metadata each, 16 MiB of the table. */
export const SCHEDULES_MAX = 256;
export const SCHEDULE_KEY_LENGTH_MAX = 64;
/** Uncertain ranges of one job; beyond it the job pauses, and only what is leased by then can still be added. */
export const UNCERTAIN_RANGES_MAX = 10_000;
/** Workers named for one re-executed range: the first few. */
export const REEXECUTED_WORKERS_MAX = 8;
/** Failed and uncertain points that a job bears before it pauses, if it does not say otherwise. */
export const TOLERATE_DEFAULT = 1_000;
/** So many tasks fail in a row before anything was acknowledged: the job pauses, for its code or its metadata is wrong. */
export const FIRST_FAILURES_MAX = 20;
/** Re-executed ranges of one job; beyond it neighbours are merged, which can only overstate. */
export const REEXECUTED_RANGES_MAX = 1_000;
/** Returned ranges of one job: one for each lease that ended early and was not granted again. Beyond it nothing new is granted from the frontier. */
export const RETURNED_RANGES_MAX = 10_000;
/** Returned ranges and live tasks of one job together: at the limit a returned range is granted whole, so the sum cannot grow. */
export const OPEN_RANGES_MAX = 2 * RETURNED_RANGES_MAX;
/** Cursors in one progress entry: some 500 KB; the leader splits what is longer. */
export const CURSORS_PER_ENTRY_MAX = 50_000;
/** Names of job types remembered after the last worker that offered them left; the longest unseen is forgotten first. */
export const OFFERED_NAMES_MAX = 16 * OFFERS_MAX;
/** Ids of nodes, jobs and instances: a UUID has 36 characters, a node id up to 64. */
export const ID_LENGTH_MAX = 64;
/** HOST:PORT, where a DNS name has at most 253 characters. */
export const ADDRESS_LENGTH_MAX = 300;
/** Content hash of a job type: SHA-512 in hexadecimal fits. */
export const HASH_LENGTH_MAX = 128;
/** Text of an error kept in the table. */
export const ERROR_TEXT_MAX = 1_024;
/** Name of a job type. */
export const NAME_LENGTH_MAX = 64;

export const COMMIT_EVERY_DEFAULT = 100;
export const COMMIT_EVERY_MAX = 1_000_000;
export const COMMIT_INTERVAL_MS_DEFAULT = 200;
export const COMMIT_INTERVAL_MS_MIN = 10;
export const COMMIT_INTERVAL_MS_MAX = 60_000;
export const MAX_ATTEMPTS_DEFAULT = 3;
export const MAX_ATTEMPTS_MAX = 100;
/** A failed range waits this long before its next attempt, doubled each time. */
export const RETRY_MS_MIN = 500;
export const RETRY_MS_MAX = 30_000;

/** A task should take about this long: long enough to make grants cheap, short enough to share the tail. */
export const TASK_TARGET_MS = 5_000;
/** The first task of a job on a worker, in points. */
export const TASK_SIZE_FIRST = 16;
/** A task may be this many times larger than the last one of the same worker. */
export const TASK_GROWTH_MAX = 4;
export const TASK_SIZE_MAX = 1_000_000_000;

// ---- Control ---------------------------------------------------------------------------------------------------------

/** The bucket of a job's pointsPerSecond holds this much of its rate: what may be granted at once after a rest. */
export const BUCKET_BURST_MS = 1_000;
/** A grant waits for this much of the rate, lest a fast job be cut into single points: four grants a second. */
export const BUCKET_CHUNK_MS = 250;
/** Between two requests of the leader that some task of a job give up its far half. */
export const SHRINK_EVERY_MS = 100;
/** A task that was asked and kept everything, or did not answer, is left alone this long. */
export const SHRINK_AGAIN_MS = 2_000;
/** A task that is nearer to its end is not worth the round trip to its worker and the grants of its parts. */
export const SHRINK_LEFT_MS_MIN = 500;
/** Nor is one with fewer points left: each half must be at least one task of one point. */
export const SHRINK_POINTS_MIN = 2;
/** Tasks asked and not yet heard of, over all jobs. */
export const SHRINKS_ASKED_MAX = 64;
/** Without headway for so long, a task counts as one that will take for ever. */
export const SHRINK_STUCK_MS = 1_000;
/** And for so long it is named in the reason of its job: far longer than most points take, and nothing is done about it. */
export const TASK_STILL_MS = 5 * 60_000;
/** Between two questions to a throttle hook, when nothing is said about it. */
export const THROTTLE_INTERVAL_MS_DEFAULT = 5_000;
/** A hold is looked at again after the interval, doubled each time, and never later than this. */
export const THROTTLE_HOLD_MS_MAX = 60_000;
/** Questions to hooks under way at a time; the next job waits for one of them. */
export const THROTTLES_ASKING_MAX = 16;
/** The word of a hook that is shown as the reason; the rest is cut off. */
export const THROTTLE_WORD_MAX = 200;
/** Runs of a job that ended and nobody took the word of: one more is refused, for each is to be told. */
export const UNTOLD_RUNS_MAX = 16;
/** A cron text: six fields with long lists. */
export const CRON_LENGTH_MAX = 256;
/** The longest name of a time zone has 32 characters. */
export const TIME_ZONE_LENGTH_MAX = 64;
/** Whoever drains a worker waits this long for its word: a few keep-alives. Below FORWARD_WAIT_MS. */
export const REST_WAIT_MS = 5_000;
/** Due times counted as missed after a time without a leader; beyond it nobody counts. */
export const MISSED_TIMES_MAX = 1_000;

// ---- HTTP -----------------------------------------------------------------------------------------------------------

/** Body of a request: metadata with room for its JSON escapes. */
export const BODY_BYTES_MAX = 512 * KIB;
/** A request waits this long for a leader, then gets 503. */
export const LEADER_WAIT_MS = 500;
/** And this long for its commit, then OUTCOME_UNKNOWN. */
export const COMMIT_WAIT_MS = 10_000;
/** `Retry-After` of a 503. */
export const RETRY_AFTER_SECONDS = 1;
/** Items in one page of a list, and when no limit is said: a screen or two. */
export const PAGE_ITEMS_MAX = 1_000;
export const PAGE_ITEMS_DEFAULT = 100;
/** A page ends where its text is longer than this: a thousand jobs without metadata, or sixteen with the largest. */
export const PAGE_BYTES_MAX = 1 * MIB;
/** A long answer is written in pieces of about so many characters: some packets each. */
export const ANSWER_PIECE_CHARACTERS = 64 * KIB;
/** A read waits this long for its round; a leader without a quorum steps down within an election timeout. */
export const READ_WAIT_MS = 2 * ELECTION_TICKS_MAX * TICK_MS;
/** Looks at the table in one turn of the event loop: a twentieth of a heartbeat interval, so that no read delays Raft. */
export const LOOKS_TURN_MS = 5;
/** Requests of one connection under way: HTTP/1.1 lets a client send more before it reads, and each answer waits in memory. */
export const PIPELINED_REQUESTS_MAX = 16;
/** Connections open for HTTP, a few KB each; the longest quiet one makes room for another. Peers are counted elsewhere. */
export const CONNECTIONS_MAX = 1_024;
/** Of them with a request under way; the rest stays for whoever comes next, above all a peer that has not yet said so. */
export const BUSY_CONNECTIONS_MAX = 896;
/** A connection without a byte in either direction is closed: six times the longest wait for a commit. */
export const CONNECTION_SILENCE_MS = 60_000;
/** A forwarded request waits longer than the leader itself does, so that the leader's own answer wins. */
export const FORWARD_WAIT_MS = COMMIT_WAIT_MS + 1_000;
/** Between two looks for a leader that can be reached: twenty looks in LEADER_WAIT_MS. */
export const FORWARD_RETRY_MS = 25;
/** Connections to the leader for forwarded requests; more wait in turn. */
export const FORWARDS_MAX = 256;
/** URL of a request: the longest useful one has a UUID and two parameters. */
export const URL_LENGTH_MAX = 2 * KIB;
/** Nesting of a body: far beyond any sensible metadata, far below what overflows the stack. */
export const JSON_DEPTH_MAX = 64;
export const IDEMPOTENCY_KEY_LENGTH_MAX = 255;
/** Candidates named when a shortened id fits several jobs, and job types when one is not known. */
export const CANDIDATES_MAX = 10;
/** A client that sends its request slower than this is cut off. */
export const REQUEST_TIMEOUT_MS = 30_000;

// ---- Client ---------------------------------------------------------------------------------------------------------

/** A call of the client, with all its tries: covers a change of leader and a slow commit. */
export const CLIENT_TIMEOUT_MS = 15_000;
/** One try at one of several nodes: a paused one accepts connections and answers nothing. */
export const CLIENT_TRY_MS = 4_000;
/** Where no node can be reached at all, a call gives up sooner: a mistyped address should not take 15 s to show. */
export const CLIENT_UNREACHABLE_MS = 3_000;
/** A dataset is sent at least so often, however long one sending takes: to each node of a cluster of three. */
export const CLIENT_SEND_TRIES_MIN = 3;
/** 8 MiB a second: how slowly a node may copy to others what it took in before its silence counts as none. */
export const CLIENT_COPY_BYTES_PER_MS = (8 * MIB) / 1_000;
/** Progress of a transfer is drawn at most so often: ten times a second looks smooth. */
export const TRANSFER_VIEW_MS = 100;
/** A whole table is asked for so often when its data breaks off on its way. */
export const CLIENT_LOAD_TRIES_MAX = 3;
/** The naming of each of many tables may take so long: a commit on a slow disk. */
export const CLIENT_NAMING_MS = 500;
/** Between tries, doubled each time, with jitter. */
export const CLIENT_RETRY_MS_MIN = 50;
export const CLIENT_RETRY_MS_MAX = 1_000;
/** Between looks at a job that is waited for: fast enough for a person, cheap for a cluster. */
export const WATCH_INTERVAL_MS = 250;

// ---- Job host -------------------------------------------------------------------------------------------------------

/** Old-space heap of one worker thread. */
export const THREAD_HEAP_MB = 512;
/** Resident memory of one job host; beyond it the host is ended and its attempts fail. */
export const HOST_MEMORY_MB = 1_024;
/** The same for a job that says `memoryMb`: this for Node itself and for Buffers, and `memoryMb` for each slot. */
export const HOST_BASE_MB = 256;
/** How often resident memory is read: at 1 GB/s of allocation it overshoots by 100 MB. */
export const HOST_MEMORY_CHECK_MS = 100;
/** An abort that is ignored this long is followed by terminate. */
export const ABORT_GRACE_MS = 1_000;
/** Log lines of job code kept a second; the rest is counted and dropped. */
export const JOB_LOG_LINES_PER_SECOND = 100;
/** End of a program's stderr that is kept for the error text. */
export const EXEC_STDERR_TAIL_BYTES = 4 * KIB;
/** Job hosts kept warm after their last task. */
export const HOST_IDLE_MS = 10_000;
/** Time that a draining node gives its tasks to reach a point. */
export const DRAIN_MS = 5_000;

// ---- Batches of tasks -----------------------------------------------------------------------------------------------

/** What a task emits is sealed, kept and committed once there is so much of it: some copies to voters a second at full speed. */
export const OUTPUT_SEAL_BYTES = 8 * MIB;
/** And not later than a task should take: what was worked is not long at risk, and an output of a slow task is worth its record. */
export const OUTPUT_SEAL_MS = 5_000;
/** What one point, or one pipeline task, may emit: it lies on the disk of its worker, and is committed in one. */
export const OUTPUT_BYTES_MAX = 4 * GIB;
/** Sealed and not kept yet: beyond it `emit` waits. Four segments, so that the next is written while others are copied. */
export const OUTPUT_UNKEPT_BYTES_MAX = 4 * OUTPUT_SEAL_BYTES;
/** A copy that could not be made or reached is tried again: at once, then after twice as long each time, as long as the lease lives. */
export const KEEP_RETRY_MS_MIN = 100;
export const KEEP_RETRY_MS_MAX = 5_000;
/** Input comes to a task in files of so much; one is read while the next is written. */
export const INPUT_PIECE_BYTES = 4 * MIB;
/** Readings that a task has open: its input a few times over, and a checkpoint. Each has two pieces on the disk. */
export const READINGS_MAX = 8;

// ---- Leader ---------------------------------------------------------------------------------------------------------

/** Grants proposed and not yet applied: a synced batch's worth. */
export const GRANTS_IN_FLIGHT_MAX = 512;
/** A terminated thread that still runs after this long (it sits in a system call) costs its whole job host. Below a third of the least TTL. */
export const TERMINATE_GRACE_MS = 300;
/** Hosts that may stay warm beside those of the running tasks; the longest idle goes first. */
export const HOSTS_SPARE = 4;
/** Output pipes that somebody still holds this long after their process ended are closed. */
export const PIPES_CLOSE_MS = 500;
/** One log line of job code; the rest is cut off. */
export const JOB_LOG_LINE_MAX = 4 * KIB;
/** Loading a job type to describe it, in a child process: a second of work on a busy machine, ten times over. */
export const DESCRIBE_MS = 10_000;
/** Files and bytes in the folder of a job type: all are read and hashed at start. */
export const JOB_TYPE_FILES_MAX = 10_000;
export const JOB_TYPE_BYTES_MAX = 256 * MIB;
/** How long a starting node waits for killed leftovers of its former life: a core dump to a slow disk passes. */
export const LEFTOVER_WAIT_MS = 10_000;
/** And how often it looks. */
export const LEFTOVER_POLL_MS = 10;
/** Job code gives way to Raft: ten steps of nice are a tenth of the CPU when both want it. */
export const HOST_NICE = 10;
/** The longest delay that a timer of Node takes. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

// ---- Sinks ----------------------------------------------------------------------------------------------------------

/** Points pushed to a fenced sink in one round trip: far below the 8,000 values that a Lua stack of Redis holds, two a point. */
export const SINK_BATCH_POINTS_MAX = 1_000;
/** A push that finds its segment cut anew by an `open` looks again; each time somebody else got further. */
export const SINK_PUSH_TRIES_MAX = 8;
/** A Redis or PostgreSQL that does not answer within this time fails the task of `append`, which is tried again. */
export const SINK_REPLY_MS = 10_000;
/** Lines that `append` writes to a file between two syncs, where `commitEvery` allows it: their writing takes as long as the sync. */
export const APPEND_SYNC_POINTS_MAX = 1_000;

// ---- Data -----------------------------------------------------------------------------------------------------------

/** A piece of a blob, the unit of hashing, reading and caching: large enough to hash at full speed, small enough to hold many. */
export const BLOB_PIECE_BYTES = 1 * MIB;
/** What is written of a blob before it is synced. Else the disk has all of it to do at once, and the next sync of the log waits: 0.4 s where this takes 0.05. */
export const BLOB_UNSYNCED_BYTES_MAX = 8 * MIB;
/** One blob: far above what a node should hold, and its list of digests still fits a few MiB (32 bytes a piece). */
export const BLOB_BYTES_MAX = 64 * GIB;
/** One record batch: what a task, a thread and a socket each hold of it at a time. */
export const BATCH_BYTES_MAX = 64 * MIB;
/** Rows of one record batch that Polaris makes, from whatever format. */
export const BATCH_ROWS = 8_192;
/** Between two nodes a transfer in which nothing moves for so long is given up. Twice a session's TTL. */
export const BLOB_SILENCE_MS = 10_000;
/** Connections for blobs from one node to another: a few transfers and the questions about them. */
export const BLOB_SOCKETS_MAX = 8;
/** The longest answer that is gathered in memory: the digests of a blob of BLOB_BYTES_MAX are 2 MiB. */
export const BLOB_ANSWER_BYTES_MAX = 4 * MIB;
/** Blobs that one node fetches at a time to hold what it should. */
export const BLOB_PULLS_MAX = 2;
/** 5 s: how often a node looks which copies it lacks and which may go. */
export const BLOB_SWEEP_MS = 5_000;
/** 10 min: how often one copy is read from end to end. A thousand a week, so that damage is found while other copies are sound. */
export const BLOB_SCRUB_MS = 600_000;
/** 10 min: what nothing refers to is condemned only after so long, for whoever stored it may still be about to name it. */
export const BLOB_GRACE_MS = 600_000;
/** Times that an upload is named whose copies were given up meanwhile; each time it took longer than thousands of others to die. */
export const NAMING_TRIES_MAX = 3;
/** Names of datasets: each is a record of some 200 bytes in every snapshot. */
export const DATASETS_MAX = 10_000;
export const DATASET_NAME_LENGTH_MAX = 128;
/** Tables of one request: all of them are named within the silence that a connection bears, at half a second each. */
export const TABLES_PER_REQUEST_MAX = 100;
/** What is said of one of them: its name, and types for more columns than a URL has room for. */
export const TABLE_HEAD_BYTES_MAX = 16 * KIB;
/** A hundred years: beyond it, say that it never expires. */
export const DATASET_TTL_MS_MAX = 100 * 365 * 24 * 3_600_000;
/** Condemned blobs that are remembered one by one; an upload that takes longer than so many others to die is stored again. */
export const CONDEMNED_MAX = 4_096;
/** Blobs condemned by one entry: some 17 KiB. */
export const CONDEMNED_PER_ENTRY_MAX = 256;
/** And by one round of a node, each BLOB_SWEEP_MS: more a second than can be stored, and a quarter of what is remembered. */
export const CONDEMNED_PER_ROUND_MAX = CONDEMNED_MAX / 4;
/** Outputs of a job that wait for its Master or its end: 2 MB of a snapshot. A job with more pauses: its `commitEvery` is too small. */
export const OUTPUTS_PER_JOB_MAX = 16 * KIB;
/**
 * Outputs of all jobs together: 10 MiB of a snapshot. Beyond it the results of the longest finished jobs go, and when open
 * jobs alone have as many, those that add more pause.
 */
export const OUTPUTS_TOTAL_MAX = 128 * KIB;
/** What leases that were live when a job paused may still add; one that brings more goes back as it was. */
export const OUTPUTS_HELD_MAX = 2 * OUTPUTS_PER_JOB_MAX;
/** Outputs in one report of a task: one for each `commitEvery` points, and a report goes with each. */
export const OUTPUTS_PER_REPORT_MAX = 64;
/** Outputs of all reports in one message: some 700 KB beside the errors that may go with them. */
export const OUTPUTS_PER_MESSAGE_MAX = 4 * KIB;
/** Outputs in one entry of progress: half a MB, so that entries of other jobs wait for ms. */
export const OUTPUTS_PER_ENTRY_MAX = 4 * KIB;
/** Characters of what names the code of a pipeline's stages: a SHA-256 in hexadecimal. */
export const FINGERPRINT_LENGTH_MAX = 64;
/** Outputs that a Master folds by one entry. */
export const OUTPUTS_PER_FOLD_MAX = 1 * KIB;
/** Columns of one schema: beyond it somebody has mistaken rows for columns. */
export const COLUMNS_MAX = 4_096;
/** Times that a blob store looks again when others keep moving the copy that it wants: each time somebody else got on. */
export const BLOB_LOOKS_MAX = 100;
/** An unfinished file of another node in a shared directory is removed after a day in which nobody wrote to it. */
export const BLOB_UNFINISHED_MS_MAX = 24 * 60 * 60 * 1_000;
/** 64 MiB of pieces from other nodes and from S3: what is read again and again stays at hand, and a node stays under 512 MiB. */
export const BLOB_CACHE_MB = 64;
/** 16 GiB: more than a node should spend on what it can fetch, and a number that was meant as bytes is refused. */
export const BLOB_CACHE_MB_MAX = 16_384;
/** One part of an upload to S3 and one request of a read: above the 5 MiB that S3 wants of a part, small enough to hold. */
export const S3_PART_BYTES = 8 * MIB;
/** S3 copies at most 5 GiB in one request, digests included; a copy is how a blob there gets its name and its newer stamps. */
export const S3_BLOB_BYTES_MAX = 5 * GIB - 1 * MIB;
/** One request to S3, body included: 8 MiB within it needs no more than 1.2 Mbit/s. */
export const S3_TIMEOUT_MS = 60_000;
/** Attempts of one request to S3: with the waits between them they outlast a hiccup of some seconds, no outage. */
export const S3_ATTEMPTS_MAX = 5;
/** Longest wait before the second attempt; it doubles with each one. */
export const S3_BACK_OFF_MS_MIN = 100;
/** Longest wait before any attempt. */
export const S3_BACK_OFF_MS_MAX = 5_000;
/** Lists of digests that are kept of a remote store, so that reading a piece is one request: those of 256 GiB. */
export const DIGESTS_KEPT_BYTES = 8 * MIB;
/** What a batch that Polaris makes aims at: some milliseconds of work, and a few of them in memory do not matter. */
export const BATCH_BYTES_TARGET = 4 * MIB;
/** Rows that one incoming batch may claim: a byte a row in the largest body. Columns without buffers would make rows for nothing. */
export const BATCH_ROWS_MAX = 64 * 1024 * KIB;
/** Flatbuffer of one Arrow message: COLUMNS_MAX columns take some 300 KiB in a batch and 1 MiB in a schema. */
export const ARROW_METADATA_BYTES_MAX = 4 * MIB;
/** Footer of an Arrow file: 24 bytes a batch, so more than a million batches. */
export const ARROW_FOOTER_BYTES_MAX = 32 * MIB;
/** Columns inside columns: far beyond any sensible schema, far below what overflows the stack. */
export const SCHEMA_DEPTH_MAX = 32;
/** Columns that a message names before it says how many more there are. */
export const SCHEMA_COLUMNS_SHOWN = 20;
/** A line of text, a row of CSV or JSON: a large document fits, a file without line ends does not. */
export const LINE_BYTES_MAX = 8 * MIB;
/** Rows from which the types of CSV and JSON lines are inferred; BATCH_BYTES_TARGET bounds their bytes. */
export const INFER_ROWS_MAX = 1_000;
/** Of a cell that does not fit, an error shows so many characters. */
export const CELL_SHOWN_MAX = 60;
/** Compressed bytes may grow so many times: text reaches 50, and a bomb of zeros 1,000. */
export const INFLATE_RATIO_MAX = 200;
/** Below this a ratio says nothing: a few KB of zeros are no bomb. */
export const INFLATE_BYTES_FREE = 16 * MIB;
/** Footer of a Parquet file: a hundred columns in some five hundred row groups. It grows to some ten times that as objects. */
export const PARQUET_FOOTER_BYTES_MAX = 8 * MIB;
/** Structs in a footer; each is an object, however few bytes it has. Some five stand for a column of a row group. */
export const PARQUET_FOOTER_STRUCTS_MAX = 1_000_000;
/** One row group, uncompressed, and as columns: it stands in memory whole. Common writers stay below. */
export const PARQUET_GROUP_BYTES_MAX = 256 * MIB;
/** Values of one column of one row group: four times what common writers put there. */
export const PARQUET_GROUP_VALUES_MAX = 4 * 1024 * KIB;
/** Row groups that Polaris writes end at so many rows, or bytes: one of them is in memory at a time. */
export const PARQUET_GROUP_ROWS = 32_768;
export const PARQUET_GROUP_BYTES = 16 * MIB;
/** An `Accept` has a handful of entries. */
export const ACCEPT_LENGTH_MAX = 1 * KIB;
/** Windows open at a time, each with a key: with three aggregates some 150 MiB, in a thread of THREAD_HEAP_MB. */
export const WINDOWS_OPEN_MAX = 250_000;
/** Characters of the keys of open windows together: at two bytes each an eighth of such a thread. */
export const WINDOW_KEY_CHARACTERS_MAX = 32 * MIB;
/** Windows that one row may fall into: beyond it a sliding window costs more than its rows. */
export const WINDOWS_PER_ROW_MAX = 1_000;
/** Key columns, and aggregates, of one window. */
export const WINDOW_COLUMNS_MAX = 64;
/** Sizes, gaps and lateness: a century. With the latest time that JavaScript knows it stays a safe integer. */
export const WINDOW_MS_MAX = 100 * 366 * 24 * 3_600_000;
/** Event times, either side of 1970: as far as JavaScript's own dates reach. */
export const EVENT_TIME_MS_MAX = 8_640_000_000_000_000;
/** Stages of one pipeline. */
export const STAGES_MAX = 64;

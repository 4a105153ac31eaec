/**
 * Coverage: what a campaign must have met. One in which some kind of fault never fired, or some rare way was never taken,
 * has not tested what it says.
 */

/** Below this even a sound simulator may miss the rarest of them; from it on, a miss is a finding. */
export const SEEDS_FOR_COVERAGE = 1_000;

const FAULTS = [
  'fault crash',
  'fault crashLeader',
  'fault powerCut',
  'fault drain',
  'fault pause',
  'fault partition',
  'fault cut',
  'fault diskFailure',
  'fault hostCrash',
  'fault wallJump',
  'fault clog',
  'fault diskFull',
  'fault diskSlow',
  'fault diskStall',
  'fault damage',
  'fault diskLoss',
  'fault crashWriting',
  'fault join',
  'fault remove',
  'fault removeLeader',
  'fault replace',
  'fault transfer',
  'damage bit-rot',
  'damage cut-tail',
  'damage dropped',
  'damage misdirected',
  'write lost in a crash',
  'write kept in a crash',
  'write torn in a crash',
  'write kept by a failure',
  'write lost by a failure',
  'message into a clogged link',
] as const;

/** Ways that a sound cluster takes only now and then (branches.ts, clients.ts). */
const BRANCHES = [
  'a Master was told of an end',
  'branch: a crash before formation',
  'branch: a leader commits what an earlier one left',
  'branch: a leader dies between append and commit',
  'branch: a leader is deposed',
  'branch: a leader with a stalled disk steps down',
  'branch: a leader without a quorum steps down',
  'branch: a pre-vote is refused',
  'branch: a read fails for its leader is deposed',
  'branch: a snapshot is installed',
  'branch: a submit in doubt had been made',
  'branch: a submit in doubt had not been made',
  'branch: a term without a leader',
  'branch: a vote is lost in a crash',
  'branch: a vote is refused',
  'branch: a vote outlives the crash that kept it secret',
  'branch: an append meets another log',
  'branch: backtracked more than one entry at once',
  'branch: committed before the leader has synced it',
  'branch: entries that were synced are overwritten',
  'start refused LOG_DAMAGED',
  'start refused DISK_FAILED',
  'ended INSTANCE_MISMATCH',
] as const;

/** What people ask of jobs, and what comes of it (grant-checker.ts, control-checker.ts, outside.ts). */
const CONTROL = [
  'applied set-job',
  'applied job-notified',
  'applied put-schedule',
  'applied drop-schedule',
  'applied fire-schedule',
  'a hook says go',
  'a hook says hold',
  'a hook cannot be reached',
  'a hook times out',
  'a job waited for its time',
  'chain: the next job may begin',
  'chain: the next job is paused',
  'grant: ahead of a lower priority',
  'grant: by a rate',
  'grant: by weight',
  'grant: its hook says go',
  'grant: the last that its limit allows',
  'host: dies after its task shrank',
  'notice refused',
  'notice taken',
  'notice taken twice',
  'notice taken unheard',
  'rest ok',
  'schedule: made a job',
  'schedule: skipped',
  'set acknowledged',
  'task shrunk',
] as const;

/** What befalls workers that are no nodes (remote-worker.ts). */
const RUNNERS = [
  'runner: NO_LEADER',
  'runner: OUTCOME_UNKNOWN',
  'runner: SESSION_ENDED',
  'runner: STALE_EPOCH',
  'runner: answer lost',
  'runner: begins anew',
  'runner: crash',
  'runner: echo',
  'runner: keeps less',
  'runner: lease lost',
  'runner: pause',
  'runner: session',
  'runner: task',
] as const;

/** What becomes of datasets and of the blobs behind them (librarian.ts, copy-checker.ts, shelves.ts). */
const DATASETS = [
  'applied condemn',
  'applied drop-dataset',
  'applied pin-dataset',
  'applied put-dataset',
  'dataset: condemned',
  'dataset: condemned in vain',
  'dataset: drop DATASET_CONFLICT',
  'dataset: drop NOT_FOUND',
  'dataset: drop ok',
  'dataset: pin ok',
  'dataset: put BLOB_CONDEMNED',
  'dataset: put DATASET_CONFLICT',
  'dataset: put OUTCOME_UNKNOWN',
  'dataset: put TIMED_OUT',
  'dataset: put ok',
  'dataset: put on the copies of another',
  'dataset: read acknowledged',
  'dataset: read refused',
  'dataset: stored',
  'dataset: too few copies',
  'keeper: a copy was stamped anew meanwhile',
  'keeper: copy deleted',
  'keeper: copy pulled',
  'keeper: first walk of a life',
] as const;

/** What becomes of outputs and checkpoints (output-checker.ts). */
const OUTPUTS = [
  'applied checkpoint',
  'output: committed',
  'output: let go and condemned',
  'output: of another schema',
  'output: refused',
  'output: several in a report',
  'stage: begins',
  'stage: goes on behind a checkpoint',
] as const;

/** What Masters make of outputs (masters.ts, output-checker.ts). */
const MASTERS = [
  'applied fold',
  'applied finish-master',
  'applied master-failed',
  'applied take-master',
  'master: finished',
  'master: folded one',
  'master: folded several',
  'master: paused its job',
  'master: taken',
  'master: taken with a state',
] as const;

const EVENTS = [
  'partition split',
  'partition isolate',
  'partition one-way',
  'message lost',
  'message doubled',
  'message into partition',
  'message of a broken connection',
  'probe refused',
  'probe open',
  'probe unknown',
  'applied worker-expire',
  'applied worker-suspect',
  'applied worker-heard',
  'applied add-learner',
  'applied add-voter',
  'applied remove',
  'churn: a joiner dies as a stranger',
  'churn: a joiner dies as a learner',
  'churn: a joiner dies as a voter',
  'churn: promote ok',
  'churn: remove OUTCOME_UNKNOWN',
  'churn: removed alive',
  'churn: removed while it is down',
  'churn: replaced',
  'churn: transfer ok',
  'ended REMOVED',
  'applied release',
  'applied fail',
  'attempt ended by the deadline',
  'points repeated',
  'snapshot sent',
  'snapshot chunk',
  'snapshot resumed',
  'snapshot replaced',
  'snapshot gave up',
  'bulk connection broken',
  'state hash said',
  'range-failed',
  'range-uncertain',
  'retry acknowledged',
  'a later run finished',
  'task expired',
  'task cancelled',
  'job done',
  'job failed',
  'job paused',
  'job paused itself',
  'job cancelled',
  'submit unknown',
  'read refused',
  'hashes compared',
] as const;

/** What was never met, in a fixed order. */
export function unfired(counts: ReadonlyMap<string, number>): string[] {
  const all = [...FAULTS, ...BRANCHES, ...CONTROL, ...RUNNERS, ...DATASETS, ...OUTPUTS, ...MASTERS, ...EVENTS];
  return all.filter((kind) => (counts.get(kind) ?? 0) === 0);
}

/** How often each kind was met, in columns. */
export function countsText(counts: ReadonlyMap<string, number>): string {
  const rows = [...counts].filter(([kind]) => !kind.startsWith('log ')).sort(([a], [b]) => (a < b ? -1 : 1));
  return rows.map(([kind, count]) => `  ${kind.padEnd(56)} ${count}`).join('\n');
}

/**
 * Broken rules: known bugs, put back one at a time, to see that the simulator finds them. A checker that never met a bug
 * has proved nothing.
 *
 * Each rule bends one public seam of the daemon, or of the model around it, and `install` gives back what straightens it.
 */
import { must } from '../../src/base/assert.ts';
import { PolarisError } from '../../src/base/errors.ts';
import type { Incarnation, NodeId } from '../../src/base/types.ts';
import { Bucket } from '../../src/daemon/bucket.ts';
import { Emitted } from '../../src/daemon/emitted.ts';
import { Grants } from '../../src/daemon/grants.ts';
import { Node } from '../../src/daemon/node.ts';
import { Notices } from '../../src/daemon/notices.ts';
import { Replica } from '../../src/daemon/replica.ts';
import { Rests } from '../../src/daemon/rests.ts';
import { Roster } from '../../src/daemon/roster.ts';
import { Runners } from '../../src/daemon/runners.ts';
import { Sessions } from '../../src/daemon/sessions.ts';
import { Throttles } from '../../src/daemon/throttles.ts';
import { Disk } from '../../src/raft/disk.ts';
import { Leadership } from '../../src/raft/leadership.ts';
import { RaftLog } from '../../src/raft/log.ts';
import { Raft } from '../../src/raft/raft.ts';
import { Blobs } from '../../src/ranges/blobs.ts';
import { decodeCommand, encodeCommand } from '../../src/ranges/codec.ts';
import { Collecting } from '../../src/ranges/collecting.ts';
import { Datasets } from '../../src/ranges/datasets.ts';
import { Job } from '../../src/ranges/job.ts';
import { Outputs } from '../../src/ranges/outputs.ts';
import { ReturnedRanges } from '../../src/ranges/returned.ts';
import { Schedules } from '../../src/ranges/schedules.ts';
import { JobTable } from '../../src/ranges/table.ts';
import type { Controls } from '../../src/ranges/types.ts';
import { SimExecutor } from './executor.ts';
import {
  cutOffLeader,
  deafLeader,
  divergedTable,
  echoedRunner,
  silentWorker,
  spoiltDisk,
  stalledLeader,
} from './scenario.ts';
import type { ModelBugs } from './world.ts';

export interface BrokenRule {
  readonly name: string;
  /** Each must be found within so many seeds. */
  readonly seedsMax: number;
  /** Where the search begins: near a seed that is known to find it, so that nobody waits for those that do not. */
  readonly firstSeed?: number;
  /** It shows in that nothing comes to rest: what a sound cluster needs, in virtual time, which is tested first. */
  readonly livenessMs?: number;
  readonly bugs?: ModelBugs;
  /** A scenario of its own, for a rule that is one of several lines of defence and rarely the last. */
  readonly provoke?: (seed: number) => string | null;
  readonly install?: () => () => void;
}

/** Replaces a method until the returned function is called. */
function bend<T extends object, K extends keyof T>(target: T, name: K, make: (straight: T[K]) => T[K]): () => void {
  const straight = target[name];
  target[name] = make(straight);
  return () => {
    target[name] = straight;
  };
}

/** Whoever walks over all jobs, as grants do, sees other controls than those that were asked for. */
function bendControls(changes: Partial<Controls>): () => void {
  return bend(JobTable.prototype, 'jobs', (straight) => {
    return function* bent(this: JobTable) {
      for (const job of straight.call(this)) yield { ...job, controls: { ...job.controls, ...changes } };
    };
  });
}

/** Less than ⅔ of any TTL. */
const HASTE_MS = 500;
/** Larger than any index or term of a simulation. */
const SKY = 2 ** 40;

export const BROKEN_RULES: readonly BrokenRule[] = [
  {
    name: 'entries of an older term are committed by counting',
    seedsMax: 150,
    firstSeed: 7,
    install: () => {
      let counting = false;
      const restoreCommit = bend(Leadership.prototype, 'advanceCommit', (straight) => {
        return function bent(this: Leadership) {
          counting = true;
          straight.call(this);
          counting = false;
        };
      });
      const restoreMatches = bend(RaftLog.prototype, 'matches', (straight) => {
        return function bent(this: RaftLog, index, term) {
          return counting || straight.call(this, index, term);
        };
      });
      return () => {
        restoreCommit();
        restoreMatches();
      };
    },
  },
  {
    name: 'a vote goes to a log that lacks committed entries',
    seedsMax: 60,
    install: () =>
      bend(Raft.prototype, 'step', (straight) => {
        return function bent(this: Raft, message) {
          const asks = message.type === 'vote' || message.type === 'pre-vote';
          straight.call(this, asks ? { ...message, lastIndex: SKY, lastTerm: SKY } : message);
        };
      }),
  },
  {
    name: 'nobody remembers who was removed',
    seedsMax: 60,
    livenessMs: 60_000,
    firstSeed: 3,
    install: () => bend(Roster.prototype, 'wasRemoved', () => () => false),
  },
  {
    name: 'a refused vote counts as granted',
    seedsMax: 60,
    install: () =>
      bend(Raft.prototype, 'step', (straight) => {
        return function bent(this: Raft, message) {
          const answers = message.type === 'vote-reply' || message.type === 'pre-vote-reply';
          straight.call(this, answers ? { ...message, granted: true } : message);
        };
      }),
  },
  {
    name: 'a heartbeat is answered, so the log is taken for stored',
    seedsMax: 60,
    install: () =>
      bend(Raft.prototype, 'step', (straight) => {
        return function bent(this: Raft, message) {
          straight.call(this, message);
          const { role, lastIndex, term } = this.status();
          if (message.type !== 'heartbeat-reply' || role !== 'leader' || message.term !== term) return;
          const { from, to } = message;
          const reply = { from, to, term, type: 'append-reply', index: lastIndex, rejected: false } as const;
          straight.call(this, { ...reply, hintIndex: 0, hintTerm: 0 });
        };
      }),
  },
  { name: 'a disk acknowledges before it has synced', seedsMax: 20, bugs: { acknowledgesEarly: true } },
  {
    name: 'a store looks at no checksum when it opens',
    seedsMax: 20,
    provoke: (seed) => spoiltDisk(seed, 'bit-rot', { ignoresChecksums: true }),
  },
  {
    name: 'a log is not held against its mark',
    // Most cuts go below what HardState knows to be committed, and are found by that.
    seedsMax: 60,
    provoke: (seed) => spoiltDisk(seed, 'cut-tail', { ignoresMark: true }),
  },
  {
    name: 'a leader does not look at its disk',
    seedsMax: 5,
    provoke: (seed) => stalledLeader(seed, 'entries'),
    install: () => bend(Disk.prototype, 'tick', () => () => {}),
  },
  {
    name: 'a deposed leader still serves reads',
    seedsMax: 60,
    firstSeed: 13,
    install: () =>
      bend(Replica.prototype, 'read', (straight) => {
        return function bent(this: Replica, done) {
          if (this.raft.status().role === 'leader') done({ ok: true, value: undefined });
          else straight.call(this, done);
        };
      }),
  },
  {
    name: 'a leader that was lost says that nothing was changed',
    seedsMax: 5,
    provoke: deafLeader,
    install: () =>
      bend(Node.prototype, 'submit', (straight) => {
        return function bent(this: Node, spec, done) {
          straight.call(this, spec, (result) => {
            const lost = !result.ok && result.error.code === 'OUTCOME_UNKNOWN';
            done(lost ? { ok: false, error: new PolarisError('NO_LEADER') } : result);
          });
        };
      }),
  },
  {
    name: 'a leader without a quorum keeps sessions alive',
    seedsMax: 10,
    provoke: cutOffLeader,
    install: () =>
      bend(Replica.prototype, 'fresh', () => {
        return function bent(this: Replica) {
          return this.raft.status().role === 'leader';
        };
      }),
  },
  {
    name: 'a session ends long before its time',
    seedsMax: 5,
    provoke: (seed) => silentWorker(seed, 'cut off'),
    install: () =>
      bend(Sessions.prototype, 'judge', (straight) => {
        return function bent(this: Sessions, now) {
          const silent = [...this.all()].filter((one) => !one.expiring && now - one.lastHeardAt > HASTE_MS);
          if (silent.length === 0) return straight.call(this, now);
          return silent.map((session) => ({ kind: 'expire', session, reason: 'haste' }));
        };
      }),
  },
  {
    name: 'a broken connection is taken for a proof of death',
    seedsMax: 5,
    provoke: (seed) => silentWorker(seed, 'cut off', { refusesProbes: true }),
  },
  {
    name: 'job hosts leave the deadline to their node',
    seedsMax: 5,
    provoke: (seed) => silentWorker(seed, 'paused', { ignoresDeadline: true }),
  },
  {
    name: 'a returned range forgets that it may have run',
    seedsMax: 60,
    install: () =>
      bend(ReturnedRanges.prototype, 'put', (straight) => {
        return function bent(this: ReturnedRanges, range) {
          straight.call(this, { ...range, touched: range.start });
        };
      }),
  },
  {
    name: 'at-most-once code begins before its claim is committed',
    seedsMax: 20,
    firstSeed: 7,
    install: () =>
      bend(SimExecutor.prototype, 'run', (straight) => {
        return function bent(this: SimExecutor, order) {
          straight.call(this, { ...order, options: { ...order.options, delivery: 'at-least-once' } });
        };
      }),
  },
  {
    name: 'what a lost worker had claimed is given to others',
    seedsMax: 60,
    firstSeed: 6,
    install: () =>
      bend(Job.prototype, 'expire', (straight) => {
        return function bent(this: Job, epoch, at, emit) {
          const cursor = this.lease(epoch)?.cursor ?? 0;
          if (this.spec.options.delivery !== 'at-most-once') straight.call(this, epoch, at, emit);
          else this.release({ epoch, cursor, begun: cursor, outputs: [] }, at, emit);
        };
      }),
  },
  {
    name: 'a retry takes what is uncertain without being asked',
    seedsMax: 60,
    firstSeed: 6,
    install: () =>
      bend(Job.prototype, 'retry', (straight) => {
        return function bent(this: Job, range, _withUncertain, emit) {
          return straight.call(this, range, true, emit);
        };
      }),
  },
  {
    name: 'progress counts points that nobody worked',
    seedsMax: 20,
    firstSeed: 3,
    install: () =>
      bend(JobTable.prototype, 'apply', (straight) => {
        return function bent(this: JobTable, index, payload) {
          const command = payload.length === 0 ? null : decodeCommand(payload);
          if (command?.kind !== 'progress') return straight.call(this, index, payload);
          const cursors = command.cursors.map(({ epoch, cursor, claimed, outputs }) => {
            const further = Math.min(cursor + 3, this.task(epoch)?.end ?? cursor);
            return { epoch, cursor: further, claimed: Math.max(claimed, further), outputs };
          });
          return straight.call(this, index, encodeCommand({ ...command, cursors }));
        };
      }),
  },
  {
    name: 'the table loses the last output of a report',
    seedsMax: 20,
    firstSeed: 3,
    install: () =>
      bend(Outputs.prototype, 'add', (straight) => {
        return function bent(this: Outputs, outputs) {
          straight.call(this, outputs.slice(0, -1));
        };
      }),
  },
  {
    name: 'a worker forgets what it emitted as soon as anything is committed',
    seedsMax: 60,
    firstSeed: 3,
    install: () =>
      bend(Emitted.prototype, 'committed', (straight) => {
        return function bent(this: Emitted) {
          straight.call(this, Number.MAX_SAFE_INTEGER);
        };
      }),
  },
  {
    name: 'outputs of another schema are taken',
    seedsMax: 60,
    firstSeed: 3,
    install: () => bend(Outputs.prototype, 'conflict', () => () => null),
  },
  {
    name: 'outputs are taken though their copies may be gone',
    seedsMax: 60,
    firstSeed: 3,
    install: () => bend(Outputs.prototype, 'lost', () => () => null),
  },
  {
    name: 'whoever takes a job as its Master begins with nothing',
    seedsMax: 60,
    firstSeed: 3,
    install: () =>
      bend(Collecting.prototype, 'take', (straight) => {
        return function bent(this: Collecting, epoch) {
          if (this.master !== null) this.restore({ ...this.master, state: null }, this.result);
          straight.call(this, epoch);
        };
      }),
  },
  {
    name: 'what a Master has taken in stays an output',
    seedsMax: 20,
    firstSeed: 3,
    install: () => bend(Outputs.prototype, 'fold', () => () => true),
  },
  {
    name: 'the state of a Master is not held',
    seedsMax: 60,
    firstSeed: 3,
    install: () =>
      bend(Collecting.prototype, 'fold', (straight) => {
        return function bent(this: Collecting, count, state) {
          straight.call(this, count, null);
          this.restore({ ...must(this.master, 'it folds'), state }, this.result);
        };
      }),
  },
  {
    name: 'Masters that ask for order take in what comes',
    seedsMax: 30,
    firstSeed: 20,
    bugs: { foldsInAnyOrder: true },
  },
  {
    name: 'pipelines begin anew whatever their checkpoint',
    seedsMax: 60,
    firstSeed: 6,
    install: () =>
      bend(SimExecutor.prototype, 'run', (straight) => {
        return function bent(this: SimExecutor, order) {
          straight.call(this, { ...order, checkpoint: null });
        };
      }),
  },
  {
    name: 'a range comes back without its checkpoint',
    seedsMax: 60,
    firstSeed: 6,
    install: () =>
      bend(ReturnedRanges.prototype, 'put', (straight) => {
        return function bent(this: ReturnedRanges, range) {
          straight.call(this, { ...range, checkpoint: null });
        };
      }),
  },
  {
    name: 'the limit of tasks of a job is ignored',
    seedsMax: 20,
    install: () => bendControls({ maxConcurrency: null }),
  },
  {
    name: 'grants that are under way are not counted',
    seedsMax: 20,
    install: () => {
      const settle = Grants.prototype.settled;
      return bend(Grants.prototype, 'plan', (straight) => {
        return function bent(this: Grants, moment) {
          const planned = straight.call(this, moment);
          for (const grant of planned) settle.call(this, grant, grant.size, moment.now);
          // Each would be settled once more when it is applied.
          this.settled = () => {};
          return planned;
        };
      });
    },
  },
  { name: 'all jobs have one priority', seedsMax: 20, firstSeed: 5, install: () => bendControls({ priority: 0 }) },
  { name: 'all jobs have one weight', seedsMax: 60, firstSeed: 35, install: () => bendControls({ weight: 1 }) },
  {
    name: 'points are not taken out of the bucket of a job',
    seedsMax: 40,
    install: () => bend(Bucket.prototype, 'take', () => () => {}),
  },
  {
    name: 'a job whose hook says hold is granted',
    seedsMax: 20,
    firstSeed: 7,
    install: () => bend(Throttles.prototype, 'hold', () => () => null),
  },
  {
    name: 'a schedule forgets what it submitted last',
    seedsMax: 40,
    firstSeed: 8,
    install: () =>
      bend(Schedules.prototype, 'passed', (straight) => {
        return function bent(this: Schedules, key, next, skipped, _job) {
          straight.call(this, key, next, skipped, null);
        };
      }),
  },
  {
    name: 'a time that is skipped is not counted',
    seedsMax: 40,
    firstSeed: 8,
    install: () =>
      bend(Schedules.prototype, 'passed', (straight) => {
        return function bent(this: Schedules, key, next, _skipped, job) {
          straight.call(this, key, next, 0, job);
        };
      }),
  },
  {
    name: 'a job does not wait for the one that it comes after',
    seedsMax: 40,
    firstSeed: 7,
    install: () => bend(Job.prototype, 'waitFor', () => () => {}),
  },
  {
    name: 'a job goes on though the one before it failed',
    seedsMax: 60,
    firstSeed: 11,
    install: () =>
      bend(Job.prototype, 'followed', (straight) => {
        return function bent(this: Job, _how, emit) {
          straight.call(this, 'done', emit);
        };
      }),
  },
  {
    name: 'a job that finished is announced twice',
    seedsMax: 20,
    install: () =>
      bend(Job.prototype, 'complete', (straight) => {
        return function bent(this: Job, ending, at, emit) {
          const isLive = straight.call(this, ending, at, emit);
          const { state, run } = this.view;
          if (this.finished) emit({ kind: 'job-finished', job: this.spec.id, run, state });
          return isLive;
        };
      }),
  },
  {
    name: 'the table forgets whom to tell of the end of a job',
    seedsMax: 20,
    firstSeed: 5,
    install: () =>
      bend(Job.prototype, 'complete', (straight) => {
        return function bent(this: Job, ending, at, emit) {
          const isLive = straight.call(this, ending, at, emit);
          this.notified(this.view.run);
          return isLive;
        };
      }),
  },
  {
    name: 'a notice is of another run than the one that ended',
    seedsMax: 20,
    livenessMs: 60_000,
    install: () =>
      bend(Notices.prototype, 'follow', (straight) => {
        return function bent(this: Notices, job) {
          const untold = job.untold.map((end) => ({ ...end, run: end.run + 1 }));
          straight.call(this, { ...job, untold });
        };
      }),
  },
  {
    name: 'a worker that was sent to rest is given tasks',
    seedsMax: 40,
    firstSeed: 4,
    install: () =>
      bend(Rests.prototype, 'ask', () => {
        return function bent(this: Rests, _session, _resting, _now, done) {
          done({ ok: true, value: undefined });
        };
      }),
  },
  {
    name: 'a join of a runner that is delivered again ends the session that it gave',
    seedsMax: 5,
    provoke: echoedRunner,
    install: () => {
      const sessions = new Map<NodeId, Incarnation>();
      return bend(Runners.prototype, 'ask', (straight) => {
        return function bent(this: Runners, request, done) {
          if (request.kind !== 'join') return straight.call(this, request, done);
          const replaces = sessions.get(request.worker) ?? null;
          return straight.call(this, { ...request, replaces }, (result) => {
            if (result.ok) sessions.set(request.worker, result.value.session);
            done(result);
          });
        };
      });
    },
  },
  {
    name: 'a blob is condemned though a name stands for it',
    seedsMax: 20,
    firstSeed: 3,
    install: () => {
      let condemning = false;
      const restoreCondemn = bend(Blobs.prototype, 'condemn', (straight) => {
        return function bent(this: Blobs, hash, index) {
          condemning = true;
          const isCondemned = straight.call(this, hash, index);
          condemning = false;
          return isCondemned;
        };
      });
      const restoreHeld = bend(Blobs.prototype, 'isHeld', (straight) => {
        return function bent(this: Blobs, hash) {
          return !condemning && straight.call(this, hash);
        };
      });
      return () => {
        restoreCondemn();
        restoreHeld();
      };
    },
  },
  {
    name: 'the stamp of copies is not looked at when they are named',
    seedsMax: 20,
    install: () => bend(Blobs.prototype, 'refusal', () => () => null),
  },
  {
    name: 'a keeper deletes by the hash, whatever the stamp',
    seedsMax: 40,
    firstSeed: 3,
    bugs: { deletesByHash: true },
  },
  {
    name: 'a dataset changes from any version, whichever was expected',
    seedsMax: 20,
    firstSeed: 3,
    install: () => bend(Datasets.prototype, 'conflict', () => () => null),
  },
  { name: 'a dataset is read from the table of a follower', seedsMax: 20, firstSeed: 3, bugs: { readsLocally: true } },
  {
    name: 'a table applies one command differently on one node',
    seedsMax: 1,
    provoke: (seed) => divergedTable(seed).scenario.world.failure,
  },
];

/**
 * Verbs: everything that a scenario can ask for, by name.
 *
 * A verb takes its arguments from the command, and then acts on the cluster; what it has to say goes to the transcript.
 * A refusal of the core is part of the transcript, a mistake in the scenario is an error. README.md beside this file
 * describes each verb, and a test compares the two.
 */
import { addNodes, ELECTION_TICKS_MIN, HEARTBEAT_TICKS } from './add-nodes.ts';
import type { Verb } from './arguments.ts';
import { deliverMessages, processAppendThread, processApplyThread, processReady, stabilize } from './verbs-driving.ts';
import { crash, cut, heal, isolate, reportUnreachable, restart } from './verbs-faults.ts';
import { compact, print, raftLog, raftState, setLogLevel, status } from './verbs-looking.ts';
import { propose, proposeConfChange, readIndex, transferLeadership } from './verbs-requests.ts';
import { campaign, pass, setElectionTimeout, tickBy, tickCounted } from './verbs-time.ts';

/** By name, in the order of README.md. */
export const VERBS: ReadonlyMap<string, Verb> = new Map<string, Verb>([
  ['add-nodes', addNodes],
  ['log-level', setLogLevel],
  ['print', print],
  ['campaign', campaign],
  ['tick', tickCounted],
  ['pass', pass],
  ['tick-heartbeat', tickBy(HEARTBEAT_TICKS)],
  ['tick-election', tickBy(ELECTION_TICKS_MIN)],
  ['set-randomized-election-timeout', setElectionTimeout],
  ['propose', propose],
  ['propose-conf-change', proposeConfChange],
  ['transfer-leadership', transferLeadership],
  ['read-index', readIndex],
  ['process-ready', processReady],
  ['process-append-thread', processAppendThread],
  ['process-apply-thread', processApplyThread],
  ['stabilize', stabilize],
  ['deliver-msgs', deliverMessages],
  ['crash', crash],
  ['restart', restart],
  ['isolate', isolate],
  ['cut', cut],
  ['heal', heal],
  ['report-unreachable', reportUnreachable],
  ['compact', compact],
  ['raft-log', raftLog],
  ['raft-state', raftState],
  ['status', status],
]);

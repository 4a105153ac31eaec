/**
 * Mutants: at least one for each row of the classic bugs, and one more where a row tells of two bugs. None is excused:
 * every one of them could be put back into this code.
 */
import { DISKS } from './disks.ts';
import { ELECTIONS } from './elections.ts';
import { MEMBERSHIP } from './membership.ts';
import type { Mutant } from './mutant.ts';
import { READS } from './reads.ts';
import { REPLICATION } from './replication.ts';
import { SNAPSHOTS } from './snapshots.ts';

export const ROW_COUNT = 35;

export const MUTANTS: readonly Mutant[] = [
  ...ELECTIONS,
  ...REPLICATION,
  ...SNAPSHOTS,
  ...MEMBERSHIP,
  ...READS,
  ...DISKS,
].sort((left, right) => left.row - right.row);

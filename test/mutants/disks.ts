/**
 * Mutants of the way to the disk, and of what is said about it.
 */
import { type Mutant, SEEDS, test } from './mutant.ts';

const CUTS = 'test/daemon/power-cut.test.ts';
/** The write of the core, with what it carries. */
const CORE_WRITE = '{ hardState: write.hardState, entries: write.entries, snapshot: write.snapshot, resetLog: true },';

export const DISKS: readonly Mutant[] = [
  {
    row: 2,
    name: 'the term is written first and the vote after it',
    why: 'A power cut between the two leaves the new term without its vote: the node votes twice in it.',
    edits: [
      {
        file: 'src/daemon/replica.ts',
        find: `this.#write(\n      ${CORE_WRITE}\n      () => {`,
        replace: `const { hardState } = write;\n    const first = hardState === null ? {} : { hardState: { ...hardState, vote: null } };\n    this.#write(first, () => this.#write(\n      ${CORE_WRITE}\n      () => {`,
      },
      {
        file: 'src/daemon/replica.ts',
        find: 'for (const message of write.messages) this.#send(message);\n      },\n    );',
        replace: 'for (const message of write.messages) this.#send(message);\n      },\n    ));',
      },
    ],
    catchers: [test(CUTS, 'row 2: a power cut finds a term together with its vote, whenever it comes')],
  },
  {
    row: 3,
    name: 'entries are written before the term of their leader',
    why: 'A power cut between the two leaves entries of a term that the node does not know: an old leader overwrites them.',
    edits: [
      {
        file: 'src/daemon/replica.ts',
        find: `this.#write(\n      ${CORE_WRITE}\n      () => {`,
        replace: `this.#write({ entries: write.entries }, () => this.#write(\n      { ...write, entries: [], resetLog: true },\n      () => {`,
      },
      {
        file: 'src/daemon/replica.ts',
        find: 'for (const message of write.messages) this.#send(message);\n      },\n    );',
        replace: 'for (const message of write.messages) this.#send(message);\n      },\n    ));',
      },
    ],
    catchers: [
      test(CUTS, 'row 3: a power cut finds entries together with the term of their leader, whenever it comes'),
    ],
  },
  {
    row: 27,
    name: 'a write that failed is tried again',
    why: 'The kernel has dropped the pages that it could not write, so the second sync succeeds over a hole.',
    edits: [
      {
        file: 'src/daemon/replica.ts',
        find: 'if (error !== null) return this.#env.fatal(error);',
        replace: 'if (error !== null) return this.#write(batch, synced);',
      },
    ],
    catchers: [
      test(
        'test/daemon/replica.test.ts',
        'that fails ends the node, and nothing is sent, acknowledged or written afterwards',
      ),
    ],
  },
  {
    row: 28,
    name: 'a directory that was made is not synced into its parent',
    why: 'After a power cut the whole data directory is gone, with all that was synced inside.',
    edits: [
      {
        file: 'src/store/level.ts',
        find: 'for (let path = logDir; path.length >= firstMade.length; path = dirname(path)) syncDirectory(dirname(path));',
        replace: '',
      },
    ],
    catchers: [
      test('test/store/syncs.test.ts', 'row 28: every directory on the way that was made is synced into its parent'),
    ],
  },
  {
    row: 29,
    name: 'a write is acknowledged when it is begun',
    why: 'A power cut takes back what the leader has counted, and clients were told.',
    edits: [
      {
        file: 'src/daemon/replica.ts',
        find: 'this.#env.store.write(batch, (error) => {',
        replace: 'synced();\n    this.#env.store.write(batch, (error) => {',
      },
      {
        file: 'src/daemon/replica.ts',
        find: 'this.#writing = false;\n      synced();',
        replace: 'this.#writing = false;',
      },
    ],
    catchers: [test('test/daemon/replica.test.ts', 'has what a message promises before the message leaves'), SEEDS],
  },
  {
    row: 29,
    name: 'LevelDB is not told to sync',
    why: 'What was acknowledged is in the memory of the kernel, and gone with the power.',
    edits: [
      {
        file: 'src/store/level.ts',
        find: 'await chained.write({ sync: true });',
        replace: 'await chained.write({ sync: false });',
      },
    ],
    catchers: [test('test/store/syncs.test.ts', 'row 29: every batch is synced before it is acknowledged')],
  },
  {
    row: 31,
    name: 'a leader that was lost says that nothing was changed',
    why: 'Whoever forwarded the request sends it to the next leader, and it takes effect twice.',
    edits: [
      {
        file: 'src/daemon/replica.ts',
        find: "if (this.#leading) this.#failProposals(new PolarisError('OUTCOME_UNKNOWN'));",
        replace: "if (this.#leading) this.#failProposals(new PolarisError('NO_LEADER'));",
      },
    ],
    catchers: [
      test(
        'test/daemon/replica.test.ts',
        'have an unknown outcome when leadership is lost, whatever becomes of the entry',
      ),
    ],
  },
  {
    row: 31,
    name: 'a submit that comes again is a new one',
    why: 'A client that heard no answer asks again, and its job runs twice.',
    edits: [
      {
        file: 'src/ranges/table.ts',
        find: 'const known = this.#jobs.get(spec.id);',
        replace: 'const known = undefined as Job | undefined;',
      },
    ],
    catchers: [test('test/ranges/table.test.ts', 'the same spec again gives the same job, also when it is finished')],
  },
];

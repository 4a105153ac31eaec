/**
 * exec: any program as a job type. `{"command": ["./reindex.sh", "--from={start}", "--to={end}"]}`
 *
 * The job host starts the program itself, once a task, and Polaris knows how by heart (src/jobtype/program.ts, which
 * also says what the program may rely on); here stands only what a submitter must give.
 */
export const exec = {
  kind: 'program',
  metadata: {
    type: 'object',
    required: ['command'],
    additionalProperties: false,
    properties: {
      command: {
        type: 'array',
        minItems: 1,
        items: { type: 'string' },
        description: 'The program and its arguments; {job} {start} {end} {epoch} are filled in, in each of them.',
      },
      cwd: { type: 'string', minLength: 1, description: 'Its directory; that of the node when it is left out.' },
      env: {
        type: 'object',
        additionalProperties: { type: 'string' },
        description: 'More of its environment, beside POLARIS_JOB, POLARIS_START, POLARIS_END and POLARIS_EPOCH.',
      },
    },
  },
};

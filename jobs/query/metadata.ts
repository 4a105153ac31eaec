/**
 * What a job of the type `query` is asked: a plan of src/query/plan.ts.
 */
export interface QueryMetadata {
  readonly dataset: string;
  /** SQL over `part`, for the rows of each range. */
  readonly partial: string;
  /** SQL over `answers`, for what all of them gave. */
  readonly final: string;
}

const SQL = { type: 'string', minLength: 1, maxLength: 65_536 };

export const METADATA = {
  type: 'object',
  required: ['dataset', 'partial', 'final'],
  additionalProperties: false,
  properties: { dataset: { type: 'string', minLength: 1, maxLength: 128 }, partial: SQL, final: SQL },
};

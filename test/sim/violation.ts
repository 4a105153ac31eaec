/** A promise of the cluster that the simulator saw broken. Its text is the whole finding. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

export function expectThat(holds: boolean, finding: () => string): asserts holds {
  if (!holds) throw new Violation(finding());
}

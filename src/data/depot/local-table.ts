/**
 * A look at the table of this very node: as old as it may be, and at once.
 */
import type { NodeApi } from '../../daemon/api.ts';
import type { Table } from '../../ranges/types.ts';

/** @throws PolarisError NO_LEADER where there is no table: on a worker-role node, and before the cluster is formed. */
export function localTable<T>(api: Pick<NodeApi, 'read'>, look: (table: Table) => T): Promise<T> {
  return new Promise((resolve, reject) => {
    api.read('local', look, (result) => (result.ok ? resolve(result.value) : reject(result.error)));
  });
}

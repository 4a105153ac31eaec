/**
 * Origin: which web pages may send requests here. Whoever may submit a job may run programs, and a browser on the same
 * machine reaches the loopback port on behalf of any page it shows.
 *
 * Browsers name the page in `Origin` with everything that could change something; programs send none. A page of this
 * node itself has the address of the node for its own. A name that its owner can point at 127.0.0.1 for a moment (DNS
 * rebinding) would look the same, so the host must be an address, localhost, or the name that this node advertises.
 */
import { isIP } from 'node:net';
import { splitAddress } from '../base/config.ts';
import { PolarisError } from '../base/errors.ts';
import type { Address } from '../base/types.ts';

/** @throws PolarisError FOREIGN_ORIGIN */
export function checkOrigin(
  headers: { readonly origin?: string | undefined; readonly host?: string | undefined },
  ownAddress: () => Address,
): void {
  const { origin, host } = headers;
  if (origin === undefined) return;
  const page = URL.canParse(origin) ? new URL(origin) : null;
  const samePlace = page !== null && page.host !== '' && page.host === host;
  if (samePlace && isTrustedHost(page.hostname, ownAddress)) return;
  throw new PolarisError('FOREIGN_ORIGIN', `a page of ${origin.slice(0, 100)} may not send requests here`);
}

function isTrustedHost(hostname: string, ownAddress: () => Address): boolean {
  if (hostname === 'localhost' || isIP(hostname.replace(/^\[(.*)\]$/, '$1')) !== 0) return true;
  return hostname === splitAddress(ownAddress()).host;
}

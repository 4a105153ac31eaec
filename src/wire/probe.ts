/**
 * Probe: whether somebody listens at an address, and whether the address is this host's own.
 *
 * On the same host a refused connection comes from the kernel that would know: the process is gone. From elsewhere a
 * firewall or a proxy can refuse for the living, so the two questions belong together.
 */
import { connect, isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { PROBE_TIMEOUT_MS } from '../base/limits.ts';
import type { Address } from '../base/types.ts';
import type { ProbeOutcome } from './network.ts';

const PORT_MAX = 65_535;

/** Null when it is not HOST:PORT or [HOST]:PORT. */
export function splitAddress(address: Address): { readonly host: string; readonly port: number } | null {
  const parts = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^[\]:/\s]+)):(\d{1,5})$/.exec(address);
  const host = parts?.[1] ?? parts?.[2];
  const port = Number(parts?.[3]);
  return host === undefined || port < 1 || port > PORT_MAX ? null : { host, port };
}

/** Calls back once, in a later turn. */
export function probe(address: Address, done: (outcome: ProbeOutcome) => void): void {
  const target = splitAddress(address);
  if (target === null) {
    setImmediate(done, 'unknown');
    return;
  }
  const socket = connect(target);
  let outcome: ProbeOutcome = 'unknown';
  const timer = setTimeout(() => socket.destroy(), PROBE_TIMEOUT_MS).unref();
  socket.on('connect', () => {
    outcome = 'open';
    socket.destroy();
  });
  socket.on('error', (error) => {
    if ('code' in error && error.code === 'ECONNREFUSED') outcome = 'refused';
  });
  socket.on('close', () => {
    clearTimeout(timer);
    done(outcome);
  });
}

/** By literal address or `localhost`; other names could mean anything by the time they are resolved. */
export function sameHost(address: Address): boolean {
  const host = splitAddress(address)?.host;
  if (host === undefined) return false;
  if (host === 'localhost' || host === '::1') return true;
  if (isIP(host) === 4 && host.startsWith('127.')) return true;
  return Object.values(networkInterfaces()).some((each) => each?.some((own) => own.address === host) ?? false);
}

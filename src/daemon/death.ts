/**
 * Proof of death: a worker on the leader's own host to which connections were refused for DEATH_PROOF_MS.
 *
 * A broken connection proves nothing, and elsewhere a firewall or a proxy can refuse for the living; on our own host a
 * refusal is the kernel's word that nobody listens there, and a proof when the worker did before (answered.ts). One
 * answer other than 'refused' starts the count anew.
 */
import { DEATH_PROOF_MS } from '../base/limits.ts';
import type { Address, NodeId } from '../base/types.ts';
import type { Env } from './env.ts';

/** Probes are this far apart: five of them make a proof. */
const PROBE_EVERY_MS = 100;

interface Suspicion {
  readonly address: Address;
  refusedSince: number | null;
}

export class DeathWatch {
  readonly #env: Env;
  readonly #listened: (worker: NodeId, address: Address) => boolean;
  readonly #dead: (worker: NodeId) => void;
  readonly #suspicions = new Map<NodeId, Suspicion>();

  /** @param listened whether the worker was ever seen to listen at the address. */
  constructor(env: Env, listened: (worker: NodeId, address: Address) => boolean, dead: (worker: NodeId) => void) {
    this.#env = env;
    this.#listened = listened;
    this.#dead = dead;
  }

  /** The connection to the worker is gone. */
  lost(worker: NodeId, address: Address): void {
    if (this.#suspicions.has(worker) || !this.#listened(worker, address)) return;
    if (!this.#env.network.sameHost(address)) return;
    const suspicion: Suspicion = { address, refusedSince: null };
    this.#suspicions.set(worker, suspicion);
    this.#probe(worker, suspicion);
  }

  /** It is back, or its session ended. */
  forget(worker: NodeId): void {
    this.#suspicions.delete(worker);
  }

  close(): void {
    this.#suspicions.clear();
  }

  #probe(worker: NodeId, suspicion: Suspicion): void {
    if (this.#suspicions.get(worker) !== suspicion) return;
    const sentAt = this.#env.clock.now();
    this.#env.network.probe(suspicion.address, (outcome) => {
      if (this.#suspicions.get(worker) !== suspicion) return;
      const now = this.#env.clock.now();
      // Two refusals far apart (a stall of ours between them) say nothing about the time between.
      if (outcome !== 'refused' || now - sentAt > DEATH_PROOF_MS / 2) suspicion.refusedSince = null;
      else suspicion.refusedSince ??= sentAt;
      if (suspicion.refusedSince !== null && now - suspicion.refusedSince >= DEATH_PROOF_MS) {
        this.#suspicions.delete(worker);
        this.#dead(worker);
        return;
      }
      this.#env.timers.after(PROBE_EVERY_MS, () => this.#probe(worker, suspicion));
    });
  }
}

/**
 * Runs one node as this process: opens its disk, listens, starts the daemon on the real Env, and ends in order.
 *
 * This is where all layers meet; it holds no logic of its own. The order matters: the lock of the data directory comes
 * first, so that nobody's job hosts are ended but those that this directory left behind; the port comes before the node,
 * because the node must know its address.
 */
import { createWriteStream } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { InvariantError } from '../base/assert.ts';
import { isLoopback, type NodeProcessConfig, splitAddress } from '../base/config.ts';
import { errorText, PolarisError } from '../base/errors.ts';
import { createLogger, type Logger } from '../base/log.ts';
import { builtPath } from '../base/package.ts';
import type { Address } from '../base/types.ts';
import type { Env } from '../daemon/env.ts';
import { Node } from '../daemon/node.ts';
import { realClock, realPrng, realTimers } from '../daemon/real.ts';
import { createProbe } from '../daemon/real-probe.ts';
import { createHttpServer, endWith } from '../http/server.ts';
import { createExecutor, endLeftoverHosts } from '../jobtype/executor.ts';
import { loadTypes } from '../jobtype/loader.ts';
import type { TraceEvent } from '../raft/trace.ts';
import { openLevelStore } from '../store/level.ts';
import { createPeers } from '../wire/peers.ts';
import { openNodeData } from './open-data.ts';

const BUNDLED_JOBS = builtPath('jobs');
const HOST_ENTRY = builtPath('src/jobtype/host.js');

/**
 * Resolves when the node runs; the process then lives until a signal or a fatal error ends it.
 *
 * @throws PolarisError CANNOT_LISTEN, DATA_DIR_BUSY, LOG_DAMAGED, USAGE when it cannot start.
 */
export async function runNode(config: NodeProcessConfig): Promise<void> {
  const log = createLogger({ level: config.logLevel, node: config.id });
  const { store, contents } = await openLevelStore(config.dataDir, { prng: realPrng });
  await endLeftoverHosts(config.dataDir);
  const types = await loadTypes({ bundledDir: BUNDLED_JOBS, userDir: config.jobsDir });

  let node: Node | null = null;
  const theNode = (): Node => {
    if (node === null) throw new PolarisError('NO_LEADER', `${config.id} is starting`);
    return node;
  };
  const data = await openNodeData({ config, log, api: theNode });
  const app = createHttpServer({
    get api() {
      return theNode();
    },
    log,
    prng: realPrng,
    planner: { plan: (request) => executor.plan(request) },
    ...{ data, queries: data.queries },
  });
  const { host, port } = splitAddress(config.listen);
  await app.listen({ host, port }).catch((cause: unknown) => {
    throw new PolarisError('CANNOT_LISTEN', `${config.listen}: ${errorText(cause)}`, { cause });
  });
  const address = config.advertise ?? addressOf(host, app.server.address() as AddressInfo);

  const network = createPeers({ log, prng: realPrng, address, turnAway: endWith });
  network.attach(app.server);
  const { slots, dataDir } = config;
  const executor = createExecutor({ types, slots, dataDir, log, hostEntry: HOST_ENTRY, nodeId: config.id });
  executor.useBlobs(data.tasks);
  const env: Env = {
    clock: realClock,
    timers: realTimers,
    prng: realPrng,
    network,
    store,
    executor,
    probe: createProbe(),
    log,
    ...(config.traceFile === null ? {} : { trace: traceTo(config.traceFile) }),
    fatal: (error) => exitFatal(error, log),
  };
  const { id, role, join, promote, sessionTtlMs } = config;
  const peers = foundingVoters(config, address);
  node = new Node(env, { id, address, role, peers, join, promote, slots, sessionTtlMs }, contents);
  node.start();
  data.start();
  const running = node;
  stopOnSignal(log, async () => {
    await data.stop();
    await new Promise<void>((resolve) => running.stop(resolve));
    await network.close();
    await app.close();
    await store.close();
  });
  // Only now: whoever reads that it listens may tell it to stop.
  announce(config, address, [...types.keys()], log);
  process.on('uncaughtException', (error) => exitFatal(error, log));
  process.on('unhandledRejection', (reason) =>
    exitFatal(reason instanceof Error ? reason : new Error(String(reason)), log),
  );
}

/** What whoever started the node should read first. */
function announce(config: NodeProcessConfig, address: Address, jobTypes: readonly string[], log: Logger): void {
  const { role, slots, dataDir, listen } = config;
  log.info({ address, role, slots, dataDir, jobTypes, pid: process.pid }, 'listening');
  if (!isLoopback(address) || !isLoopback(listen)) {
    log.warn({ listen, advertise: address }, 'insecure: anybody who reaches this port can run programs');
  }
  const told = config.peers.find((peer) => peer.id === config.id)?.address ?? address;
  if (told !== address) log.warn({ address, peers: told }, '--peers names another address for this node than its own');
}

/** Appends one JSON line an event. For looking back, so it is not synced and may lack its end after a crash. */
function traceTo(path: string): (event: TraceEvent) => void {
  const file = createWriteStream(path, { flags: 'a' });
  const short = (_key: string, value: unknown) => (value instanceof Uint8Array ? `${value.length} bytes` : value);
  return (event) => void file.write(`${JSON.stringify(event, short)}\n`);
}

/** A voter without --peers is a cluster of its own. */
function foundingVoters(config: NodeProcessConfig, address: Address): NodeProcessConfig['peers'] {
  if (config.role === 'worker' || config.join.length > 0) return [];
  return config.peers.length === 0 ? [{ id: config.id, address }] : config.peers;
}

function addressOf(host: string, { port }: AddressInfo): Address {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The first signal ends in order, the second at once. */
function stopOnSignal(log: Logger, stop: () => Promise<void>): void {
  let stopping = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(1);
      stopping = true;
      log.info({ signal }, 'stopping');
      stop().then(
        () => process.exit(0),
        (error: unknown) => exitFatal(error instanceof Error ? error : new Error(String(error)), log),
      );
    });
  }
}

/** The last line says what happened and, for an error of the table, what to do. Job hosts end with their channel. */
function exitFatal(error: Error, log: Logger): never {
  if (error instanceof PolarisError) {
    log.error({ code: error.code, detail: error.detail, cause: String(error.cause ?? '') }, 'fatal');
    process.stderr.write(`polaris: ${error.code}: ${error.detail}\n`);
    process.exit(error.row.exit);
  }
  const what = error instanceof InvariantError ? 'invariant broken' : 'unexpected error';
  log.error({ stack: error.stack }, what);
  process.stderr.write(`polaris: ${what}: ${error.message}\n`);
  process.exit(70);
}

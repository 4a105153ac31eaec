/**
 * Ports for `polaris dev`: those of the last time in a directory that was kept, else the first free ones from 7070 on, so that
 * other commands need no --url.
 *
 * None is left to the system to choose: what it gives to those that do not care (from 32768 on) it gives to every outgoing
 * connection too, and a node that is started again would find its port taken.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { PolarisError } from '../base/errors.ts';

const FIRST_PORT = 7070;
const LAST_PORT = 65_535;

export async function choosePorts(directory: string, count: number, first = FIRST_PORT): Promise<readonly number[]> {
  const path = join(directory, 'dev.json');
  if (existsSync(path)) return keptPorts(path, count);
  // All are held at once, so that no two are the same, and let go just before the nodes take them.
  const held: Server[] = [];
  try {
    const ports: number[] = [];
    for (let port = first; ports.length < count; port++) {
      const server = await hold(port);
      if (server === null) continue;
      held.push(server);
      ports.push(port);
    }
    writeFileSync(path, `${JSON.stringify({ ports })}\n`);
    return ports;
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

function keptPorts(path: string, count: number): readonly number[] {
  const ports = readPorts(path);
  if (ports.length === count) return ports;
  throw new PolarisError('USAGE', `${path} is of a cluster of ${ports.length}: say --nodes ${ports.length}`);
}

function readPorts(path: string): readonly number[] {
  try {
    const { ports } = JSON.parse(readFileSync(path, 'utf8')) as { ports?: unknown };
    if (Array.isArray(ports) && ports.every(Number.isInteger)) return ports;
  } catch (cause) {
    throw new PolarisError('USAGE', `${path} is damaged`, { cause });
  }
  throw new PolarisError('USAGE', `${path} is damaged`);
}

/** Null where somebody listens already. */
function hold(port: number): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (cause) => {
      if (port < LAST_PORT) resolve(null);
      else reject(new PolarisError('CANNOT_LISTEN', 'none of its ports is free on 127.0.0.1', { cause }));
    });
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

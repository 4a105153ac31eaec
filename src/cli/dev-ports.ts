/**
 * Ports for `polaris dev`: those of the last time in a directory that was kept, else 7070 for the first node when it is
 * free (so that other commands need no --url), and free ones for the rest.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { PolarisError } from '../base/errors.ts';

const FIRST_PORT = 7070;

export async function choosePorts(directory: string, count: number): Promise<readonly number[]> {
  const path = join(directory, 'dev.json');
  if (existsSync(path)) return keptPorts(path, count);
  // All are held at once, so that no two are the same, and let go just before the nodes take them.
  const held: Server[] = [];
  try {
    for (let index = 0; index < count; index++) {
      held.push(index === 0 ? await hold(FIRST_PORT).catch(() => hold(0)) : await hold(0));
    }
    const ports = held.map(portOf);
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

function hold(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new PolarisError('INTERNAL', 'a held port has no number');
  return address.port;
}

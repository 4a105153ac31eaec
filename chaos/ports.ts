/**
 * Ports for the processes that a test starts, and starts again: nobody else gets them as long as this process lives.
 *
 * A port that the system has given away and taken back is anybody's: the next cluster may be given the same, and every
 * outgoing connection takes one from the same range. So these lie below that range, in blocks, and whoever listens on the
 * first port of a block owns the others. Owning ends with the process, however that ends.
 */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** Linux gives away ports from 32768 on, macOS from 49152 on; `polaris dev` looks from 7070 on. */
const FIRST = 12_000;
const BLOCK = 16;
const BLOCKS = 1_250;

/** Of the blocks that this process owns: handed out to nobody yet. */
const free: number[] = [];

/** `count` loopback ports, each handed out once; `begin` is the block that is tried first. */
export async function takePorts(count: number, begin = randomInt(BLOCKS)): Promise<number[]> {
  while (free.length < count) free.push(...(await ownBlock(begin)));
  return free.splice(0, count);
}

/** The ports of one more block, less those on which somebody listens who knows nothing of blocks. */
async function ownBlock(begin: number): Promise<number[]> {
  for (let tried = 0; tried < BLOCKS; tried++) {
    const first = FIRST + BLOCK * ((begin + tried) % BLOCKS);
    const guard = await listenOn(first);
    if (guard === null) continue;
    // It listens until this process ends, and does not keep it alive.
    guard.unref();
    const ports: number[] = [];
    for (let port = first + 1; port < first + BLOCK; port++) {
      const server = await listenOn(port);
      if (server === null) continue;
      await once(server.close(), 'close');
      ports.push(port);
    }
    return ports;
  }
  throw new Error(`all ports from ${FIRST} to ${FIRST + BLOCK * BLOCKS - 1} are taken`);
}

/** Null where somebody listens already. */
async function listenOn(port: number): Promise<Server | null> {
  const server = createServer((stranger) => stranger.destroy());
  server.listen(port, '127.0.0.1');
  return once(server, 'listening').then(
    () => server,
    () => null,
  );
}

/**
 * Inherited files: what a child process of the node must let go before it runs the code of a job.
 *
 * LevelDB opens its files without O_CLOEXEC, so every child of the node holds the log, and so would every program that a
 * job starts: one stray write to the wrong descriptor would be a write into the log. Node has no flag to set on a
 * descriptor that is open; the child closes what it was handed.
 */
import { closeSync, fstatSync, readdirSync } from 'node:fs';

/** Its standard streams; the channel to the node is a socket and no file. */
const STANDARD_STREAMS = 3;

/** Closes every regular file that this process was started with. To be called before it opens one itself. */
export function closeInheritedFiles(): void {
  for (const name of readdirSync('/dev/fd')) {
    const fd = Number(name);
    if (fd >= STANDARD_STREAMS && isFile(fd)) closeSync(fd);
  }
}

/** The descriptor of the listing itself is closed by now. */
function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile();
  } catch {
    return false;
  }
}

/**
 * Derived ids: the id that stands for a text, so that asking twice with the same words is asking for the same thing.
 *
 * It has the shape of every other id (UUIDv4), since nobody who reads one should have to know where it came from.
 */
import { createHash } from 'node:crypto';
import { v4 } from 'uuid';

/** `purpose` keeps apart what is derived from equal texts for different ends. */
export function derivedId(purpose: string, text: string): string {
  const random = createHash('sha256').update(`${purpose}\0`).update(text).digest().subarray(0, 16);
  return v4({ random });
}

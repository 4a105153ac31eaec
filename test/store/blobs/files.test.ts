/** Blobs in a directory: the shared suite, and what a real file system can hold against them. */
import { blobSuite } from './conformance.ts';
import { directoryHarness } from './directory.ts';

blobSuite({ name: 'blobs in a directory', create: directoryHarness });

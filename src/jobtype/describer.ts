/**
 * Describer: main of the child process that imports one job type, says what it is, and is ended.
 */

import { must } from '../base/assert.ts';
import { errorText } from '../base/errors.ts';
import { describeModule } from './exported.ts';
import { closeInheritedFiles } from './inherited.ts';

closeInheritedFiles();
const module = must(process.argv[2], 'the describer is given a module');
try {
  process.send?.({ ok: true, description: await describeModule(module) });
} catch (thrown) {
  process.send?.({ ok: false, error: errorText(thrown) });
}

/**
 * Builds once before the tests: real processes run the compiled program, as users do.
 */
import { execFileSync } from 'node:child_process';

export function setup(): void {
  if (process.env['POLARIS_BUILT'] === '1') return;
  execFileSync('npm', ['run', 'build'], { stdio: 'inherit' });
  // Each project of the tests comes here.
  process.env['POLARIS_BUILT'] = '1';
}

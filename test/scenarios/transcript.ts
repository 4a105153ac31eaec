/**
 * Transcript: what is said while a command runs. Steps inside a step are indented; a level leaves out what the reader of
 * a scenario need not see, such as the setting up.
 */

/** From all to nothing: `warn` leaves out what nodes say of themselves, `none` everything. */
const LEVELS = ['debug', 'info', 'warn', 'error', 'none'] as const;

export type Level = (typeof LEVELS)[number];

export function levelOf(name: string): Level | null {
  return LEVELS.find((level) => level === name.toLowerCase()) ?? null;
}

export class Transcript {
  level: Level = 'info';
  #lines: string[] = [];
  #indent = '';

  line(text: string): void {
    if (this.level !== 'none') this.#lines.push(this.#indent + text);
  }

  lines(texts: readonly string[]): void {
    for (const text of texts) this.line(text);
  }

  /** What a node says of itself. */
  info(text: string): void {
    if (this.level === 'debug' || this.level === 'info') this.line(`INFO ${text}`);
  }

  /** A heading, and what happens under it. */
  under(heading: string, run: () => void): void {
    this.line(heading);
    const before = this.#indent;
    this.#indent += '  ';
    try {
      run();
    } finally {
      this.#indent = before;
    }
  }

  /** What was said since the last time; `ok` when that is nothing. */
  take(): string {
    const text = this.#lines.join('\n');
    this.#lines = [];
    return text === '' ? 'ok' : text;
  }
}

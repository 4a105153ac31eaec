/**
 * Probe: what the leader asks of the world outside the cluster, and tells it. A throttle hook is asked through it whether
 * a job may go on; the end of a job is told through it. The simulator has another.
 *
 * What comes back is judged by whoever asked; here is only whether there was an answer at all. Each call is answered
 * exactly once, in a later turn, within OUTSIDE_WAIT_MS or soon after.
 */
export type ProbeAnswer =
  /** `status` is that of HTTP, or the exit code of a command; `text` is the beginning of what it said. */
  | { readonly kind: 'answered'; readonly status: number; readonly text: string }
  | { readonly kind: 'unreachable'; readonly why: string };

export interface ProbeRequest {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: { readonly [name: string]: string };
  /** Null for none. */
  readonly body: string | null;
}

export type ProbeDone = (answer: ProbeAnswer) => void;

export interface Probe {
  /** Runs a program with its arguments, no shell between, and `environment` beside that of this process. */
  run(command: readonly string[], environment: { readonly [name: string]: string }, done: ProbeDone): void;
  /** One HTTP request. A redirection is an answer like any other: it is not followed. */
  fetch(request: ProbeRequest, done: ProbeDone): void;
}

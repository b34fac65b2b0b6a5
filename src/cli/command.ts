import type { DestinationStream } from 'pino';
import type { Clock } from '../clock.js';

/** What a command writes to. */
export interface TextSink {
  write(text: string): unknown;
}

/** Everything outside that a command may touch, so that a test runs the same command with its own. */
export interface Surroundings {
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  readonly stdin: AsyncIterable<Buffer | string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Somebody sits in front of it and can be asked. */
  readonly isTty: boolean;
  /** Whether stdout understands colours. */
  readonly isColored: boolean;
  readonly clock: Clock;
  /** Where `serve` logs to; undefined: the standard output, asynchronously. */
  readonly log?: DestinationStream;
  /** One line from the person in front of it. Only called when `isTty`. */
  ask(question: string): Promise<string>;
  /** Told of each request to stop (SIGTERM, SIGINT). */
  onStop(listener: () => void): void;
  /** Ends at once, whatever is still open: a second request to stop. */
  abandon(exitCode: number): void;
}

export const DONE = 0;
export const FAILED = 1;
export const USAGE = 2;

/** The command line itself was wrong or incomplete. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Everything has been said; only the exit code remains. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';
}

import type { ErrorView } from './view-models.js';

export interface PageRefusalOptions {
  readonly reason: ErrorView['reason'];
  readonly status: number;
  /** A protocol's word or one of ours, for developers. */
  readonly code?: string | undefined;
  readonly clientName?: string | undefined;
  /** Seconds. */
  readonly retryAfter?: number | undefined;
  readonly next?: ErrorView['next'];
}

/** What a person asked a page for and does not get: shown as the error page. */
export class PageRefusal extends Error {
  override readonly name = 'PageRefusal';
  readonly options: PageRefusalOptions;

  constructor(options: PageRefusalOptions) {
    super(options.reason);
    this.options = options;
  }
}

/** Ended, done in another tab, or begun in another browser: none of them can be told from another. */
export function expired(): PageRefusal {
  return new PageRefusal({ reason: 'expired', status: 400, code: 'interaction_ended' });
}

/** @param retryAfter seconds */
export function tooMany(retryAfter: number): PageRefusal {
  return new PageRefusal({ reason: 'too_many', status: 429, code: 'too_many_requests', retryAfter });
}

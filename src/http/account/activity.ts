import { frameOf, PATHS } from './account-page.js';
import type { AccountParts } from './account-parts.js';
import type { Show } from './doorway.js';
import type { Summaries } from './summaries.js';

const PAGE = 50;

export function showActivity({ renderer }: AccountParts, summaries: Summaries): Show {
  return async (ctx, visitor, shown) => {
    const { activity, olderFrom } = await summaries.activity(visitor, PAGE, cursorOf(ctx.query.before));
    renderer.render(ctx, 'account/activity', {
      ...frameOf(visitor, PATHS.activity, shown),
      activity,
      olderUrl: olderFrom === undefined ? undefined : `${PATHS.activity}?before=${olderFrom}`,
    });
  };
}

/** Anything else begins with the newest. Numbers of other people's events only say where to begin. */
function cursorOf(before: unknown): number | undefined {
  return typeof before === 'string' && /^[1-9]\d{0,14}$/.test(before) ? Number(before) : undefined;
}

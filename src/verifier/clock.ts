/** The package is published alone, so it brings its own clock; everything else asks this one or an injected one. */
export const systemNow = (): number => Date.now();

/**
 * A monotonic clock, milliseconds, that costs nothing to look at for the first time.
 *
 * `performance.now()` is no better, and makes Node load a dozen of its own modules: a process that answers one question
 * has no time for that.
 */

export const uptimeMs = (): number => process.uptime() * 1000

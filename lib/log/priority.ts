/**
 * The level of a line as syslog and the journal know it: `<N>` before the line.
 *
 * Pure. Source: syslog(3), sd-daemon(3).
 */

/** LOG_CRIT, LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG. */
const PRIORITIES: Readonly<Record<string, number>> = { fatal: 2, error: 3, warn: 4, info: 6, debug: 7, trace: 7 }

export const INFO_PRIORITY = 6

/** pino writes the level first. */
const LEVEL = /^\{"level":"([a-z]+)"/

export const withPriority = (line: string): string =>
  `<${PRIORITIES[LEVEL.exec(line)?.[1] ?? ''] ?? INFO_PRIORITY}>${line}`

/** @returns the line with at most so many bytes before its LF, cut at a whole character */
export const cutLine = (line: string, maxBytes: number): string => {
  const bytes = Buffer.from(line.trimEnd())
  if (bytes.length <= maxBytes) return line
  let end = maxBytes - Buffer.byteLength('…')
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return `${bytes.toString('utf8', 0, end)}…\n`
}

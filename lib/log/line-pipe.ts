/**
 * A destination at the other end of a pipe or stream, that may be slow, die, and come back.
 *
 *     write ─┬▶ the pipe is there             ─▶ into it, while it holds less than a megabyte
 *            ├▶ it has died, a while ago      ─▶ open another one
 *            └▶ it has died just now, is full ─▶ the line is lost, and counted
 *
 * Knows nothing of what the pipe is: `journal-destination.ts`, `syslog-destination.ts`.
 */

import { type LogDestination, lostLine, safeLine } from './destination.ts'
import { uptimeMs } from './uptime.ts'

/** What a pipe to somewhere can do. Nothing of it throws. */
export interface LinePipe {
  write(text: string): void
  /** Bytes that were written and have not left yet. */
  pendingBytes(): number
  /** Whether it is of no use any more. */
  isDead(): boolean
  /** Resolves when everything has left, or when it has had time enough. */
  close(): Promise<void>
}

const MAX_PENDING_BYTES = 1024 * 1024

/** Whatever dies at once when it is opened is not opened for every line. */
const OPEN_AGAIN_MS = 1_000

/**
 * @param open called with the first line, and again when the pipe has died; undefined when there is none
 * @param dress what a line looks like in the pipe
 */
export const pipeDestination = (
  open: () => LinePipe | undefined,
  dress: (line: string) => string,
  nowMs: () => number = uptimeMs,
): LogDestination => {
  let pipe: LinePipe | undefined
  let openedMs = Number.NEGATIVE_INFINITY
  let lost = 0
  return {
    write: (line) => {
      if ((pipe === undefined || pipe.isDead()) && nowMs() - openedMs >= OPEN_AGAIN_MS) {
        openedMs = nowMs()
        pipe = open()
      }
      if (pipe === undefined || pipe.isDead() || pipe.pendingBytes() > MAX_PENDING_BYTES) {
        lost += 1
        return
      }
      if (lost > 0) pipe.write(dress(lostLine(lost)))
      lost = 0
      pipe.write(dress(safeLine(line)))
    },
    reopen: () => {},
    close: async () => {
      openedMs = Number.POSITIVE_INFINITY
      await pipe?.close()
    },
  }
}

/**
 * Sees to it that an agent leaves no core file, and says so in the log where that cannot be.
 *
 * Not waited for: it takes some milliseconds, and a password comes later than that. The library
 * leaves the limits of its caller's process alone.
 */

import { forbidCoreDumps } from '../engines/index.ts'
import type { Logger } from '../log/index.ts'

export const withoutCoreDumps = async (log: Logger): Promise<void> => {
  const problem = await forbidCoreDumps()
  if (problem !== undefined) log.warn({ problem }, 'a crash may leave a core file, which holds passwords and rows')
}

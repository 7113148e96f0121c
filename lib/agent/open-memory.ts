/**
 * Opens what an agent remembers, and ends there what an earlier one has left in the middle.
 */

import { randomUUID } from 'node:crypto'

import { Journal } from '../history/index.ts'
import { JobMemory } from '../jobs/index.ts'
import type { Logger } from '../log/index.ts'

/**
 * @param directory where the history is; left out, nothing is remembered beyond the life of the agent
 * @throws BackupError `HISTORY_*`
 */
export const openMemory = async (directory: string | undefined, log: Logger): Promise<JobMemory> => {
  if (directory === undefined) return new JobMemory(undefined, log, Date.now)
  const journal = await Journal.open({ directory, now: Date.now, newId: randomUUID })
  for (const { job, sid } of await journal.markInterrupted()) {
    log.warn({ job, sid }, 'a backup of an earlier run was interrupted: its agent ended in the middle')
  }
  await journal.compactWhenDue()
  return new JobMemory(journal, log, Date.now)
}

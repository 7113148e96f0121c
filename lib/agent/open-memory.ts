/**
 * Opens what an agent remembers, and ends there what an earlier one has left in the middle.
 */

import { randomUUID } from 'node:crypto'

import { Journal, ServerDebts } from '../history/index.ts'
import { JobMemory, payLeftDebts } from '../jobs/index.ts'
import type { Logger } from '../log/index.ts'
import { allOf, type Instances } from './instance.ts'

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

/**
 * What is owed to servers. What a killed agent has left there is put right with the operator's login, if there is one
 * that may; else the next backup does it.
 *
 * @returns undefined where nothing is remembered, or no server is asked
 * @throws BackupError `HISTORY_*`
 */
export const openDebts = async (
  directory: string | undefined,
  instances: Instances,
  log: Logger,
): Promise<ServerDebts | undefined> => {
  const servers = allOf(instances).flatMap(({ server }) => (server === undefined ? [] : [server]))
  if (directory === undefined || servers.length === 0) return undefined
  const debts = await ServerDebts.open(directory)
  for (const { socket, defaultsFile } of servers) await payLeftDebts({ socket, defaultsFile }, debts, log)
  return debts
}

/**
 * Reads what the journal says. Changes nothing, waits for nobody.
 */

import { fileFailure } from './file-failure.ts'
import { JobLedger } from './job-ledger.ts'
import type { JobRecord } from './job-record.ts'
import { LineScanner } from './line-scanner.ts'
import { StateDirectory } from './state-directory.ts'

export interface History {
  /** In the order in which they began, the newest last. */
  readonly jobs: readonly JobRecord[]
  /** Lines that were set aside, in this journal and in those it replaced. */
  readonly damagedLines: number
}

/**
 * @param directory the state directory; an empty one has an empty history
 * @throws BackupError `HISTORY_DIRECTORY` when there is no such directory or it may not be
 *   read, `HISTORY_UNSAFE`, `HISTORY_IO`; never because of what stands in the journal
 */
export const readHistory = async (directory: string): Promise<History> => {
  const state = await StateDirectory.open(directory, 'read')
  try {
    for (;;) {
      const number = await state.current()
      if (number === 0) return { jobs: [], damagedLines: 0 }
      const file = await state.openGeneration(number)
      if (file === undefined) continue // replaced this moment
      try {
        const ledger = new JobLedger()
        const scanner = new LineScanner(file, ledger)
        await scanner.toEnd()
        await scanner.toEnd() // a line that was being written while it was read is whole by now
        scanner.finish()
        return { jobs: ledger.jobs, damagedLines: ledger.damagedLines }
      } finally {
        await file.close()
      }
    }
  } catch (error) {
    throw fileFailure(`read the history in ${state.path}`, error)
  }
}

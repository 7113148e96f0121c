/**
 * Is there room for what waits: parts of the backup whose size comes last, and what a slow client leaves behind?
 *
 *     disk of --spool-dir   │ used │ redo log │ largest file │ … spill … │ reserve │
 *                                   needed      may be needed  welcome     stays free
 */

import { ScratchDirectory } from '../scratch/index.ts'
import type { Survey } from './data-directory.ts'
import { type Finding, fail, failedWith, inBytes, ok, warn } from './finding.ts'

export interface RoomLimits {
  readonly spoolDirectory: string
  readonly spoolBytes: number
  readonly spillBytes: number
}

export const checkWaitingRoom = async (limits: RoomLimits, survey: Survey | undefined): Promise<Finding[]> => {
  const { spoolDirectory, spoolBytes, spillBytes } = limits
  const scratch = new ScratchDirectory({ directory: spoolDirectory })
  try {
    await (await scratch.open()).close() // as a backup would
    const { freeBytes, reserveBytes } = await scratch.room()
    const spareBytes = Math.max(freeBytes - reserveBytes, 0)
    const redoBytes = survey?.redoBytes ?? 0
    return [
      checkSpool(spoolDirectory, Math.min(spareBytes, spoolBytes), survey),
      checkSpill(Math.min(Math.max(spareBytes - redoBytes, 0), spillBytes), survey),
    ]
  } catch (error) {
    return [failedWith('spool', error)]
  }
}

const checkSpool = (directory: string, roomBytes: number, survey: Survey | undefined): Finding => {
  const redoBytes = survey?.redoBytes ?? 0
  const largestBytes = survey?.largest.bytes ?? 0
  const facts = { directory, roomBytes, redoBytes, largestBytes }
  const todo = 'name a directory on a larger disk with --spool-dir, or raise --spool-bytes'
  if (roomBytes === 0 || roomBytes < redoBytes) {
    return fail(
      'spool',
      `${directory} has room for ${inBytes(roomBytes)}, and the redo log that waits there may have ${inBytes(redoBytes)}`,
      todo,
      facts,
    )
  }
  if (roomBytes < largestBytes) {
    return warn(
      'spool',
      `${directory} has room for ${inBytes(roomBytes)}; the largest file, ${inBytes(largestBytes)}, may have to wait there`,
      todo,
      facts,
    )
  }
  return ok('spool', `${directory} has room for ${inBytes(roomBytes)}`, facts)
}

const checkSpill = (roomBytes: number, survey: Survey | undefined): Finding => {
  const wantedBytes = survey?.bytes ?? 0
  const facts = { roomBytes, wantedBytes }
  if (roomBytes >= wantedBytes) {
    return ok('spill', `room for ${inBytes(roomBytes)}: a client can be as slow as it likes`, facts)
  }
  return warn(
    'spill',
    `room for ${inBytes(roomBytes)} of ${inBytes(wantedBytes)}: a client that leaves more behind makes the backup wait`,
    'name a directory on a larger disk with --spool-dir, or raise --spill-bytes',
    facts,
  )
}

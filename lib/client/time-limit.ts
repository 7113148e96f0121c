/**
 * How long a piece of work may take in all, however busy the other side keeps us.
 *
 *     caller's signal ─┐
 *     time is over ────┴▶ one signal, for everything that the work does
 *
 * The limit on silence ends with every byte; this one does not. What the time ends is the
 * receiving and unpacking: a backup that is whole when it runs out is kept.
 */

import { BackupError } from '../errors/index.ts'
import { runsOutAfter } from './patience.ts'

/**
 * Does something with a signal that aborts when the caller's does, or when the time is over.
 *
 * @param maxSeconds left out: as long as it takes
 * @throws what `work` throws; a signal that was aborted by the time has `CLIENT_MAX_SECONDS` as its reason
 */
export const withinSeconds = async <Result>(
  maxSeconds: number | undefined,
  caller: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> => {
  const signals = caller === undefined ? [] : [caller]
  if (maxSeconds === undefined) return work(signals[0] ?? new AbortController().signal)
  const over = new AbortController()
  const inTime = runsOutAfter(maxSeconds * 1000, () => over.abort(tooLong(maxSeconds)))
  try {
    return await work(AbortSignal.any([...signals, over.signal]))
  } finally {
    inTime()
  }
}

const tooLong = (maxSeconds: number): BackupError =>
  new BackupError(
    'CLIENT_MAX_SECONDS',
    `expected to be done within ${maxSeconds} s, found that it takes longer`,
    { maxSeconds },
    { hint: 'raise --max-seconds, if the backup is meant to take that long' },
  )

/**
 * The states of a job, and which may follow which.
 *
 *     queued ─▶ starting ─▶ streaming ─▶ settling ─▶ complete
 *        └──────────┴───────────┴────────────┴─────▶ failed | cancelled
 *
 * A state is named after what the job waits for:
 *
 * | state     | what is true in it                           | what ends it                        |
 * |-----------|----------------------------------------------|-------------------------------------|
 * | queued    | admitted, nothing started                    | the engine is started               |
 * | starting  | the engine runs, not one byte came out yet   | the first byte of the backup        |
 * | streaming | bytes are leaving                            | the engine closed its output        |
 * | settling  | every byte was read, the verdict is open     | the verdict, and the last byte gone |
 */

export type JobState = 'queued' | 'starting' | 'streaming' | 'settling' | 'complete' | 'failed' | 'cancelled'

/** States that nothing follows. */
export const isFinal = (state: JobState): boolean => NEXT[state].length === 0

const NEXT: Readonly<Record<JobState, readonly JobState[]>> = {
  queued: ['starting', 'failed', 'cancelled'],
  starting: ['streaming', 'failed', 'cancelled'],
  streaming: ['settling', 'failed', 'cancelled'],
  settling: ['complete', 'failed', 'cancelled'],
  complete: [],
  failed: [],
  cancelled: [],
}

/** Refuses a step that is not in the picture: such a step is a bug, not a failure of the backup. */
export const checkStep = (from: JobState, to: JobState): JobState => {
  if (!NEXT[from].includes(to)) throw new Error(`bug: a job cannot go from ${from} to ${to}`)
  return to
}

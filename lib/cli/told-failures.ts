/**
 * Which failures have been told already, so that nobody tells them twice on one stream.
 *
 * A command that reports as JSON on standard error has said everything there; the sentence
 * for people, which every other failure gets, would stand in the middle of what a script reads.
 */

const told = new WeakSet<object>()

export const markTold = (error: unknown): void => {
  if (typeof error === 'object' && error !== null) told.add(error)
}

export const isTold = (error: unknown): boolean => typeof error === 'object' && error !== null && told.has(error)

/**
 * Waits for the first bytes of a source without losing them.
 *
 * A deployed client is told `READY` only when the backup has really begun, and the
 * first byte out of the engine is the proof of it. Pure apart from pulling the source.
 */

/**
 * Pulls until the first non-empty chunk.
 *
 * @returns the same bytes as the source, from the beginning; `undefined` when the source ended without a byte.
 *   Whoever got it must iterate or `return()` it, as with the source itself.
 */
export const withFirstChunk = async (
  source: AsyncIterable<Buffer>,
): Promise<AsyncIterableIterator<Buffer> | undefined> => {
  const iterator = source[Symbol.asyncIterator]()
  for (;;) {
    const first = await iterator.next()
    if (first.done === true) return undefined
    if (first.value.length > 0) return replay(first, iterator)
  }
}

/** Not a generator: one that was never started would not hand `return()` on to the source. */
const replay = (first: IteratorYieldResult<Buffer>, rest: AsyncIterator<Buffer>): AsyncIterableIterator<Buffer> => {
  let waiting: IteratorYieldResult<Buffer> | undefined = first
  return {
    async next() {
      const result = waiting ?? (await rest.next())
      waiting = undefined
      return result
    },
    async return() {
      waiting = undefined
      await rest.return?.()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

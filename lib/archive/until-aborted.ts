/**
 * Reads a source until it ends or a signal says stop, whichever comes first.
 *
 * A plain loop notices an abort only when the next chunk comes, and a hanging backup
 * program sends none.
 */

/**
 * The chunks of `source`, pulled one at a time and only when asked for.
 *
 * @throws the signal's reason as soon as it is aborted; the source is told to stop, but not waited for
 */
export async function* untilAborted<Chunk>(
  source: AsyncIterable<Chunk>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Chunk> {
  if (signal === undefined) {
    yield* source
    return
  }
  signal.throwIfAborted()
  const iterator = source[Symbol.asyncIterator]()
  // One listener for all chunks: racing each against one promise would keep a reaction for every chunk.
  let stop: (reason: unknown) => void = () => {}
  const onAbort = () => stop(signal.reason)
  signal.addEventListener('abort', onAbort)
  let ended = false
  try {
    for (;;) {
      const result = await new Promise<IteratorResult<Chunk>>((resolve, reject) => {
        stop = reject
        iterator.next().then(resolve, reject)
        if (signal.aborted) onAbort()
      })
      if (result.done === true) {
        ended = true
        return
      }
      yield result.value
      signal.throwIfAborted()
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    if (!ended) {
      const stopped = iterator.return?.()
      // While a chunk is being waited for, `return` waits too, perhaps for ever.
      if (signal.aborted) stopped?.catch(() => {})
      else await stopped
    }
  }
}

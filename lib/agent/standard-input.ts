/**
 * Keeps everybody else from standard input, once descriptor 0 is a client's socket or the one that listens.
 *
 * Node makes a stream of its own around the descriptor for whoever only looks at `process.stdin`, as `execa` does when it
 * is loaded; two streams on one descriptor are refused, or read each other's bytes. From here on there is nothing to
 * read there.
 */

import { Readable } from 'node:stream'

export const takeStandardInput = (): void => {
  let nothing: Readable | undefined
  Object.defineProperty(process, 'stdin', {
    configurable: true,
    enumerable: true,
    get: () => {
      nothing ??= Readable.from([])
      return nothing
    },
  })
}

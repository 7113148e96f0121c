/**
 * Takes the client's socket away from standard output and standard error, before anything else is loaded.
 *
 *     xinetd:  0, 1, 2 ─▶ the client's socket        after this:  0 ─▶ the client's socket
 *                                                                 1, 2 ─▶ /dev/null
 *
 * Whatever is written to 1 or 2 (a warning or a crash of Node, a module that does not load)
 * would be data to the client; and as long as one of them is open, the connection is not
 * closed. What is not the socket of descriptor 0 stays: a terminal, the journal of systemd.
 *
 * Loads nothing but `node:fs`, and keeps silent itself.
 */

import { closeSync, fstatSync, openSync, type Stats } from 'node:fs'

/** Standard output and standard error. */
const COPIES = [1, 2]

/** Does nothing where descriptor 0 is no socket. Synchronous: nobody else opens a file meanwhile. */
export const releaseClientSocket = (): void => {
  const socket = lookAt(0)
  if (socket?.isSocket() !== true) return
  for (const descriptor of COPIES) {
    const found = lookAt(descriptor)
    if (found === undefined || found.dev !== socket.dev || found.ino !== socket.ino) continue
    closeSync(descriptor)
    openSync('/dev/null', 'r+') // the lowest number that is free: the one just closed
  }
}

const lookAt = (descriptor: number): Stats | undefined => {
  try {
    return fstatSync(descriptor)
  } catch {
    return undefined // closed
  }
}

/**
 * Lines to the journal of systemd, over the socket that it gives to services.
 *
 *     backup-agent\n   identifier      \n   unit (the journal knows)   6\n  priority of a line without one
 *     1\n   lines begin with <N>       0\n 0\n 0\n   forward to syslog, the kernel, the console
 *     <4>{"level":"warn",…}\n
 *
 * Source: sd_journal_stream_fd(3), and the bytes that systemd-cat 252 sends there.
 */

import { connect } from 'node:net'

import type { LogDestination } from './destination.ts'
import { type LinePipe, pipeDestination } from './line-pipe.ts'
import { INFO_PRIORITY, withPriority } from './priority.ts'

export const JOURNAL_SOCKET = '/run/systemd/journal/stdout'

/** How long the end of a program waits for its last lines. */
const CLOSE_MS = 1_000

export const journalDestination = (
  identifier: string,
  socketPath = JOURNAL_SOCKET,
  nowMs?: () => number,
): LogDestination => pipeDestination(() => openStream(identifier, socketPath), withPriority, nowMs)

const openStream = (identifier: string, path: string): LinePipe => {
  const socket = connect({ path })
  socket.unref() // a log keeps no program alive
  socket.on('error', () => {}) // seen in `destroyed`
  socket.resume() // the journal says nothing; but its end is only noticed by who reads
  socket.write(`${identifier}\n\n${INFO_PRIORITY}\n1\n0\n0\n0\n`)
  return {
    write: (text) => void socket.write(text),
    pendingBytes: () => socket.writableLength,
    isDead: () => socket.destroyed,
    close: () =>
      new Promise((resolve) => {
        if (socket.destroyed) return resolve()
        const timer = setTimeout(resolve, CLOSE_MS)
        const done = (): void => {
          clearTimeout(timer)
          resolve()
        }
        socket.ref()
        socket.once('close', done).end(done)
      }),
  }
}

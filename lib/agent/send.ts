/**
 * How bytes leave, and how a connection ends: in order with everything sent, or with a no.
 *
 * Whoever sends waits for room; whoever waits listens to the signal of the job.
 */

import { once } from 'node:events'
import type { Socket } from 'node:net'

import { BackupError } from '../errors/index.ts'
import { type StatusBlock, writeStatus } from '../protocol/index.ts'

/** How long a peer may take to close its side after the last byte, before the socket is dropped. */
const LINGER_MS = 10_000

/** Sends buffers in one write, with back-pressure: returns when there is room for more. */
export const send = async (socket: Socket, burst: readonly Buffer[], signal: AbortSignal): Promise<void> => {
  signal.throwIfAborted()
  socket.cork()
  for (const bytes of burst) socket.write(bytes)
  socket.uncork()
  if (!socket.writableNeedDrain) return
  await once(socket, 'drain', { signal }).catch((error: unknown) => {
    throw signal.aborted ? signal.reason : error
  })
}

/** Returns when the system has taken everything that was sent so far. */
export const flushed = async (socket: Socket, signal: AbortSignal): Promise<void> => {
  signal.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    const onClose = (): void => reject(clientGone())
    signal.addEventListener('abort', onAbort)
    socket.once('close', onClose)
    socket.write(NOTHING, (error) => {
      signal.removeEventListener('abort', onAbort)
      socket.off('close', onClose)
      if (error) reject(clientGone())
      else resolve()
    })
  })
}

const NOTHING = Buffer.alloc(0)

/** How long a peer may leave an answer unread that is larger than what the system takes. */
const ANSWER_MS = 60_000

/**
 * Sends the last bytes and our FIN; returns when the system has taken every byte.
 *
 * @throws BackupError `JOB_CLIENT_GONE`: it closed before that, or read nothing for too long
 */
export const finish = async (
  socket: Socket,
  bytes: readonly Buffer[] = [],
  answerMs: number = ANSWER_MS,
): Promise<void> => {
  // Who asks and never reads must not keep a descriptor, nor an agent from ending.
  const unread = setTimeout(() => socket.destroy(), answerMs)
  await new Promise<void>((resolve, reject) => {
    socket.once('close', () => reject(clientGone()))
    socket.end(Buffer.concat(bytes), (error?: Error | null) => (error ? reject(clientGone()) : resolve()))
  }).finally(() => clearTimeout(unread))
  // The peer closes when it has read everything; one that never does must not keep a descriptor. What the system
  // has taken arrives all the same.
  const linger = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(linger))
}

/** Says no, in the one form that every deployed client notices: a block where READY would stand. */
export const refuse = async (socket: Socket, error: unknown, sid: string | undefined): Promise<void> => {
  if (socket.destroyed) return
  await finish(socket, [failedBlock(error, sid)]).catch(() => undefined) // it is gone: nobody is left to be told
}

/** The block `status=FAILED` that tells of an error. */
export const failedBlock = (error: unknown, sid: string | undefined): Buffer => {
  const failure = error instanceof BackupError ? error : undefined
  const block: StatusBlock = { status: 'FAILED', msg: messageFor(error), ...(sid === undefined ? {} : { sid }) }
  return writeStatus(block, failure === undefined ? [] : [['code', failure.code]])
}

/** What a client is told of an error. A message may end with a program's own words, and their full stop. */
export const messageFor = (error: unknown): string => {
  if (!(error instanceof BackupError)) return 'internal error, see the log of the agent'
  const { message, hint } = error
  return hint === undefined ? message : `${message.replace(/\.$/, '')}; ${hint}`
}

export const clientGone = (): BackupError => new BackupError('JOB_CLIENT_GONE', 'the client closed the connection')

/** Aborts when the connection is lost for writing, whatever the reason; a half-close by the client is none. */
export const whenGone = (socket: Socket): AbortSignal => {
  const controller = new AbortController()
  const abort = (): void => controller.abort(LOST)
  socket.on('error', abort) // what it was is in `close` and in the write that failed
  socket.on('close', abort)
  return controller.signal
}

/** Without a reason each would get an error of its own with a stack, which costs more than the rest of a connection. */
const LOST = 'the connection is lost'

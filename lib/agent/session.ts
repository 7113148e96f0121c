/**
 * One connection: a request in, an answer and perhaps a backup out.
 *
 *     request ─▶ decision ─┬▶ FAILED block, in place of READY          FIN
 *                          ├▶ READY, OK block                          FIN
 *                          └▶ job.start ─┬▶ FAILED, in place of READY  FIN
 *                                        └▶ READY, SENDING, stream ─┬▶ FIN    complete
 *                                                                   └▶ reset  everything else
 *
 * A deployed client takes `READY` for success, so it is said only when the backup has
 * begun; and it takes every end of the stream for the end of the backup, so nothing but
 * a complete one ends with a FIN. Rules: PROTOCOL.md, "Answers" and "Ends of a stream".
 */

import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

import { createEncoder, ENCODINGS } from '../encodings/index.ts'
import type { Engine } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { type Admission, BackupJob } from '../jobs/index.ts'
import type { Logger } from '../log/index.ts'
import { readRequest, type StatusBlock, writeReady, writeStatus } from '../protocol/index.ts'
import { decide, type Decision } from './policy.ts'
import { receiveRequest } from './receive-request.ts'
import { resetWhenArrived } from './reset.ts'

/** What all sessions of an agent share. */
export interface SessionContext {
  readonly engine: Engine
  readonly admission: Admission
  readonly product: string
  readonly loginRequired: boolean
  readonly requestDeadlineMs: number
  readonly memoryBytes: number
  readonly spool: { readonly directory: string; readonly maxBytes: number }
  readonly makeSid: () => string
  /** Aborts when the agent ends: what is left to do is done at once. */
  readonly hurry: AbortSignal
  /** Jobs that run now, so that the agent can cancel them. */
  readonly jobs: Set<BackupJob>
}

/** How long a peer may take to close its side after the last byte, before the socket is dropped. */
const LINGER_MS = 10_000

/** Serves one connection to its end. Never throws: whatever happens is told to the client and the log. */
export const serveSession = async (socket: Socket, context: SessionContext, log: Logger): Promise<void> => {
  const gone = whenGone(socket)
  let sid: string | undefined
  try {
    const { version, block } = await receiveRequest(socket, context.requestDeadlineMs, context.hurry)
    socket.resume() // nothing more is expected, but a reset is only noticed by who reads
    const request = readRequest(block)
    log.info({ action: request.action, version: version.text }, 'request')
    const decision = decide(request, context)
    sid = decision.sid
    if (decision.kind === 'nothing') {
      await finish(socket, [writeReady(), writeStatus({ status: 'OK', msg: decision.msg, sid })])
      return
    }
    await serveBackup(socket, decision, context, gone, log)
  } catch (error) {
    if (error instanceof BackupError)
      log.warn({ code: error.code, facts: error.facts, sid }, `refused: ${error.message}`)
    else log.error({ err: error, sid }, 'bug in a session')
    await refuse(socket, error, sid)
  }
}

const serveBackup = async (
  socket: Socket,
  decision: Extract<Decision, { kind: 'backup' }>,
  context: SessionContext,
  gone: AbortSignal,
  log: Logger,
): Promise<void> => {
  const { sid, user, password, encoding, blockBytes } = decision
  const { engine, product, memoryBytes, spool } = context
  const job = new BackupJob({
    sid,
    engine,
    product,
    user,
    password,
    encoder: createEncoder(encoding, { blockBytes }),
    blockBytes,
    memoryBytes,
    spool,
    log,
    nowMs: () => performance.now(),
    wait: async (milliseconds, signal) => {
      await delay(milliseconds, undefined, { signal }).catch(() => undefined)
    },
    wallClockMs: Date.now(),
    lease: context.admission.admit(sid), // last: whatever throws before it has nothing to give back
  })
  const onGone = (): void => job.cancel(clientGone())
  const onExtraBytes = (bytes: Buffer): void => job.cancel(extraBytes(bytes))
  gone.addEventListener('abort', onGone)
  socket.on('data', onExtraBytes)
  context.jobs.add(job)
  const giveBack = async (): Promise<void> => {
    gone.removeEventListener('abort', onGone)
    socket.off('data', onExtraBytes)
    await job.close()
    context.jobs.delete(job)
  }
  let saidReady = false
  try {
    if (gone.aborted) onGone()
    await job.start()
    const msg = `sending a full backup by ${engine.identity.name} ${engine.identity.version} as tar, ${ENCODINGS[encoding]}`
    for await (const burst of job.wire()) {
      // Together with the first bytes of the archive: an answer with nothing behind it looks, to some
      // tar programs, like an archive without members.
      const answer = saidReady ? [] : [writeReady(), writeStatus({ status: 'SENDING', msg, sid })]
      saidReady = true
      await send(socket, [...answer, ...burst], job.signal)
    }
    await finish(socket, [], job.signal)
    job.finish()
  } catch (error) {
    await job.fail(error)
    // The server is free again; only the connection is left to be ended.
    await giveBack()
    if (saidReady) await resetWhenArrived(socket, context.hurry)
    else await refuse(socket, error, sid)
  } finally {
    await giveBack()
  }
}

/** Sends buffers in one write, with back-pressure: returns when there is room for more. */
const send = async (socket: Socket, burst: readonly Buffer[], signal: AbortSignal): Promise<void> => {
  signal.throwIfAborted()
  socket.cork()
  for (const bytes of burst) socket.write(bytes)
  socket.uncork()
  if (!socket.writableNeedDrain) return
  await once(socket, 'drain', { signal }).catch((error: unknown) => {
    throw signal.aborted ? signal.reason : error
  })
}

/** Sends the last bytes and our FIN; returns when the system has taken every byte. */
const finish = async (socket: Socket, bytes: readonly Buffer[] = [], signal?: AbortSignal): Promise<void> => {
  signal?.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason))
    socket.once('close', () => reject(clientGone()))
    socket.end(Buffer.concat(bytes), resolve)
  })
  // The peer closes when it has read everything; one that never does must not keep a descriptor. What the system
  // has taken arrives all the same.
  const linger = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(linger))
}

/** Says no, in the one form that every deployed client notices: a block where READY would stand. */
const refuse = async (socket: Socket, error: unknown, sid: string | undefined): Promise<void> => {
  if (socket.destroyed) return
  const failure = error instanceof BackupError ? error : undefined
  const msg = failure === undefined ? 'internal error, see the log of the agent' : inOneLine(failure)
  const block: StatusBlock = { status: 'FAILED', msg, ...(sid === undefined ? {} : { sid }) }
  const answer = writeStatus(block, failure === undefined ? [] : [['code', failure.code]])
  await finish(socket, [answer]).catch(() => undefined) // it is gone: nobody is left to be told
}

/** A message may end with a program's own words, and their full stop. */
const inOneLine = ({ message, hint }: BackupError): string =>
  hint === undefined ? message : `${message.replace(/\.$/, '')}; ${hint}`

/** One request per connection, in this version of the protocol: what comes behind it was meant for somebody else. */
const extraBytes = (bytes: Buffer): BackupError =>
  new BackupError('PROTOCOL_TRAILING_BYTES', `expected nothing after the request, found ${bytes.length} bytes`, {
    bytes: bytes.length,
  })

const clientGone = (): BackupError => new BackupError('JOB_CLIENT_GONE', 'the client closed the connection')

/** Aborts when the connection is lost for writing, whatever the reason; a half-close by the client is none. */
const whenGone = (socket: Socket): AbortSignal => {
  const controller = new AbortController()
  socket.on('error', () => controller.abort()) // what it was is in `close` and in the write that failed
  socket.on('close', () => controller.abort())
  return controller.signal
}

/**
 * Serves one backup to one client, in the manner of its version.
 *
 *     0.76   job.start ─┬▶ FAILED, in place of READY                       FIN
 *                       └▶ READY, SENDING, stream ─┬▶ FIN    complete
 *                                                  └▶ reset  everything else
 *
 *     0.77   READY, ACCEPTED ▶ job.start ─┬▶ FAILED                        FIN
 *                                         └▶ SENDING, frames ─▶ end frame ─▶ receipt ─▶ FIN
 *                                            (or a plain stream, which ends as above)
 *
 * A deployed client takes `READY` for success, so it is said only when the backup has
 * begun; and it takes every end of the stream for the end of the backup, so nothing but
 * a complete one ends with a FIN. Rules: PROTOCOL.md, "Answers" and "Ends of a stream".
 */

import type { Socket } from 'node:net'

import { createEncoder, ENCODINGS, FRAMED_MIME } from '../encodings/index.ts'
import { findCompressor, type FoundCompressor } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { BackupJob, type BackupOrder, type BackupResult } from '../jobs/index.ts'
import type { Logger } from '../log/index.ts'
import {
  AGENT_PROTOCOL_VERSION,
  compressionText,
  type KvPairs,
  type SessionFacts,
  sessionPairs,
  writeReady,
  writeStatus,
} from '../protocol/index.ts'
import type { Visitor } from './connection-gate.ts'
import { completeFrame, failedFrame, framedStream } from './framed-stream.ts'
import { uniformRefusal } from './login-refusal.ts'
import type { LoginTrial } from './login-trial.ts'
import type { StreamDecision } from './policy.ts'
import { receiveReceipt } from './receive-receipt.ts'
import { type Pace, type Patience, resetWhenArrived, untilArrived, type Wire } from './reset.ts'
import { clientGone, failedBlock, finish, flushed, refuse, send } from './send.ts'
import { SendingPace } from './sending-pace.ts'
import type { Connection, SessionContext } from './session.ts'
import { tcpState } from './tcp-table.ts'
import { watchReachability } from './unreachable.ts'

/** How this backup differs from a full one by the agent's engine. */
export interface BackupPlan {
  readonly engine?: BackupOrder['engine']
  readonly what?: string
  readonly requested?: BackupOrder['requested']
  readonly lease: BackupOrder['lease']
  readonly serverSide?: BackupOrder['serverSide']
  /** What it is built upon. */
  readonly base?: BackupOrder['base']
  /** Which server it is of, as far as that is known. */
  readonly server?: BackupOrder['server']
  /** More pairs for the block of `SENDING`. */
  readonly sendingPairs?: KvPairs
}

const FULL_BACKUP = 'a full backup'

/** What the client has been told so far: it decides how it is told that there is no backup. */
type Told = 'nothing' | 'accepted' | 'sending'

/** @throws BackupError only before anything was said: the caller refuses then */
export const serveBackup = async (
  connection: Connection,
  decision: StreamDecision,
  context: SessionContext,
  log: Logger,
  plan: BackupPlan,
): Promise<void> => {
  const { compression } = decision
  const compressor = compression === undefined ? undefined : await findCompressor(compression)
  const session = new BackupSession(connection, decision, context, log, plan, compressor)
  await session.serve()
}

class BackupSession {
  readonly #socket: Socket
  /** For what the system knows of the connection, and for breaking it off. */
  readonly #raw: Socket
  readonly #gone: AbortSignal
  readonly #visitor: Visitor
  readonly #login: LoginTrial | undefined
  readonly #decision: StreamDecision
  readonly #context: SessionContext
  readonly #log: Logger
  readonly #plan: BackupPlan
  readonly #job: BackupJob
  readonly #ended = new AbortController()
  #told: Told = 'nothing'
  /** Of a plain stream. */
  #pace: SendingPace | undefined

  constructor(
    { socket, raw, gone, peer, visitor, login }: Connection,
    decision: StreamDecision,
    context: SessionContext,
    log: Logger,
    plan: BackupPlan,
    compressor: FoundCompressor | undefined,
  ) {
    this.#socket = socket
    this.#raw = raw
    this.#gone = gone
    this.#visitor = visitor
    this.#login = login
    this.#decision = decision
    this.#context = context
    this.#log = log
    this.#plan = plan
    const { sid, user, password, format, options } = decision
    const { product, memoryBytes, spool, spill, runtimeDirectory, memory, limits, nowMs, wait } = context
    const chosen = options === undefined ? {} : { options: options.name }
    this.#job = new BackupJob({
      job: context.makeId(),
      sid,
      peer,
      requested: {
        action: 'copy from',
        format,
        encoding: this.#mime,
        compression: this.#compression,
        'backup-level': 0,
        ...chosen,
        ...plan.requested,
      },
      engine: plan.engine ?? context.engine,
      instance: context.name,
      caller: context.grant.caller,
      extraArgs: options?.args,
      what: plan.what ?? FULL_BACKUP,
      serverSide: plan.serverSide,
      base: plan.base,
      server: plan.server,
      product,
      format,
      compressor,
      user,
      password,
      memoryBytes,
      spool,
      spill,
      runtimeDirectory,
      memory,
      limits,
      log,
      nowMs,
      wait,
      wallClockMs: Date.now(),
      unacknowledgedBytes: async () => (await tcpState(raw))?.unacknowledgedBytes ?? 0,
      lease: plan.lease,
    })
  }

  async serve(): Promise<void> {
    const job = this.#job
    const onGone = (): void => job.cancel(clientGone())
    this.#gone.addEventListener('abort', onGone)
    this.#socket.on('data', this.#onExtraBytes)
    this.#context.jobs.add(job)
    void watchReachability(this.#wire, this.#context.networkMs, this.#ended.signal, (error) => {
      job.abandon(error)
      this.#socket.destroy() // nobody is there to be told
    })
    try {
      if (this.#gone.aborted) onGone()
      await job.begin()
      if (this.#decision.isFraming) {
        await send(this.#socket, [writeReady(), this.#acceptedBlock()], job.signal)
        this.#told = 'accepted'
      }
      await job.start()
      this.#login?.wasRight()
      if (this.#decision.encoding === 'framed') await this.#sendFrames()
      else await this.#sendPlain()
    } catch (thrown) {
      this.#login?.failedBy(thrown)
      // In the history as well: who may ask for it there was not told more.
      const error = uniformRefusal(thrown, this.#decision)
      await job.fail(error)
      // The server is free again, and that is remembered; only the connection is left to be ended.
      await this.#leave()
      await this.#tell(error)
    } finally {
      this.#ended.abort()
      this.#gone.removeEventListener('abort', onGone)
      await this.#leave()
    }
  }

  async #leave(...outcome: Parameters<BackupJob['close']>): Promise<void> {
    await this.#job.close(...outcome)
    this.#socket.off('data', this.#onExtraBytes)
    this.#context.jobs.delete(this.#job)
  }

  /** A stream without a trailer: its FIN is the verdict, and nobody answers it. */
  async #sendPlain(): Promise<void> {
    const { encoding, blockBytes } = this.#decision
    if (encoding === 'framed') throw new Error('bug: frames sent plainly')
    const job = this.#job
    const encoder = createEncoder(encoding, { blockBytes })
    const pace = new SendingPace(this.#socket, this.#context.nowMs)
    this.#pace = pace
    const sent: Buffer[] = []
    for await (const burst of job.wire(encoder, blockBytes)) {
      // Together with the first bytes of the archive: an answer with nothing behind it looks, to some
      // tar programs, like an archive without members.
      const answer = this.#told === 'sending' ? [] : this.#sendingAnswer()
      job.signal.throwIfAborted() // what is not said must not be taken for said
      this.#told = 'sending'
      await pace.during(send(this.#socket, [...answer, ...burst], job.signal))
      sent.push(...burst)
      // Until the system has taken everything, it may still be read from these buffers.
      if (this.#socket.writableLength > 0) continue
      encoder.takeBack(sent)
      if (encoder.givesViews) job.takeBack(sent)
      sent.length = 0
    }
    await flushed(this.#socket, job.signal)
    job.finish()
    await this.#leave() // before the FIN: whoever sees it may ask for the next backup at once
    await finish(this.#socket).catch(() => undefined) // everything was taken; it may have closed first
  }

  async #sendFrames(): Promise<void> {
    const job = this.#job
    const answer = this.#sendingAnswer()
    job.signal.throwIfAborted() // what is not said must not be taken for said
    this.#told = 'sending'
    await send(this.#socket, answer, job.signal)
    const sent: Buffer[] = []
    for await (const burst of framedStream(job, this.#context.wait)) {
      await send(this.#socket, burst, job.signal)
      sent.push(...burst)
      if (this.#socket.writableLength > 0) continue
      job.takeBack(sent)
      sent.length = 0
    }
    const end = completeFrame(job)
    const receipt = this.#receipt(job.result as BackupResult)
    await send(this.#socket, [end], job.signal)
    job.finish()
    await job.release() // the server and the next client do not wait for this one's disk
    const answered = await receipt
    if (answered.delivered) this.#log.info({ sid: job.order.sid, job: job.id }, 'delivered: the client has every byte')
    else this.#log.warn({ sid: job.order.sid, job: job.id, why: answered.why }, 'sent, but not confirmed')
    await (answered.delivered ? this.#leave('delivered') : this.#leave('sent-unconfirmed', answered.why))
    await this.#closeInOrder()
  }

  #receipt(result: BackupResult): ReturnType<typeof receiveReceipt> {
    this.#socket.off('data', this.#onExtraBytes)
    return receiveReceipt(this.#socket, result, this.#context.receiptMs, this.#context.hurry)
  }

  /** Says that there is no backup, in the way that fits what the client knows. */
  async #tell(error: unknown): Promise<void> {
    const socket = this.#socket
    const { sid, encoding } = this.#decision
    if (socket.destroyed) return
    if (this.#told === 'nothing') return refuse(socket, error, sid)
    if (this.#told === 'sending' && encoding !== 'framed') {
      // What is on the way holds the end: whatever of it has not arrived must never do so.
      if (this.#job.isLettingGo) this.#raw.resetAndDestroy()
      else await resetWhenArrived(this.#wire, this.#patience, this.#pace?.pace ?? NOTHING_SENT)
      return
    }
    await this.#closeInOrder(this.#told === 'accepted' ? failedBlock(error, sid) : failedFrame(this.#job, error))
  }

  /** Our FIN. A client that reads slowly, or not at all, gets its time for what is on the way, and no more. */
  async #closeInOrder(last: Buffer = Buffer.alloc(0)): Promise<void> {
    const socket = this.#socket
    const { hurry } = this.#context
    if (socket.destroyed) return
    socket.end(last)
    this.#visitor.left(socket)
    await untilArrived(this.#wire, this.#patience)
    if (socket.writableFinished) await finishedByPeer(socket, hurry)
    socket.destroy()
  }

  get #wire(): Wire {
    return { socket: this.#socket, raw: this.#raw }
  }

  get #patience(): Patience {
    const { limits, hurry } = this.#context
    return { stallMs: limits.stallMs, hurry }
  }

  #acceptedBlock(): Buffer {
    const { sid, format } = this.#decision
    const { product, name: instance } = this.#context
    const { what, engine } = this.#job.order
    const { name, version } = engine.identity
    const facts: SessionFacts = {
      agent: product,
      protocol: AGENT_PROTOCOL_VERSION,
      engine: name,
      engineVersion: version,
      format,
      encoding: this.#mime,
      compression: this.#compression,
      ...(instance === undefined ? {} : { instance }),
    }
    const msg = `starting ${what} by ${name} ${version}`
    return writeStatus({ status: 'ACCEPTED', msg, sid }, sessionPairs(facts))
  }

  #sendingAnswer(): Buffer[] {
    const { sid, isFraming, format } = this.#decision
    const { what, engine } = this.#job.order
    const { name, version } = engine.identity
    const msg = `sending ${what} by ${name} ${version} as ${format}, ${this.#mime}${this.#compressed}`
    const block = writeStatus({ status: 'SENDING', msg, sid }, this.#plan.sendingPairs)
    return [...(isFraming ? [] : [writeReady()]), block]
  }

  get #compression(): string {
    const { compression } = this.#decision
    return compression === undefined ? 'none' : compressionText(compression)
  }

  get #compressed(): string {
    return this.#decision.compression === undefined ? '' : `, compressed with ${this.#compression}`
  }

  get #mime(): string {
    const { encoding } = this.#decision
    return encoding === 'framed' ? FRAMED_MIME : ENCODINGS[encoding]
  }

  /** One request per connection: what comes behind it was meant for somebody else. */
  readonly #onExtraBytes = (bytes: Buffer): void => {
    this.#job.abandon(
      new BackupError('PROTOCOL_TRAILING_BYTES', `expected nothing after the request, found ${bytes.length} bytes`, {
        bytes: bytes.length,
      }),
    )
  }
}

const NOTHING_SENT: Pace = { bytes: 0, elapsedMs: 0, blockedMs: 0 }

/** How long a peer that has everything may take to close. */
const CLOSE_MS = 10_000

const finishedByPeer = (socket: Socket, hurry: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(done, CLOSE_MS)
    function done(): void {
      clearTimeout(timer)
      hurry.removeEventListener('abort', done)
      socket.off('close', done)
      resolve()
    }
    if (socket.destroyed || hurry.aborted) return done()
    hurry.addEventListener('abort', done)
    socket.once('close', done)
  })

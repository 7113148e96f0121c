/**
 * One connection to an agent: bytes out, bytes in, and how long the agent may be silent.
 *
 *     send ─▶ next, next, … ─▶ undefined        the agent has closed its half; that proves nothing
 *                         └──▶ thrown           reset, silence or abort: never taken for an end
 *     finish(last words) ─▶ waits a little for the agent's end, and never throws
 *
 * Silence counts only while somebody waits in `next`: our own slow disk is not the agent's
 * silence, and neither is a time in which this process was stopped. Who says a byte now and then is not silent, so what an
 * agent says before a stream has a time of its own. At most what the socket holds is in memory; what is not asked for
 * stays with the agent.
 */

import { BackupError } from '../errors/index.ts'
import { ReadPieces } from '../flow/index.ts'
import { runsOutAfter } from './patience.ts'
import { type DialOptions, dial, interrupted, isReadableOnTheWay, type Socket } from './request-connection.ts'

export interface LinkOptions extends DialOptions {
  /** How long the agent may be silent while we wait for it. */
  readonly silenceMs: number
  /** How long it may take from the first byte of something it says to the last. */
  readonly messageMs?: number
}

/** What an agent says leaves it in one go; the largest block there may be takes a kilobyte a second then. */
const MESSAGE_MS = 60_000

/** Nobody here keeps what was read for long, so it costs nothing that its buffer is mostly empty. */
const FULL_BYTES = 16 * 1024

/** What is read is used up before more is asked for, but for what was read ahead. */
const MAX_FREE_BUFFERS = 4

/** An agent that was told the last word closes at once; one that does not is not waited for. */
const FINISH_MS = 10_000

const CUT_HINT = 'the agent resets the connection when a backup fails or the agent is stopped: its log says why'

/** By ourselves, while somebody was still reading. */
const CLOSED = new Error('the connection was closed')

export class AgentLink {
  /** May be changed at any time; counts from the next `next`. */
  silenceMs: number
  /**
   * Whether whoever takes the chunks of `rest` has done with each of them when it asks for the next: then they are read
   * into the same memory.
   */
  usesUp = false
  /** `host:port` of the agent, as it is called in messages. */
  readonly where: string
  readonly #socket: Socket
  readonly #signal: AbortSignal
  readonly #messageMs: number
  readonly #tls: LinkOptions['tls']
  /** Undefined over TLS, which Node itself reads. */
  readonly #pieces: ReadPieces | undefined
  readonly #chunks: AsyncIterator<Buffer>
  readonly #onAbort = (): void => this.#fail(interrupted(this.#signal))
  #failure: BackupError | undefined

  private constructor(socket: Socket, pieces: ReadPieces | undefined, options: LinkOptions) {
    const { host, port, tls, silenceMs, messageMs = MESSAGE_MS, signal } = options
    this.#socket = socket
    this.#signal = signal
    this.#tls = tls
    this.where = `${host}:${port}`
    this.silenceMs = silenceMs
    this.#messageMs = messageMs
    this.#pieces = pieces
    this.#chunks = pieces ?? (socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>)
    socket.on('error', (error) => pieces?.fail(error)) // whoever reads is told; a late one has nobody to be told
    socket.on('end', () => pieces?.end())
    socket.on('close', () => {
      if (!socket.readableEnded) pieces?.fail(CLOSED)
    })
    signal.addEventListener('abort', this.#onAbort)
    if (signal.aborted) this.#onAbort()
  }

  /** @throws BackupError `CLIENT_CONNECT`, `CLIENT_TLS_*`, or the reason of the signal */
  static async open(options: LinkOptions): Promise<AgentLink> {
    if (options.tls !== undefined) return new AgentLink(await dial(options), undefined, options)
    let socket: Socket | undefined
    const pieces = new ReadPieces({
      fullBytes: FULL_BYTES,
      maxFree: MAX_FREE_BUFFERS,
      resume: () => socket?.resume(),
      abandon: () => socket?.destroy(),
    })
    socket = await dial({ ...options, onread: pieces.onread })
    return new AgentLink(socket, pieces, options)
  }

  /** Whether somebody between here and the agent could read what is sent. */
  get isReadableOnTheWay(): boolean {
    return isReadableOnTheWay(this.#socket)
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  /**
   * The next bytes, or undefined when the agent has closed its half.
   *
   * @throws BackupError `CLIENT_CUT`, `CLIENT_SILENCE`, `CLIENT_TLS_CERTIFICATE`, the reason of the signal
   */
  async next(): Promise<Buffer | undefined> {
    if (this.#failure !== undefined) throw this.#failure // a stream that broke looks ended to who asks again
    const silenceMs = this.silenceMs
    const heard = runsOutAfter(silenceMs, () =>
      this.#fail(new BackupError('CLIENT_SILENCE', `the agent sent nothing for ${silenceMs / 1000} s`, { silenceMs })),
    )
    try {
      const { done, value } = await this.#chunks.next()
      return done === true ? undefined : value
    } catch (cause) {
      this.#failure ??= await this.#brokenBy(cause as NodeJS.ErrnoException)
      throw this.#failure
    } finally {
      heard()
    }
  }

  /**
   * The agent has begun to say something, and is to come to its end in time, however many bytes come in between.
   *
   * @returns what calls it off: it has
   */
  endsInTime(what: string): () => void {
    const messageMs = this.#messageMs
    const late = `the agent did not come to the end of ${what} within ${messageMs / 1000} s`
    return runsOutAfter(messageMs, () => this.#fail(new BackupError('CLIENT_SILENCE', late, { messageMs })))
  }

  async #brokenBy(cause: NodeJS.ErrnoException): Promise<BackupError> {
    if (this.#tls !== undefined) {
      const { tlsFailure } = await import('./request-secure.ts')
      const failure = tlsFailure(cause, this.where, this.#tls.cert !== undefined)
      if (failure !== undefined) return failure
    }
    const code = cause.code ?? 'unknown'
    const cut = `the connection to the agent broke (${code})`
    return new BackupError('CLIENT_CUT', cut, { errno: code }, { cause, hint: CUT_HINT })
  }

  /** Everything that comes, to the end. @param first what was read already and belongs to it */
  async *rest(first: Buffer): AsyncGenerator<Buffer> {
    if (first.length > 0) yield first
    for (let chunk = await this.next(); chunk !== undefined; chunk = await this.next()) {
      yield chunk
      if (this.usesUp) this.#pieces?.buffers.takeBack([chunk])
    }
  }

  /** How many bytes have come that nobody has asked for. */
  get unreadBytes(): number {
    return this.#pieces?.readyBytes ?? this.#socket.readableLength
  }

  /** Says the last words and closes our half. Errors are nobody's business any more: what counts is decided. */
  async finish(lastWords: Buffer): Promise<void> {
    const finished = runsOutAfter(FINISH_MS, () => this.close())
    try {
      this.#socket.end(lastWords)
      while ((await this.next()) !== undefined) {
        // What comes now is not asked for.
      }
    } catch {
      // It is gone, or silent: then it is not told.
    } finally {
      finished()
      this.close()
    }
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#socket.destroy()
  }

  #fail(reason: BackupError): void {
    this.#failure ??= reason
    this.#pieces?.fail(this.#failure)
    this.#socket.destroy(this.#failure)
  }
}

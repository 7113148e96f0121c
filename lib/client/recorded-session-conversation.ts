/**
 * The client's end of a connection, as a session file sees it: lines, a stream, an end.
 *
 * Reads from the first moment, also while it still sends: an agent may refuse a request
 * before it has seen the whole of it, and what it says then must not be lost. Judges
 * nothing.
 */

import { BackupError } from '../errors/index.ts'
import type { SessionEnd } from './recorded-session.ts'
import { dial, interrupted, type Socket } from './request-connection.ts'
import type { TlsOptions } from './request-secure.ts'

export interface ConversationOptions {
  readonly host: string
  readonly port: number
  readonly tls?: TlsOptions | undefined
  readonly connectMs: number
  /** How long the agent may be silent while we wait for it. */
  readonly silenceMs: number
  readonly signal: AbortSignal
}

/** A line of an agent is far shorter; a peer that never sends a newline must not fill the memory. */
const MAX_LINE_BYTES = 65_536
/** An agent reads for the first time when it has accepted the connection, which takes more than one turn. */
const ACCEPT_TURNS = 10
/** More than this is left to the system, and with it to the agent, until somebody reads. */
const MAX_WAITING_BYTES = 1_048_576

export class Conversation {
  readonly #socket: Socket
  readonly #options: ConversationOptions
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #ended: SessionEnd | 'fin or reset' | undefined
  #halfClosed = false
  #turns = ACCEPT_TURNS
  #failure: BackupError | undefined
  #wake: () => void = () => undefined

  private constructor(socket: Socket, options: ConversationOptions) {
    this.#socket = socket
    this.#options = options
    socket.on('data', (chunk: Buffer) => {
      this.#waiting.push(chunk)
      this.#waitingBytes += chunk.length
      if (this.#waitingBytes > MAX_WAITING_BYTES) socket.pause()
      this.#wake()
    })
    socket.on('end', () => this.#end(this.#endOfStream()))
    socket.on('error', () => this.#end('reset'))
    options.signal.addEventListener('abort', this.#onAbort)
    if (options.signal.aborted) this.#onAbort()
  }

  /** @throws BackupError `CLIENT_CONNECT`, `CLIENT_TLS_*`, `CLIENT_INTERRUPTED` */
  static async open(options: ConversationOptions): Promise<Conversation> {
    // A client may go on sending after the agent has closed its half: deployed ones do.
    return new Conversation(await dial({ ...options, keepHalfOpen: true }), options)
  }

  /**
   * Sends bytes in a write of their own; returns when the system has taken them and others had a turn.
   *
   * An agent in this process then gets them apart from the next ones; any other gets them apart if it is quick.
   */
  async send(bytes: Buffer): Promise<void> {
    if (this.#socket.destroyed || bytes.length === 0) return // what ended it is for the reading side to say
    await new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve()))
    for (; this.#turns > 0; this.#turns -= 1) await new Promise((resolve) => setImmediate(resolve))
    this.#turns = 1
  }

  /** Closes our half: the agent sees the end of what we say, and may still answer. */
  halfClose(): void {
    this.#halfClosed = true
    this.#socket.end()
  }

  /** @returns bytes up to a newline or up to the end of the connection; undefined when nothing was left before the end */
  async line(): Promise<Buffer | undefined> {
    const parts: Buffer[] = []
    let bytes = 0
    for (;;) {
      const chunk = await this.#next()
      if (chunk === undefined) return bytes === 0 ? undefined : Buffer.concat(parts)
      const newlineAt = chunk.indexOf(10)
      const part = newlineAt === -1 ? chunk : chunk.subarray(0, newlineAt + 1)
      parts.push(part)
      bytes += part.length
      if (part.length < chunk.length) this.#putBack(chunk.subarray(part.length))
      if (newlineAt !== -1 || bytes > MAX_LINE_BYTES) return Buffer.concat(parts)
    }
  }

  /** Everything up to the end. */
  async *rest(): AsyncGenerator<Buffer> {
    for (let chunk = await this.#next(); chunk !== undefined; chunk = await this.#next()) yield chunk
  }

  /** What has arrived and nobody has read yet, for a report. */
  peek(maxBytes: number): Buffer {
    return Buffer.concat(this.#waiting).subarray(0, maxBytes)
  }

  /** How the agent ended the connection; known once nothing is left to read. */
  get ended(): SessionEnd | 'fin or reset' | undefined {
    return this.#ended
  }

  close(): void {
    this.#options.signal.removeEventListener('abort', this.#onAbort)
    this.#socket.destroy()
  }

  /** @throws BackupError `CLIENT_SILENCE`, or the reason of the signal */
  async #next(): Promise<Buffer | undefined> {
    if (this.#waiting.length === 0 && this.#ended === undefined && this.#failure === undefined) await this.#news()
    if (this.#failure !== undefined) throw this.#failure
    const chunk = this.#waiting.shift()
    this.#waitingBytes -= chunk?.length ?? 0
    if (this.#waitingBytes <= MAX_WAITING_BYTES) this.#socket.resume()
    return chunk
  }

  async #news(): Promise<void> {
    const { silenceMs } = this.#options
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#fail(new BackupError('CLIENT_SILENCE', `the agent sent nothing for ${silenceMs / 1000} s`, { silenceMs }))
      }, silenceMs)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #putBack(bytes: Buffer): void {
    this.#waiting.unshift(bytes)
    this.#waitingBytes += bytes.length
  }

  /**
   * Whether an end of the stream is one.
   *
   * libuv reports an end, not an error, when a reset arrives together with the last bytes
   * (POLLHUP and a partial read). The system knows better: a socket that was reset has no
   * peer any more. Node keeps the address once it was asked for, so nobody may have.
   * When we have closed our half the peer is gone either way, and nobody can tell.
   */
  #endOfStream(): SessionEnd | 'fin or reset' {
    if (this.#halfClosed) return 'fin or reset'
    return this.#socket.remoteAddress === undefined ? 'reset' : 'fin'
  }

  #end(how: SessionEnd | 'fin or reset'): void {
    this.#ended ??= how
    this.#wake()
  }

  #fail(reason: BackupError): void {
    this.#failure ??= reason
    this.#socket.destroy()
    this.#wake()
  }

  readonly #onAbort = (): void => this.#fail(interrupted(this.#options.signal))
}

/**
 * Reads a whole request off the wire: the version line, then one block.
 *
 *     0.77.0\n
 *     1\n
 *     action=monitor\n
 *     \n
 *
 * The version is judged as soon as its line is there: a client that does not fit is
 * told so without having been believed a count. Line numbers in refusals count from
 * the version line.
 *
 * Pure: what a peer says is read here; what it may say is in `agent-request.ts`, and
 * how long it may take is the agent's business. Format: PROTOCOL.md, "The request".
 */

import { BackupError } from '../errors/index.ts'
import { type KvBlock, KvBlockParser } from './kv-block-parser.ts'
import { type KvLimits, LIMITS } from './limits.ts'
import { LineReader } from './line-reader.ts'
import { AGENT_PROTOCOL_VERSION, type ProtocolVersion, parseVersion, settleVersion } from './version.ts'
import { showWire } from './wire-text.ts'

export interface ParsedRequest {
  readonly version: ProtocolVersion
  readonly block: KvBlock
  /** What came behind the request: a view of the last chunk. See `refuseTrailingBytes`. */
  readonly rest: Buffer
}

/** What the parser is waiting for. `done` and `broken` are final; a broken block is the block parser's to know. */
type State = 'version' | 'block' | 'done' | 'broken'

export class RequestParser {
  readonly #agent: ProtocolVersion
  readonly #lines = new LineReader()
  readonly #parser: KvBlockParser
  #state: State = 'version'
  #version: ProtocolVersion | undefined
  #started = false

  /** @param options for tests; the agent of this package uses the defaults */
  constructor(options: { readonly agent?: ProtocolVersion; readonly limits?: KvLimits } = {}) {
    this.#agent = options.agent ?? parseVersion(AGENT_PROTOCOL_VERSION)
    this.#parser = new KvBlockParser(options.limits ?? LIMITS, 1)
  }

  /** Whether a byte has come: a peer that leaves before that asked for nothing. */
  get started(): boolean {
    return this.#started
  }

  /** The version, once its line has come and was found to fit. */
  get version(): ProtocolVersion | undefined {
    return this.#version
  }

  /**
   * Takes the next bytes. Not to be called again after a request or an error came out.
   *
   * @param chunk only lent
   * @returns undefined while the request is incomplete
   * @throws BackupError `PROTOCOL_*`, its facts holding `line`
   */
  push(chunk: Buffer): ParsedRequest | undefined {
    if (this.#state === 'done' || this.#state === 'broken')
      throw new Error(`bug: RequestParser fed while ${this.#state}`)
    if (chunk.length === 0) return undefined
    this.#started = true
    const blockAt = this.#version === undefined ? this.#takeVersion(chunk) : 0
    if (this.#version === undefined) return undefined
    const parsed = this.#parser.push(chunk.subarray(blockAt))
    if (parsed === undefined) return undefined
    this.#state = 'done'
    return { version: this.#version, ...parsed }
  }

  /**
   * Says that no more bytes will come. Quiet before the first byte and after a whole request.
   *
   * @throws BackupError `PROTOCOL_TRUNCATED` in the middle of a request
   */
  end(): void {
    if (!this.#started || this.#state === 'done' || this.#state === 'broken') return
    if (this.#parser.started) {
      this.#parser.end()
      return
    }
    const [line, expected] = this.#state === 'version' ? [1, 'a protocol version'] : [2, 'a count of pairs']
    this.#state = 'broken'
    throw new BackupError(
      'PROTOCOL_TRUNCATED',
      `expected ${expected}, found the end of what the peer sent (line ${line})`,
      { line },
    )
  }

  /** @returns where the block begins in the chunk */
  #takeVersion(chunk: Buffer): number {
    const line = this.#lines.read(chunk, 0, LIMITS.maxVersionBytes)
    if (line === undefined) return chunk.length
    this.#state = 'broken' // until the version has passed
    if (line.length > LIMITS.maxVersionBytes) {
      throw new BackupError(
        'PROTOCOL_LINE_TOO_LONG',
        `expected a protocol version of at most ${LIMITS.maxVersionBytes} bytes, found a longer line (line 1)`,
        { line: 1 },
      )
    }
    // Latin-1 keeps every byte apart; what is no digit or dot is refused anyway.
    const version = parseVersion(line.toString('latin1'))
    settleVersion(version, this.#agent)
    this.#version = version
    this.#state = 'block'
    return this.#lines.next
  }
}

/**
 * Refuses bytes behind a request: one request per connection.
 *
 * @throws BackupError `PROTOCOL_TRAILING_BYTES` when there is a byte
 */
export const refuseTrailingBytes = (rest: Buffer): void => {
  if (rest.length === 0) return
  throw new BackupError(
    'PROTOCOL_TRAILING_BYTES',
    `expected nothing after the request, found ${rest.length} bytes beginning with ${showWire(rest.subarray(0, 1))}`,
    { bytes: rest.length },
    { hint: 'send one request per connection' },
  )
}

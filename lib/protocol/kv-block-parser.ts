/**
 * Reads one KV block off the wire, a chunk at a time.
 *
 *     2\n                 count: how many pairs follow
 *     action=monitor\n    pair
 *     max_items=10\n      pair
 *     \n                  end
 *
 * Chunks may be cut at any byte; where they are cut never changes what comes out, be
 * it a block or a refusal. Lines inside one chunk are read in place; only a line cut
 * in two is copied. Bytes after the block are handed back untouched, because they
 * belong to whatever comes next on the socket.
 *
 * Good pairs in plain ASCII, which is nearly all there are, are taken many at a time.
 * Whatever is anything else goes the one way that knows all the rules.
 *
 * A refusal names the line and what was expected there, and never shows a value: the
 * line may hold a password.
 *
 * Pure: no socket, no clock, no log. Format: PROTOCOL.md, "KV blocks".
 */

import { BackupError, type ErrorCode, type Facts } from '../errors/index.ts'
import { type KvLimits, LIMITS } from './limits.ts'
import { LineReader } from './line-reader.ts'
import { PairTable } from './pair-table.ts'
import { takePlainPairs } from './plain-pairs.ts'
import { findIllegal, showWire } from './wire-text.ts'

/**
 * The pairs of one block in the order of the wire. A map, so that a key `__proto__` is a key like any other; not a
 * `Map`, but what `pair-table.ts` makes cheaper.
 */
export type KvBlock = ReadonlyMap<string, string>

/** What the parser is waiting for. `done` and `broken` are final. */
type State = 'count' | 'pair' | 'end' | 'done' | 'broken'

const EQUALS = 0x3d

/** Fewer bytes are not worth a look for more than one pair. */
const FEWEST_BYTES_AT_ONCE = 64

/** Until the count has come. Nothing is ever put into it. */
const NO_PAIRS = new PairTable(0)

/** `0`, or digits that do not begin with a zero: every number has one spelling. */
const PLAIN_COUNT = /^(?:0|[1-9][0-9]*)$/

export class KvBlockParser {
  readonly #limits: KvLimits
  readonly #lines = new LineReader()
  readonly #firstLine: number
  #pairs = NO_PAIRS
  #state: State = 'count'
  #linesRead = 0 // every error names the line it broke on
  #bytesRead = 0 // of complete lines, each with its LF
  #pairsAnnounced = 0
  #started = false

  /**
   * @param limits for tests; everything on the wire keeps to `LIMITS`
   * @param linesBefore lines of the same message that somebody else has read, so that line numbers count from its top
   */
  constructor(limits: KvLimits = LIMITS, linesBefore = 0) {
    this.#limits = limits
    this.#firstLine = linesBefore + 1
  }

  /** Whether a byte of the block has come. */
  get started(): boolean {
    return this.#started
  }

  /**
   * Takes the next bytes. Not to be called again after a block or an error came out.
   *
   * @param chunk only lent: may be used for something else after the call, once `rest` has been dealt with
   * @returns undefined while the block is incomplete; then the block, and the bytes behind it as a view of the chunk
   * @throws BackupError `PROTOCOL_*`, its facts holding `line`
   */
  push(chunk: Buffer): { block: KvBlock; rest: Buffer } | undefined {
    if (this.#state === 'done' || this.#state === 'broken')
      throw new Error(`bug: KvBlockParser fed while ${this.#state}`)
    if (chunk.length > 0) this.#started = true
    let at = 0
    while (at < chunk.length) {
      at = this.#takePlainPairs(chunk, at)
      if (at === chunk.length) return undefined
      const roomBytes = this.#roomBytes()
      const line = this.#lines.read(chunk, at, roomBytes)
      if (line === undefined) return undefined
      at = this.#lines.next
      this.#take(line, roomBytes)
      if (this.#isDone()) return { block: this.#pairs, rest: chunk.subarray(at) }
    }
    return undefined
  }

  /**
   * Says that no more bytes will come. Quiet before the first byte and after a whole block.
   *
   * @throws BackupError `PROTOCOL_TRUNCATED` in the middle of a block
   */
  end(): void {
    if (!this.#started || this.#isDone() || this.#state === 'broken') return
    this.#break('PROTOCOL_TRUNCATED', `expected ${this.#expected()}, found the end of what the peer sent`)
  }

  /** Room for the line that comes now, without its LF. -1: there is not even room for an LF. */
  #roomBytes(): number {
    const leftBytes = this.#limits.maxBlockBytes - this.#bytesRead - 1
    switch (this.#state) {
      case 'count':
        return Math.min(LIMITS.maxCountBytes, leftBytes)
      case 'pair':
        return Math.min(this.#limits.maxLineBytes, leftBytes)
      default:
        // The end is an empty line, so its first byte tells already.
        return Math.min(0, leftBytes)
    }
  }

  /**
   * The fast way: as many good pairs in plain ASCII as lie here whole.
   *
   * @returns where the first byte stands that was not taken
   */
  #takePlainPairs(chunk: Buffer, start: number): number {
    if (this.#state !== 'pair' || this.#lines.carriedBytes > 0) return start
    const { maxBlockBytes, maxLineBytes } = this.#limits
    const windowEnd = Math.min(chunk.length, start + maxBlockBytes - this.#bytesRead)
    if (windowEnd - start < FEWEST_BYTES_AT_ONCE) return start
    const before = this.#pairs.size
    const at = takePlainPairs(chunk, start, windowEnd, maxLineBytes, this.#pairsAnnounced - before, this.#pairs)
    this.#linesRead += this.#pairs.size - before
    this.#bytesRead += at - start
    this.#endPairs()
    return at
  }

  #take(line: Buffer, roomBytes: number): void {
    const isOver = line.length > roomBytes
    if (isOver && roomBytes === this.#limits.maxBlockBytes - this.#bytesRead - 1) {
      this.#break(
        'PROTOCOL_BLOCK_TOO_LARGE',
        `expected a block of at most ${this.#limits.maxBlockBytes} bytes, found more`,
      )
    }
    switch (this.#state) {
      case 'count':
        this.#takeCount(line)
        break
      case 'pair':
        if (isOver) {
          this.#break(
            'PROTOCOL_LINE_TOO_LONG',
            `expected ${this.#expected()} of at most ${roomBytes} bytes, found more`,
          )
        }
        this.#takePair(line)
        break
      default:
        if (isOver) {
          this.#break('PROTOCOL_BLOCK_UNTERMINATED', `expected ${this.#expected()}, found a line that is not empty`)
        }
        this.#state = 'done'
    }
    this.#linesRead += 1
    this.#bytesRead += line.length + 1
  }

  /** A line longer than its room comes here too: its digits are a number that is too large. */
  #takeCount(line: Buffer): void {
    const digits = line.toString('latin1')
    if (!PLAIN_COUNT.test(digits)) {
      // Whoever forgets the count begins with a pair, and that one may be the password.
      const found = line.includes(EQUALS) ? 'a line with "="' : showWire(line)
      this.#break('PROTOCOL_COUNT_INVALID', `expected ${this.#expected()}, found ${found}`)
    }
    const count = Number(digits)
    if (count > this.#limits.maxPairs) {
      this.#break(
        'PROTOCOL_COUNT_TOO_LARGE',
        `expected at most ${this.#limits.maxPairs} pairs, found a count of ${digits}`,
      )
    }
    this.#pairsAnnounced = count
    this.#pairs = new PairTable(count)
    this.#state = 'pair'
    this.#endPairs()
  }

  #takePair(line: Buffer): void {
    const expected = this.#expected()
    const illegal = findIllegal(line)
    if (illegal !== undefined) this.#break(illegal.code, `expected ${expected} in plain text, found ${illegal.found}`)
    if (line.length === 0) {
      this.#break('PROTOCOL_PAIR_INVALID', `expected ${expected}, found an empty line: fewer pairs than announced`)
    }
    const pair = line.toString('utf8')
    const equals = pair.indexOf('=')
    if (equals === -1) this.#break('PROTOCOL_PAIR_INVALID', `expected ${expected}, found a line without "="`)
    if (equals === 0) this.#break('PROTOCOL_PAIR_INVALID', `expected ${expected}, found no key before the "="`)
    const earlier = this.#pairs.add(pair, equals)
    if (earlier !== -1) this.#breakOnDuplicate(pair.slice(0, equals), earlier, expected)
    this.#endPairs()
  }

  #endPairs(): void {
    if (this.#pairs.size === this.#pairsAnnounced) this.#state = 'end'
  }

  #breakOnDuplicate(key: string, earlier: number, expected: string): never {
    const firstLine = this.#firstLine + 1 + earlier
    const found = `${showWire(key)}, which stands on line ${firstLine} already`
    this.#break('PROTOCOL_KEY_DUPLICATE', `expected ${expected} with a new key, found ${found}`, { key, firstLine })
  }

  #expected(): string {
    switch (this.#state) {
      case 'count':
        return 'a count of pairs in plain digits'
      case 'pair':
        return `"key=value" as pair ${this.#pairs.size + 1} of ${this.#pairsAnnounced}`
      default:
        return `an empty line after ${this.#pairsAnnounced} pairs`
    }
  }

  /** A method, so that the compiler does not believe the state unchanged by a call. */
  #isDone(): boolean {
    return this.#state === 'done'
  }

  #break(code: ErrorCode, message: string, facts: Facts = {}): never {
    this.#state = 'broken'
    const line = this.#firstLine + this.#linesRead
    throw new BackupError(code, `${message} (line ${line})`, { ...facts, line })
  }
}

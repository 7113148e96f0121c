/**
 * Reads what an agent says before the stream.
 *
 *     READY\n           or a block that stands in place of READY:
 *     2\n                   2\n
 *     status=SENDING\n      status=FAILED\n
 *     msg=…\n               msg=…\n
 *     \n                    \n
 *
 * The first line counts as `READY` when it contains the word: that is how deployed
 * clients read it. Whatever else stands there must be the count of a block; anything
 * that is neither comes from something that does not speak this protocol, and is shown.
 *
 * Pure. Format: PROTOCOL.md, "Answers".
 */

import { BackupError } from '../errors/index.ts'
import { ANSWER_STATUSES, type AnswerStatus, type StatusBlock } from './answer-writer.ts'
import { type KvBlock, KvBlockParser } from './kv-block-parser.ts'
import { LIMITS } from './limits.ts'
import { LineReader } from './line-reader.ts'
import { showWire } from './wire-text.ts'

export interface Answer {
  /** False for a block in place of `READY`: there will be no stream. */
  readonly ready: boolean
  readonly block: KvBlock
  /** What came behind the block, the beginning of the stream: a view of the last chunk. */
  readonly rest: Buffer
}

/** What the reader is waiting for. `done` and `broken` are final; a broken block is the block parser's to know. */
type State = 'first line' | 'block' | 'done' | 'broken'

const LF = Buffer.from('\n')

const COUNT = /^[0-9]+$/

export class AnswerReader {
  readonly #lines = new LineReader()
  #parser = new KvBlockParser()
  #state: State = 'first line'
  #ready = false

  /** Whether `READY` has come. */
  get ready(): boolean {
    return this.#ready
  }

  /**
   * Takes the next bytes. Not to be called again after an answer or an error came out.
   *
   * @param chunk only lent
   * @returns undefined while the answer is incomplete
   * @throws BackupError `PROTOCOL_ANSWER_INVALID` for a first line that is neither, `PROTOCOL_*` for a broken block
   */
  push(chunk: Buffer): Answer | undefined {
    if (this.#state === 'done' || this.#state === 'broken')
      throw new Error(`bug: AnswerReader fed while ${this.#state}`)
    if (chunk.length === 0) return undefined
    const blockAt = this.#state === 'first line' ? this.#takeFirstLine(chunk) : 0
    if (this.#state === 'first line') return undefined
    const parsed = this.#parser.push(chunk.subarray(blockAt))
    if (parsed === undefined) return undefined
    this.#state = 'done'
    return { ready: this.#ready, ...parsed }
  }

  /**
   * Says that no more bytes will come. Quiet after a whole answer.
   *
   * @throws BackupError `PROTOCOL_TRUNCATED` before the end of an answer, and also before its first byte: whoever
   *   asked is owed one
   */
  end(): void {
    if (this.#state === 'done' || this.#state === 'broken') return
    if (this.#parser.started) {
      this.#parser.end()
      return
    }
    const expected = this.#ready ? 'a status block after READY' : 'READY or a block in its place'
    this.#state = 'broken'
    throw new BackupError('PROTOCOL_TRUNCATED', `expected ${expected}, found the end of what the peer sent`)
  }

  /** @returns where the block, or the rest of it, begins in the chunk */
  #takeFirstLine(chunk: Buffer): number {
    const line = this.#lines.read(chunk, 0, LIMITS.maxReadyBytes)
    if (line === undefined) return chunk.length
    const text = line.toString('latin1')
    this.#ready = line.length <= LIMITS.maxReadyBytes && text.includes('READY')
    if (this.#ready) {
      this.#parser = new KvBlockParser(LIMITS, 1)
    } else if (COUNT.test(text)) {
      this.#parser.push(line)
      this.#parser.push(LF)
    } else {
      this.#state = 'broken'
      throw new BackupError(
        'PROTOCOL_ANSWER_INVALID',
        `expected READY or the count of a block as the first line of the answer, found ${showWire(line)}`,
        { line: 1 },
        { hint: 'check the host and the port: something else than a backup agent may be listening there' },
      )
    }
    this.#state = 'block'
    return this.#lines.next
  }
}

/**
 * Reads a status block.
 *
 * A missing `msg` is an empty one; pairs beside `status`, `msg` and `sid` are left to whoever knows them.
 *
 * @returns `msg` as the wire carried it, its line breaks still a backslash and an `n`
 * @throws BackupError `PROTOCOL_ANSWER_INVALID` without a status this protocol knows
 */
export const readStatus = (block: KvBlock): StatusBlock => {
  const status = block.get('status')
  if (!isStatus(status)) {
    const found = status === undefined ? 'none' : showWire(status)
    throw new BackupError('PROTOCOL_ANSWER_INVALID', `expected one of ${ANSWER_STATUSES.join(', ')}, found ${found}`)
  }
  const sid = block.get('sid')
  return { status, msg: block.get('msg') ?? '', ...(sid === undefined ? {} : { sid }) }
}

const isStatus = (text: string | undefined): text is AnswerStatus => ANSWER_STATUSES.some((status) => status === text)

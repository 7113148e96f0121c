/**
 * `application/x-framed-stream`: a stream that says itself how it ended.
 *
 *     D │ length │ bytes of the archive        again and again
 *     P │ length │ progress, a KV block        between them, every few seconds
 *     E │ length │ the end, a KV block         once, and nothing behind it
 *
 *     type u8, length u32 big-endian, payload
 *
 * A connection that ends without an end frame was cut, wherever that happened: also
 * exactly between two frames. What stands in the blocks is not this room's business.
 *
 * Pure: no socket, no clock. Chunks may be cut at any byte; where they are cut never
 * changes what comes out. Format: PROTOCOL.md, "x-framed-stream".
 */

import { BackupError } from '../errors/index.ts'

/** The encoding's name on the wire. Only clients of 0.77 may ask for it. */
export const FRAMED_MIME = 'application/x-framed-stream'

/** Longest payload of a data frame. A reader refuses a longer one by its header. */
export const MAX_FRAME_BYTES = 1_048_576

/** Longest payload of the other two: a KV block is never longer. Source: `maxBlockBytes` of PROTOCOL.md, "Limits". */
export const MAX_BLOCK_FRAME_BYTES = 65_536

export const FRAME_HEADER_BYTES = 5

export type FrameType = 'data' | 'progress' | 'end'

const TYPE_BYTES: Readonly<Record<FrameType, number>> = { data: 0x44, progress: 0x50, end: 0x45 }

const TYPE_OF_BYTE: ReadonlyMap<number, FrameType> = new Map(
  (Object.keys(TYPE_BYTES) as FrameType[]).map((type) => [TYPE_BYTES[type], type]),
)

const MAX_PAYLOAD_BYTES: Readonly<Record<FrameType, number>> = {
  data: MAX_FRAME_BYTES,
  progress: MAX_BLOCK_FRAME_BYTES,
  end: MAX_BLOCK_FRAME_BYTES,
}

/** What a reader makes of the wire. The bytes of a data frame come as they arrive, in views of the chunks. */
export type FrameEvent =
  | { readonly type: 'data'; readonly bytes: Buffer }
  /** `block` is the whole payload, a buffer of its own. */
  | { readonly type: 'progress' | 'end'; readonly block: Buffer }

/** A frame that carries a block. @param block 1 to `MAX_BLOCK_FRAME_BYTES` bytes, which every KV block keeps to */
export const blockFrame = (type: 'progress' | 'end', block: Buffer): Buffer =>
  Buffer.concat([header(type, block.length), block])

/** Bytes of the archive as data frames: headers, and views of what was given. Nothing for no bytes. */
export const dataFrames = (bytes: Buffer): Buffer[] => {
  const frames: Buffer[] = []
  for (let at = 0; at < bytes.length; at += MAX_FRAME_BYTES) {
    const payload = bytes.subarray(at, at + MAX_FRAME_BYTES)
    frames.push(header('data', payload.length), payload)
  }
  return frames
}

const header = (type: FrameType, payloadBytes: number): Buffer => {
  if (!isPayloadSize(type, payloadBytes)) throw new Error(`bug: a ${type} frame of ${payloadBytes} bytes`)
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES)
  bytes.writeUInt8(TYPE_BYTES[type], 0)
  bytes.writeUInt32BE(payloadBytes, 1)
  return bytes
}

const isPayloadSize = (type: FrameType, bytes: number): boolean => bytes >= 1 && bytes <= MAX_PAYLOAD_BYTES[type]

/** What the reader is waiting for. `ended` and `broken` are final. */
type State = 'header' | 'data' | 'block' | 'ended' | 'broken'

const NO_BLOCK = Buffer.alloc(0)

export class FrameReader {
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES)
  #state: State = 'header'
  #filledBytes = 0 // of the header, or of the block
  #leftBytes = 0 // of the data frame
  #blockType: 'progress' | 'end' = 'progress'
  #block: Buffer = NO_BLOCK
  #offset = 0 // bytes of the stream that were taken; in front of a header, those before it
  #isTaking = false

  /** Whether the end frame was read. */
  get ended(): boolean {
    return this.#state === 'ended'
  }

  /**
   * Takes the next bytes. Not to be called again after an error came out.
   *
   * @param chunk lent for as long as the events are looked at
   * @returns to be taken to the end: a byte behind the end frame is only found by who looks there
   * @throws BackupError `FRAME_CORRUPT`, with the offset of the frame that cannot be, once the events before it were
   *   taken
   */
  push(chunk: Buffer): Generator<FrameEvent, void, undefined> {
    this.#mustHaveTaken()
    if (this.#state === 'broken') throw new Error('bug: FrameReader fed while broken')
    this.#isTaking = true
    return this.#take(chunk)
  }

  /**
   * Says that no more bytes will come.
   *
   * @throws BackupError `FRAME_TRUNCATED` unless the end frame was the last thing
   */
  end(): void {
    this.#mustHaveTaken()
    if (this.#state === 'ended') return
    if (this.#state === 'broken') throw new Error('bug: FrameReader ended while broken')
    const isBetween = this.#state === 'header' && this.#filledBytes === 0
    const bytes = this.#offset + (this.#state === 'header' ? this.#filledBytes : 0)
    this.#state = 'broken'
    throw new BackupError(
      'FRAME_TRUNCATED',
      `the stream stops ${isBetween ? 'between two frames' : 'inside a frame'} after ${bytes} bytes, without its end frame`,
      { bytes },
      { hint: 'the agent, or something on the way, broke off: the log of the agent says more' },
    )
  }

  *#take(chunk: Buffer): Generator<FrameEvent, void, undefined> {
    for (let at = 0; at < chunk.length; ) {
      const rest = chunk.subarray(at)
      switch (this.#state) {
        case 'header':
          at += this.#takeHeader(rest)
          break
        case 'data': {
          const bytes = rest.subarray(0, this.#leftBytes)
          at += bytes.length
          this.#offset += bytes.length
          this.#leftBytes -= bytes.length
          if (this.#leftBytes === 0) this.#state = 'header'
          yield { type: 'data', bytes }
          break
        }
        case 'block': {
          const copied = rest.copy(this.#block, this.#filledBytes)
          at += copied
          this.#offset += copied
          this.#filledBytes += copied
          if (this.#filledBytes === this.#block.length) yield this.#closeBlock()
          break
        }
        case 'ended':
          throw this.#corrupt('expected nothing behind the end frame', rest)
        case 'broken':
          throw new Error('bug: FrameReader went on while broken')
      }
    }
    this.#isTaking = false
  }

  /** The type is judged by the first byte, the length by the fifth. @returns bytes taken */
  #takeHeader(rest: Buffer): number {
    const copied = rest.copy(this.#header, this.#filledBytes)
    this.#filledBytes += copied
    const type = TYPE_OF_BYTE.get(this.#header.readUInt8(0))
    if (type === undefined) throw this.#corrupt('expected a frame of type D, P or E', this.#header)
    if (this.#filledBytes < FRAME_HEADER_BYTES) return copied
    const payloadBytes = this.#header.readUInt32BE(1)
    if (!isPayloadSize(type, payloadBytes)) {
      const letter = String.fromCharCode(TYPE_BYTES[type])
      throw this.#break(
        `expected 1 to ${MAX_PAYLOAD_BYTES[type]} bytes in a frame of type ${letter}, found ${payloadBytes}`,
      )
    }
    this.#offset += FRAME_HEADER_BYTES
    this.#filledBytes = 0
    if (type === 'data') {
      this.#leftBytes = payloadBytes
      this.#state = 'data'
    } else {
      this.#blockType = type
      this.#block = Buffer.alloc(payloadBytes)
      this.#state = 'block'
    }
    return copied
  }

  #closeBlock(): FrameEvent {
    const block = this.#block
    this.#block = NO_BLOCK
    this.#filledBytes = 0
    this.#state = this.#blockType === 'end' ? 'ended' : 'header'
    return { type: this.#blockType, block }
  }

  #mustHaveTaken(): void {
    if (this.#isTaking) throw new Error('bug: the events of FrameReader were not taken to the end')
  }

  /** Names the first byte alone: how many stand behind it depends on how they were cut. */
  #corrupt(expected: string, found: Buffer): BackupError {
    return this.#break(`${expected}, found the byte 0x${found.toString('hex', 0, 1)}`)
  }

  #break(message: string): BackupError {
    this.#state = 'broken'
    this.#isTaking = false
    return new BackupError('FRAME_CORRUPT', `${message} (at byte ${this.#offset} of the stream)`, {
      offset: this.#offset,
    })
  }
}

/**
 * A SHA-256 that is made beside everything else, in a thread of its own.
 *
 *     update ─▶ │ ring: copies of the pieces, in order │ ─▶ thread ─▶ finish
 *                 full: whoever gives waits
 *
 * The sum takes as long as everything else that the agent does with a byte, and nothing waits for it but the verdict.
 * The thread is started when there is enough for it to do: a small backup is summed up where it is. Where there is but
 * one processor, or no thread to be had, or not the address space for one, so is a large one.
 *
 * Measured: `npm run bench -- --only whole-way`.
 */

import { createHash, type Hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'

/** How far the thread may be behind, in bytes and in pieces. */
const RING_BYTES = 1024 * 1024
const RING_PIECES = 1024

/** A thread takes as long to start as a few megabytes take to be summed up. */
const THREAD_FROM_BYTES = RING_BYTES / 4

/**
 * Of address space: a thread reserves 0.9 GB, of which it touches little. Where there is not so much (`rlimit_as` of
 * xinetd), V8 does not say so but ends the process. Measured with Node 20.
 */
const THREAD_ADDRESS_BYTES = 1536 * 1024 * 1024

// Places in `Ring.head`.
const GIVEN = 0 // pieces since the beginning, modulo 2^32
const TAKEN = 1
const ENDED = 2 // no more will be given

interface Ring {
  readonly head: Int32Array
  /** Of each piece, where it begins in `bytes` and how long it is. */
  readonly pieces: Int32Array
  readonly bytes: Buffer
}

/** The thread's whole program. It is handed over as text, so nothing of this file is known in it but types. */
function sumUp(
  { workerData, parentPort }: typeof import('node:worker_threads'),
  crypto: typeof import('node:crypto'),
): void {
  const { head, pieces, bytes } = workerData as Ring
  const [given, taken, ended] = [0, 1, 2]
  const hash = crypto.createHash('sha256')
  for (let done = 0; ; ) {
    const now = Atomics.load(head, given)
    if (now === done) {
      // Nothing is given after the end: what was seen before it was the last.
      if (Atomics.load(head, ended) === 1 && Atomics.load(head, given) === done) break
      Atomics.wait(head, given, now)
      continue
    }
    const at = ((done >>> 0) * 2) % pieces.length
    const start = pieces[at] as number
    hash.update(bytes.subarray(start, start + (pieces[at + 1] as number)))
    done = (done + 1) | 0
    Atomics.store(head, taken, done)
    Atomics.notify(head, taken)
  }
  parentPort?.postMessage(hash.digest('hex'))
}

export class SideDigest {
  readonly #ring: Ring = {
    head: new Int32Array(new SharedArrayBuffer(3 * 4)),
    pieces: new Int32Array(new SharedArrayBuffer(RING_PIECES * 2 * 4)),
    bytes: Buffer.from(new SharedArrayBuffer(RING_BYTES)),
  }
  readonly #processors: number
  /** Where the pieces end, as if the ring had no end. */
  readonly #ends = new Float64Array(RING_PIECES)
  #end = 0
  #given = 0
  #thread: Worker | undefined
  #answer: Promise<string> | undefined
  #failure: Error | undefined
  /** Where there is no thread. */
  #here: Hash | undefined

  constructor(processors = availableParallelism()) {
    this.#processors = processors
  }

  /**
   * Takes the next bytes. They are copied.
   *
   * @returns what is to be waited for before more is given, where the thread is too far behind. Rejects when it has died
   */
  update(bytes: Buffer): Promise<void> | undefined {
    if (this.#here !== undefined) {
      this.#here.update(bytes)
      return undefined
    }
    for (let from = 0; from < bytes.length; ) {
      const put = this.#put(bytes, from)
      if (put === 0) return this.#later(bytes.subarray(from))
      from += put
    }
    if (this.#thread === undefined && this.#end > THREAD_FROM_BYTES) this.#start()
    return undefined
  }

  /** The sum in hexadecimal digits. Once, and nothing is given behind it. Rejects when the thread has died. */
  async finish(): Promise<string> {
    if (this.#answer === undefined) return (this.#here ?? this.#sumUpHere()).digest('hex')
    Atomics.store(this.#ring.head, ENDED, 1)
    Atomics.notify(this.#ring.head, GIVEN)
    return this.#answer
  }

  /** Gives everything up. Safe at any time, and more than once. */
  close(): void {
    void this.#thread?.terminate()
  }

  /** @returns how many of the bytes had room */
  #put(bytes: Buffer, from: number): number {
    const { head, pieces, bytes: memory } = this.#ring
    const taken = Atomics.load(head, TAKEN)
    if (((this.#given - taken) | 0) === RING_PIECES) return 0
    const free = this.#given === taken ? this.#end : (this.#ends[((taken - 1) >>> 0) % RING_PIECES] as number)
    const place = this.#end % RING_BYTES
    const length = Math.min(bytes.length - from, RING_BYTES - place, free + RING_BYTES - this.#end)
    if (length <= 0) return 0
    // Not `set`: into shared memory that copies a word at a time, a third as fast as Node does, and bytes where words do not fit.
    memory.fill(length === bytes.length ? bytes : bytes.subarray(from, from + length), place, place + length)
    const at = (this.#given >>> 0) % RING_PIECES
    pieces[2 * at] = place
    pieces[2 * at + 1] = length
    this.#end += length
    this.#ends[at] = this.#end
    this.#given = (this.#given + 1) | 0
    Atomics.store(head, GIVEN, this.#given)
    Atomics.notify(head, GIVEN)
    return length
  }

  async #later(rest: Buffer): Promise<void> {
    if (this.#thread === undefined) this.#start()
    else {
      if (this.#failure !== undefined) throw this.#failure
      const { head } = this.#ring
      const taken = Atomics.load(head, TAKEN)
      if (taken !== this.#given) await Atomics.waitAsync(head, TAKEN, taken).value
    }
    await this.update(rest)
  }

  #start(): void {
    if (this.#processors > 1 && addressBytesLeft() >= THREAD_ADDRESS_BYTES) {
      try {
        this.#startThread()
        return
      } catch {
        // No thread is to be had: it goes without.
      }
    }
    this.#here = this.#sumUpHere()
  }

  #startThread(): void {
    const thread = new Worker(`(${sumUp})(require('node:worker_threads'), require('node:crypto'))`, {
      eval: true,
      workerData: this.#ring,
      env: {},
      execArgv: [],
    })
    this.#thread = thread
    this.#answer = new Promise((resolve, reject) => {
      thread.once('message', resolve)
      const failed = (error: Error): void => {
        this.#failure ??= error
        Atomics.notify(this.#ring.head, TAKEN)
        reject(error)
      }
      thread.once('error', failed)
      thread.once('exit', (code) => failed(new Error(`the thread of the digest ended with ${code}`)))
    })
    this.#answer.catch(() => {}) // told to whoever gives more, or asks for the sum
  }

  /** Of what stands in the ring, while nobody has taken anything out of it. */
  #sumUpHere(): Hash {
    const { pieces, bytes } = this.#ring
    const hash = createHash('sha256')
    for (let at = 0; at < this.#given; at += 1) {
      const start = pieces[2 * at] as number
      hash.update(bytes.subarray(start, start + (pieces[2 * at + 1] as number)))
    }
    return hash
  }
}

/** Source: proc(5), "/proc/pid/limits" and "/proc/pid/status". */
const addressBytesLeft = (): number => {
  try {
    const limit = /^Max address space +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]
    if (limit === undefined) return Number.POSITIVE_INFINITY
    const used = /^VmSize:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]
    return Number(limit) - Number(used ?? 0) * 1024
  } catch {
    return Number.POSITIVE_INFINITY // no /proc: no host of ours
  }
}

/**
 * What has come so far of one file whose size is not known: in memory, and from some moment on in the spool.
 *
 * Once in the spool, always in the spool: the order of its bytes is the order in which they came.
 */

import { HeldBytes } from './held-bytes.ts'
import type { MemoryAccount } from './memory-account.ts'
import type { SpoolRun } from './spool.ts'

export class UnsizedFile {
  readonly path: string
  readonly #memory: HeldBytes
  #run: SpoolRun | undefined
  #sizeBytes = 0

  constructor(path: string, account: MemoryAccount) {
    this.path = path
    this.#memory = new HeldBytes(account)
  }

  /** Bytes so far; when the file is closed, its size. */
  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Bytes of memory it takes. */
  get memoryBytes(): number {
    return this.#memory.cost
  }

  /** What these bytes would add to `memoryBytes`. */
  memoryBytesFor(bytes: Buffer): number {
    return this.#run === undefined ? this.#memory.costOf(bytes) : 0
  }

  get isSpooled(): boolean {
    return this.#run !== undefined
  }

  async append(bytes: Buffer): Promise<void> {
    this.#sizeBytes += bytes.length
    if (this.#run === undefined) this.#memory.append(bytes)
    else await this.#run.append(bytes)
  }

  /** Moves what is in memory to the end of a run. Several finished files may share one, if they are drained in order. */
  async moveTo(run: SpoolRun): Promise<void> {
    this.#run = run
    for (const piece of this.#memory.drain()) await run.append(piece)
  }

  /** Takes everything out, in order. Once only. */
  async *drain(): AsyncGenerator<Buffer> {
    if (this.#run === undefined) yield* this.#memory.drain()
    else yield* this.#run.take(this.#sizeBytes)
  }

  /** The same for a file that is not spooled. */
  drainMemory(): Generator<Buffer, void, undefined> {
    if (this.#run !== undefined) throw new Error('bug: a spooled file is looked for in memory')
    return this.#memory.drain()
  }
}

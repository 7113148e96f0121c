/**
 * A program that bytes go through: something in on stdin, something else out on stdout.
 *
 *     source ──▶ stdin │ program │ stdout ──▶ whoever pulls
 *     pulled while little waits               pulled when they have
 *     for room in the pipe                    done with the last
 *
 * Both pipes wait, so nothing piles up here but a few pieces on each side: a receiver that takes nothing makes the
 * program wait, and that the source. Several pieces wait for the pipe together, so that each time it has room it is
 * filled in one go, and nobody else has to wake up for that. Its stdin is ended when the source has ended well,
 * and never otherwise: a source that throws kills the program, so that what it would
 * write at its end is never written.
 *
 * Says how the program ended; whether that is good, whoever uses it decides.
 */

import { readFileSync } from 'node:fs'
import type { Writable } from 'node:stream'

import type { BackupError } from '../errors/index.ts'
import { type Child, type ChildEnd, startChild } from './child.ts'
import { LastLines } from './last-lines.ts'
import { StderrLines } from './stderr-lines.ts'

export interface FilterOrder {
  /** As it is called in messages. */
  readonly name: string
  /** Absolute path. */
  readonly program: string
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  /** As `ChildOrder.largeReadsIn`: how what comes out of it is read. */
  readonly largeReadsIn?: string | undefined
  /** Kills it. */
  readonly signal: AbortSignal
  /** What it means that it ended badly, or before it had everything. */
  failureOf(end: FilterEnd): BackupError
}

export interface FilterEnd extends ChildEnd {
  readonly name: string
  /** It was killed on purpose: how it ended says nothing about it. */
  readonly isCancelled: boolean
  /** Whether all of the source went in, and its end. */
  readonly tookAll: boolean
  /** The last thing it said. */
  readonly lastLine: string | undefined
}

/** It says a line or two. */
const WORDS_BYTES = 4096

/** Waits for the pipe, at most, and the piece that passes the bound: twice and more what the pipe takes at once. */
const HANDED_BYTES = 512 * 1024

/** @throws BackupError `ENGINE_UNUSABLE` when it cannot be started; the signal's reason when it is already aborted */
export const startFilter = async (order: FilterOrder): Promise<Filter> => {
  const stop = new AbortController()
  const signal = AbortSignal.any([order.signal, stop.signal])
  const lines = new StderrLines()
  const words = new LastLines(WORDS_BYTES)
  const child = await startChild({
    program: order.program,
    args: order.args,
    environment: order.environment,
    workingDirectory: '/',
    stdin: 'pipe',
    largeReadsIn: order.largeReadsIn,
    signal,
    onStderr: (chunk) => {
      for (const line of lines.push(chunk)) words.push(line)
    },
  })
  const lastLine = (): string | undefined => {
    for (const line of lines.end()) words.push(line)
    return words.lines().findLast((line) => line.trim() !== '')
  }
  return new Filter(order, child, stop, signal, lastLine)
}

export class Filter {
  readonly #order: FilterOrder
  readonly #child: Child
  readonly #stop: AbortController
  #takenBytes = 0
  #givenBytes = 0
  #handedBytes = 0 // and not taken yet
  #tookAll = false
  /** Never rejects. Resolves when it is reaped. */
  readonly settled: Promise<FilterEnd>

  constructor(
    order: FilterOrder,
    child: Child,
    stop: AbortController,
    signal: AbortSignal,
    lastLine: () => string | undefined,
  ) {
    this.#order = order
    this.#child = child
    this.#stop = stop
    this.settled = child.settled.then((end) => ({
      ...end,
      name: order.name,
      isCancelled: signal.aborted,
      tookAll: this.#tookAll,
      lastLine: lastLine(),
    }))
  }

  get name(): string {
    return this.#order.name
  }

  get pid(): number {
    return this.#child.pid
  }

  /** Bytes that it was given and that its pipe has taken. */
  get takenBytes(): number {
    return this.#takenBytes
  }

  /** Bytes that have come out of it and were taken. */
  get givenBytes(): number {
    return this.#givenBytes
  }

  /** It has been handed something that it has not taken yet, or everything, and has not ended. */
  get isOwing(): boolean {
    return this.#handedBytes > 0 || this.#tookAll
  }

  /** What changes while it does anything: bytes in, bytes out, time on a processor. */
  signOfLife(): string {
    return `${this.#takenBytes} ${this.#givenBytes} ${this.#child.hasEnded() ? '' : processorTicks(this.#child.pid)}`
  }

  /**
   * What the program makes of the source. Once, to the end of its output: it is reaped then, and `settled` says how
   * it ended. Whoever stops earlier kills it.
   *
   * @param onTaken told of every piece of the source when the pipe has a copy of it; several are on their way then. Left
   *   out, the source is not asked for the next piece before: it may use the memory of the last again. Must not throw
   * @throws what the source throws; the signal's reason; `failureOf` when the program ended before its source did
   */
  async *through(source: AsyncIterable<Buffer>, onTaken?: (piece: Buffer) => void): AsyncGenerator<Buffer> {
    const feeding = this.#feed(source, onTaken)
    try {
      for await (const chunk of this.#child.stdout as AsyncIterable<Buffer>) {
        this.#givenBytes += chunk.length
        yield chunk
      }
      const end = await this.settled
      if (!end.tookAll) throw this.#order.failureOf(end)
    } finally {
      if (!this.#child.hasEnded()) this.#stop.abort(new Error('nobody reads it any more'))
      feeding.leave()
    }
  }

  /** As `LentBuffers.takeBack`, for what has come out of it. Never necessary. */
  takeBack(views: readonly Buffer[]): void {
    this.#child.buffers?.takeBack(views)
  }

  #feed(source: AsyncIterable<Buffer>, onTaken: ((piece: Buffer) => void) | undefined): { leave(): void } {
    const iterator = source[Symbol.asyncIterator]()
    const stdin = this.#child.stdin as Writable
    let isAtEnd = false
    let isRefused = false
    let wake = (): void => {}
    const hand = (piece: Buffer): void => {
      this.#handedBytes += piece.length
      stdin.write(piece, (error) => {
        this.#handedBytes -= piece.length
        // Of a pipe that was destroyed Node says that it has taken what it was about to take.
        if ((error === undefined || error === null) && !stdin.destroyed) {
          this.#takenBytes += piece.length
          onTaken?.(piece)
        } else isRefused = true
        wake()
      })
    }
    /** @returns whether the program has taken everything so far, but for so much */
    const untilLeft = async (bytes: number): Promise<boolean> => {
      while (!isRefused && this.#handedBytes > bytes) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return !isRefused
    }
    const ahead = onTaken === undefined ? 0 : HANDED_BYTES
    const run = async (): Promise<void> => {
      while (await untilLeft(ahead)) {
        const next = await iterator.next()
        if (next.done !== true) {
          hand(next.value)
          continue
        }
        isAtEnd = true
        if (!(await untilLeft(0)) || stdin.destroyed) return
        stdin.end()
        this.#tookAll = true
        return
      }
      // Why it takes no more, its end tells.
    }
    run().catch((error: unknown) => {
      isAtEnd = true
      this.#stop.abort(error) // whoever reads the output is told this
    })
    return {
      // Not waited for: a source in the middle of something stops when it has it, and was told by other means.
      leave: () => {
        if (!isAtEnd) Promise.resolve(iterator.return?.()).catch(() => undefined)
      },
    }
  }
}

/** User and system time so far, in ticks. Source: proc_pid_stat(5), fields 14 and 15; the name may hold anything. */
const processorTicks = (pid: number): string => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return `${fields[11]} ${fields[12]}`
  } catch {
    return ''
  }
}

/**
 * One pass over files that were looked at beforehand: each is read unchanged, and in the end all is checked again.
 *
 *     items ─▶ read each file unchanged ─▶ check ─▶ settled
 *
 * What is announced is counted before the first byte. What an engine of files has to say
 * about its own files (what is checked at the end, how a failure is told) is its plan.
 */

import type { ArchiveEntry } from '../archive/index.ts'
import { BackupError } from '../errors/index.ts'
import type { SurveyedItem } from './directory-survey.ts'
import { readUnchanged } from './read-unchanged.ts'
import type { BinlogCoordinates, EngineOutcome, EngineProgress, FilesRun } from './types.ts'

export interface FilesPlan {
  /** Absolute path of the directory that the items are in. */
  readonly root: string
  /** In the order they are read. */
  readonly items: readonly SurveyedItem[]
  /** Sum of the sizes of the files. */
  readonly bytes: number
  /** Called when everything is read. Throws when it is not any more what was read. */
  check(): Promise<void>
  /** Tells a failure in the engine's own words. */
  explain?(error: unknown, item: SurveyedItem): unknown
  /** What the backup shows, when it is complete. */
  readonly coordinates?: BinlogCoordinates
}

export const runFiles = (plan: FilesPlan, signal: AbortSignal): FilesRun => {
  const reading = new Reading(plan, signal)
  return {
    kind: 'files',
    entries: reading.entries(),
    totals: { entries: plan.items.length, bytes: plan.bytes },
    progress: () => reading.progress(),
    totalBytes: () => plan.bytes,
    settled: reading.settled,
  }
}

class Reading {
  readonly #plan: FilesPlan
  readonly #signal: AbortSignal
  readonly settled: Promise<EngineOutcome>
  #settle: (outcome: EngineOutcome) => void = () => {}
  #stage = 'reading'
  #files = 0
  #lastFile: string | undefined

  constructor(plan: FilesPlan, signal: AbortSignal) {
    this.#plan = plan
    this.#signal = signal
    this.settled = new Promise((resolveOutcome) => {
      this.#settle = resolveOutcome
    })
    // Nobody may ever ask for the entries: an abort settles all the same, also one that came while files were looked at.
    const onAbort = (): void => this.#fail(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    void this.settled.then(() => signal.removeEventListener('abort', onAbort))
  }

  progress(): EngineProgress {
    const nobody = { locked: false, waitingForLock: false, words: 0 } // no server waits for us, and nobody speaks
    return { stage: this.#stage, files: this.#files, lastFile: this.#lastFile, ...nobody }
  }

  async *entries(): AsyncGenerator<ArchiveEntry> {
    const { items, root, check, coordinates = {} } = this.#plan
    try {
      for (const item of items) {
        this.#signal.throwIfAborted()
        if (item.type === 'file') this.#files += 1
        this.#lastFile = item.path
        yield this.#entry(item)
      }
      this.#stage = 'checking'
      await check()
      this.#stage = 'done'
      this.#settle(outcomeOf(undefined, coordinates))
    } catch (error) {
      this.#fail(error)
      throw error
    } finally {
      this.#fail(new BackupError('ENGINE_FAILED', `the reading of ${root} was given up after ${this.#lastFile}`))
    }
  }

  #entry(item: SurveyedItem): ArchiveEntry {
    return {
      path: item.path,
      type: item.type,
      sizeBytes: item.type === 'file' ? Number(item.identity.sizeBytes) : 0,
      mode: item.mode,
      mtimeMs: Number(item.identity.mtimeNs / 1_000_000n),
      uid: item.uid,
      gid: item.gid,
      body: () => this.#body(item),
    }
  }

  async *#body(item: SurveyedItem): AsyncGenerator<Buffer> {
    const { root, explain = (error: unknown) => error } = this.#plan
    try {
      yield* readUnchanged(root, item, this.#signal)
    } catch (failure) {
      const error = explain(failure, item)
      this.#fail(error)
      throw error
    }
  }

  /** The first outcome counts: a promise resolves once. */
  #fail(error: unknown): void {
    this.#settle(outcomeOf(failureOf(error, this.#signal.aborted)))
  }
}

const outcomeOf = (failure: BackupError | undefined, coordinates: BinlogCoordinates = {}): EngineOutcome => ({
  exitCode: failure === undefined ? 0 : undefined,
  signal: undefined,
  saidOk: failure === undefined,
  failure,
  coordinates,
  lsn: {},
  lastLines: [],
  stderrBytes: 0,
})

const failureOf = (error: unknown, cancelled: boolean): BackupError => {
  if (error instanceof BackupError) return error
  if (cancelled)
    return new BackupError('JOB_CANCELLED', 'the reading of the directory was cancelled', {}, { cause: error })
  return new BackupError('ENGINE_FAILED', `the directory could not be read: ${String(error)}`, {}, { cause: error })
}

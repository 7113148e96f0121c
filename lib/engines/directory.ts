/**
 * The engine `directory`: the data directory of a stopped server, or a snapshot, file by file. No child, no login.
 *
 *     survey ─▶ no server on it? ─▶ read each file unchanged ─▶ still no server, nothing changed? ─▶ settled
 *
 * Everything is counted before the first byte, so that the archive can announce it. It
 * never reads a directory that a server runs on: such a copy would be worth nothing, and
 * nobody would know until it is needed.
 */

import { lstat, realpath, stat } from 'node:fs/promises'
import { resolve } from 'node:path'

import type { ArchiveEntry } from '../archive/index.ts'
import { BackupError } from '../errors/index.ts'
import {
  difference,
  identityOf,
  type Survey,
  type SurveyedItem,
  surveyDirectory,
  unreadable,
} from './directory-survey.ts'
import { changed, readUnchanged } from './read-unchanged.ts'
import { findLockedFile } from './running-server.ts'
import type { Engine, EngineOrder, EngineOutcome, EngineProgress, FilesRun } from './types.ts'

/** Counts up when what this engine copies, or in which order, changes. */
const VERSION = '1'

/**
 * @param directory may be a symbolic link itself
 * @throws BackupError `ENGINE_DIRECTORY` when it is no directory or cannot be looked at
 */
export const directoryEngine = async (directory: string): Promise<Engine> => {
  await resolveDirectory(directory)
  return {
    identity: { name: 'directory', version: VERSION, program: undefined },
    needsLogin: false,
    start: (order) => startReading(directory, order),
  }
}

const startReading = async (directory: string, { signal, log }: EngineOrder): Promise<FilesRun> => {
  signal.throwIfAborted()
  const root = await resolveDirectory(directory)
  const survey = await surveyDirectory(root, signal, log)
  await refuseRunningServer(root, survey)
  log.info({ directory: root, entries: survey.items.length, bytes: survey.bytes }, 'directory surveyed')

  const reading = new Reading(root, survey, signal)
  return {
    kind: 'files',
    entries: reading.entries(),
    totals: { entries: survey.items.length, bytes: survey.bytes },
    progress: () => reading.progress(),
    totalBytes: () => survey.bytes,
    settled: reading.settled,
  }
}

/** One pass over a surveyed directory. */
class Reading {
  readonly #root: string
  readonly #survey: Survey
  readonly #signal: AbortSignal
  readonly settled: Promise<EngineOutcome>
  #settle: (outcome: EngineOutcome) => void = () => {}
  #stage = 'reading'
  #files = 0
  #lastFile: string | undefined

  constructor(root: string, survey: Survey, signal: AbortSignal) {
    this.#root = root
    this.#survey = survey
    this.#signal = signal
    this.settled = new Promise((resolveOutcome) => {
      this.#settle = resolveOutcome
    })
    // Nobody may ever ask for the entries: an abort settles all the same.
    const onAbort = (): void => this.#fail(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    void this.settled.then(() => signal.removeEventListener('abort', onAbort))
  }

  progress(): EngineProgress {
    const nobody = { locked: false, waitingForLock: false, words: 0 } // there is no server, and nobody who speaks
    return { stage: this.#stage, files: this.#files, lastFile: this.#lastFile, ...nobody }
  }

  async *entries(): AsyncGenerator<ArchiveEntry> {
    try {
      for (const item of this.#survey.items) {
        this.#signal.throwIfAborted()
        if (item.type === 'file') this.#files += 1
        this.#lastFile = item.path
        yield this.#entry(item)
      }
      this.#stage = 'checking'
      await this.#checkAll()
      this.#stage = 'done'
      this.#settle(outcomeOf(undefined))
    } catch (error) {
      this.#fail(error)
      throw error
    } finally {
      this.#fail(new BackupError('ENGINE_FAILED', `the reading of ${this.#root} was given up after ${this.#lastFile}`))
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
    try {
      yield* readUnchanged(this.#root, item, this.#signal)
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }

  /** A file that was read early may have changed since; a directory's own times tell of names that came and went. */
  async #checkAll(): Promise<void> {
    for (const item of this.#survey.items) {
      this.#signal.throwIfAborted()
      await this.#checkOne(item)
    }
    await this.#checkOne({ path: '.', identity: this.#survey.root })
    await refuseRunningServer(this.#root, this.#survey)
  }

  async #checkOne(item: Pick<SurveyedItem, 'path' | 'identity'>): Promise<void> {
    const path = `${this.#root}/${item.path}`
    const found = await lstat(path, { bigint: true }).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw changed(item, 'it was removed')
      throw unreadable(path, error)
    })
    const how = difference(item.identity, identityOf(found))
    if (how !== undefined) throw changed(item, how)
  }

  /** The first outcome counts: a promise resolves once. */
  #fail(error: unknown): void {
    this.#settle(outcomeOf(failureOf(error, this.#signal.aborted)))
  }
}

const outcomeOf = (failure: BackupError | undefined): EngineOutcome => ({
  exitCode: failure === undefined ? 0 : undefined,
  signal: undefined,
  saidOk: failure === undefined,
  failure,
  coordinates: {},
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

const resolveDirectory = async (directory: string): Promise<string> => {
  const path = resolve(directory)
  try {
    const root = await realpath(path)
    if ((await stat(root)).isDirectory()) return root
  } catch (error) {
    throw unreadable(path, error)
  }
  throw new BackupError(
    'ENGINE_DIRECTORY',
    `${path} is not a directory`,
    { path },
    { hint: 'give a data directory with --directory' },
  )
}

const refuseRunningServer = async (root: string, { items }: Survey): Promise<void> => {
  const files = items
    .filter(({ type }) => type === 'file')
    .map(({ path, identity: { device, inode } }) => ({ path, device, inode }))
  const locked = await findLockedFile(files).catch((error: unknown) => {
    throw unreadable('/proc/locks', error)
  })
  if (locked === undefined) return
  const { path, pid, processName = 'a process' } = locked
  throw new BackupError(
    'ENGINE_DIRECTORY',
    `a server runs on ${root}: ${processName} (pid ${pid}) holds a lock on ${path}`,
    { directory: root, path, pid },
    { hint: 'stop the server or give a snapshot; for a running server use --engine mariadb-backup' },
  )
}

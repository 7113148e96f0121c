/**
 * Reads a backup program's stderr, line by line: where it is, what it found, why it failed.
 *
 * The words both families share are here, the ones that differ in `mariadb-words.ts` and
 * `xtrabackup-words.ts`. What decides about a failure is noted when it passes by, not
 * looked for afterwards: a flood of words may come in between.
 *
 * Memory is bounded: the last 64 KiB of lines, and a few facts. Everything kept has been
 * through redaction. Pure.
 *
 * Source of the words: fixtures/engines, recorded from real runs.
 */

import { type FailureSigns, noteFailureSigns, noSigns } from './failure-signs.ts'
import { LastLines } from './last-lines.ts'
import type { BinlogCoordinates, EngineProgress, LogSequenceNumbers } from './types.ts'

/** What differs between the families. */
export interface Vocabulary {
  /** The line without its time stamp, thread number and severity. */
  withoutStamp(line: string): string
  /** The stage that begins with this text. */
  stage(text: string): string | undefined
  /** The file that begins, or is told of, with this text. */
  file(text: string): string | undefined
  /** What this text changes about who waits for whom. */
  locks(text: string): LockNews
}

export type LockNews = Partial<Pick<EngineProgress, 'locked' | 'waitingForLock'>>

export interface WordsSeen {
  readonly progress: EngineProgress
  readonly coordinates: BinlogCoordinates
  readonly lsn: LogSequenceNumbers
  /** Whether the last line with anything in it was the word of success. */
  readonly saidOk: boolean
  readonly signs: FailureSigns
  readonly lastLines: readonly string[]
}

/** What a line meant for those who watch. */
export interface LineNews {
  /** The line as it may be shown. */
  readonly shown: string
  /** Set when a new stage began with it. */
  readonly stage: string | undefined
  /** Set when the program went to the server's data directory with it. Not redacted. */
  readonly dataDirectory: string | undefined
}

const SUCCESS = 'completed OK!'
const BINLOG = /binlog position: filename '([^']*)', position '(\d+)'(?:, GTID of the last change '([^']*)('?))?/
const CHECKPOINT = /The latest check point \(for incremental\): '(\d+)'/
const DATA_DIRECTORY = /^(?:\w+: )?cd to (\/.+)$/
const COPIED_RANGE = /(?:from LSN|of lsn) \(?(\d+)\)? to \(?(\d+)\)?\)? was copied/

/** A GTID set of MySQL is written over several lines; one of 64 KiB has had a long life. */
const MAX_GTID_LENGTH = 64 * 1024

export class WordsReader {
  readonly #vocabulary: Vocabulary
  readonly #redact: (line: string) => string
  readonly #lastLines = new LastLines()
  readonly #signs = noSigns()
  #stage = 'connecting'
  #files = 0
  #lastFile: string | undefined
  #locked = false
  #waitingForLock = false
  #words = 0
  #coordinates: BinlogCoordinates = {}
  #openGtid: string | undefined // begun on a line before, its closing quote not seen yet
  #lsn: LogSequenceNumbers = {}
  #saidOk = false

  constructor(vocabulary: Vocabulary, redact: (line: string) => string) {
    this.#vocabulary = vocabulary
    this.#redact = redact
  }

  take(line: string): LineNews {
    const shown = this.#redact(line)
    this.#words += 1
    if (line.trim() === '') return { shown, stage: undefined, dataDirectory: undefined }
    this.#lastLines.push(shown)
    const text = this.#vocabulary.withoutStamp(line)
    this.#saidOk = text.trimEnd().endsWith(SUCCESS)
    noteFailureSigns(this.#signs, text, this.#redact)
    this.#noteFacts(text)
    this.#noteLocks(text)
    const stage = this.#saidOk ? 'done' : this.#vocabulary.stage(text)
    const isNew = stage !== undefined && stage !== this.#stage
    if (isNew) this.#stage = stage
    return { shown, stage: isNew ? stage : undefined, dataDirectory: DATA_DIRECTORY.exec(text)?.[1] }
  }

  progress(): EngineProgress {
    return {
      stage: this.#stage,
      files: this.#files,
      lastFile: this.#lastFile,
      locked: this.#locked,
      waitingForLock: this.#waitingForLock,
      words: this.#words,
    }
  }

  /** The program is gone, and with it its sessions and their locks, whatever it said last. */
  end(): void {
    this.#locked = false
    this.#waitingForLock = false
  }

  seen(): WordsSeen {
    return {
      progress: this.progress(),
      coordinates: this.#coordinates,
      lsn: this.#lsn,
      saidOk: this.#saidOk,
      signs: this.#signs,
      lastLines: this.#lastLines.lines(),
    }
  }

  #noteFacts(text: string): void {
    if (this.#openGtid !== undefined) {
      this.#continueGtid(text)
      return
    }
    const file = this.#vocabulary.file(text)
    if (file !== undefined) {
      this.#files += 1
      this.#lastFile = this.#redact(file.replace(/^\.\//, ''))
      return
    }
    const binlog = BINLOG.exec(text)
    if (binlog !== null) this.#noteBinlog(binlog)
    const checkpoint = CHECKPOINT.exec(text)?.[1]
    if (checkpoint !== undefined) this.#lsn = { ...this.#lsn, checkpoint }
    const [, from, to] = COPIED_RANGE.exec(text) ?? []
    if (from !== undefined && to !== undefined) this.#lsn = { ...this.#lsn, from, to }
  }

  #noteLocks(text: string): void {
    const { locked = this.#locked, waitingForLock = this.#waitingForLock } = this.#vocabulary.locks(text)
    this.#locked = locked && !this.#saidOk
    this.#waitingForLock = waitingForLock && !this.#saidOk
  }

  #noteBinlog([, binlogFile, position, gtid, closed]: RegExpExecArray): void {
    if (binlogFile === undefined) return
    this.#coordinates = { binlogFile, binlogPosition: Number(position) }
    if (gtid === undefined) return
    if (closed === '') this.#openGtid = gtid
    else if (gtid !== '') this.#coordinates = { ...this.#coordinates, gtid }
  }

  #continueGtid(text: string): void {
    const end = text.indexOf("'")
    const gtid = `${this.#openGtid}${end === -1 ? text : text.slice(0, end)}`
    if (end !== -1) this.#coordinates = { ...this.#coordinates, gtid }
    this.#openGtid = end === -1 && gtid.length <= MAX_GTID_LENGTH ? gtid : undefined
  }
}

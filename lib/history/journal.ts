/**
 * The journal of jobs: append-only, shared by every agent process of this host.
 *
 *     const journal = await Journal.open({ directory, now: Date.now, newId: randomUUID })
 *     await journal.markInterrupted()                      // whose process is gone
 *     await journal.append({ event: 'started', job, … })   // on the disk, before the engine starts
 *     await journal.append({ event: 'ended', job, outcome: 'delivered', … })
 *     await journal.compactWhenDue()
 *
 * There is no lock. Every question of who was first is answered by the order of lines in
 * one file, which the kernel decides and all processes read alike (`generation.ts`). The
 * file is replaced in a way that anybody can finish (`next-generation.ts`): a line that
 * came too late for the old one is written again to the new one by its own writer.
 *
 * A line of an end repeats what the beginning said, so that either one tells the job.
 */

import { BackupError } from '../errors/index.ts'
import { fileFailure } from './file-failure.ts'
import { Generation } from './generation.ts'
import { newestOf } from './job-ledger.ts'
import {
  cutMessage,
  type EndedJobRecord,
  isRequestedName,
  type JobBeginning,
  type JobEnd,
  type JobRecord,
  type RunningJobRecord,
  readEnded,
  readRunning,
} from './job-record.ts'
import { writeLine } from './journal-line.ts'
import { discardPart, type NextGenerationOrder, type Part, reservePart, succeed } from './next-generation.ts'
import { type ProcessIdentity, ProcessTable, type Told } from './process-identity.ts'
import { DEFAULT_RETENTION, forgettingIsDue, type Retention } from './retention.ts'
import { StateDirectory } from './state-directory.ts'

export interface JournalOptions {
  /** The state directory; made with mode 0700 when it is missing, and so is what is missing above it. */
  readonly directory: string
  /** Wall clock, milliseconds since the epoch: only a label. */
  readonly now: () => number
  /** A new random name, unique for ever: letters, digits, hyphens. */
  readonly newId: () => string
  readonly retention?: Partial<Retention>
  readonly processes?: ProcessTable
  /** The process that runs the jobs; this one by default. */
  readonly pid?: number
}

export interface StartedEvent extends JobBeginning {
  readonly event: 'started'
}

export interface EndedEvent extends JobEnd {
  readonly event: 'ended'
  readonly job: string
}

export type JournalEvent = StartedEvent | EndedEvent

/** What a new generation left behind. */
export interface Compaction {
  readonly droppedJobs: number
}

/** Makes a process look for wishes in the journal. Not SIGUSR1: that one starts Node's debugger. */
export const WISH_SIGNAL = 'SIGUSR2'

/** A line that is not whole after its write is tried again: the second time names the reason. */
const MAX_ATTEMPTS_LOST = 3
/** Somebody else got on each time we did not, so this is no wait but a way out of a bug. */
const MAX_ATTEMPTS = 1000

export class Journal {
  readonly #directory: StateDirectory
  readonly #options: JournalOptions
  readonly #retention: Retention
  readonly #processes: ProcessTable
  readonly #process: ProcessIdentity
  /** Jobs of this object that have not ended. */
  readonly #running = new Map<string, RunningJobRecord>()
  /** Ends that could not be written: tried again before anything else is. */
  readonly #owed = new Map<string, EndedJobRecord>()
  #generation: Generation | undefined
  #queue: Promise<unknown> = Promise.resolve()

  private constructor(
    directory: StateDirectory,
    options: JournalOptions,
    processes: ProcessTable,
    process: ProcessIdentity,
  ) {
    this.#directory = directory
    this.#options = options
    this.#retention = { ...DEFAULT_RETENTION, ...options.retention }
    this.#processes = processes
    this.#process = process
  }

  /** @throws BackupError `HISTORY_DIRECTORY`, `HISTORY_UNSAFE`, `HISTORY_PROCESS`, `HISTORY_FULL`, `HISTORY_IO` */
  static async open(options: JournalOptions): Promise<Journal> {
    const processes = options.processes ?? new ProcessTable()
    const identity = await processes.identify(options.pid ?? process.pid)
    const directory = await StateDirectory.open(options.directory, 'write')
    const journal = new Journal(directory, options, processes, identity)
    await journal.#inTurn(async () => {
      await journal.#current()
      await directory.removeParts()
    })
    return journal
  }

  /** How many jobs have ended without a line that says so; see `settle`. */
  get owed(): number {
    return this.#owed.size
  }

  /**
   * Resolves when the event is on the disk and counts.
   *
   * An end that cannot be written is remembered, and written before whatever is appended
   * next; if that never comes, the next start calls the job interrupted.
   *
   * @throws BackupError `HISTORY_ENDED` when the job has an end already; `HISTORY_FULL`,
   *   `HISTORY_DIRECTORY`, `HISTORY_UNSAFE` or `HISTORY_IO` when there is no such line
   */
  append(event: JournalEvent): Promise<void> {
    return this.#inTurn(async () => {
      if (event.event === 'started') await this.#start(event)
      else await this.#end(event)
    })
  }

  /** Writes the ends that are owed. @throws BackupError when it still cannot */
  settle(): Promise<void> {
    return this.#inTurn(() => this.#settle())
  }

  /**
   * Ends the jobs whose process is gone as `interrupted`. Of several agents that do so at
   * once, exactly one gets each job into its answer.
   *
   * @returns the jobs that this call ended
   */
  markInterrupted(): Promise<readonly EndedJobRecord[]> {
    return this.#inTurn(async () => {
      const { ledger } = await this.#current()
      const marked: EndedJobRecord[] = []
      for (const record of ledger.jobs) {
        if (record.state !== 'running' || !(await this.#processes.isGone(record.process))) continue
        const ended = endOf(record, { outcome: 'interrupted' }, this.#label())
        if (await this.#write('ended', ended)) marked.push(ended)
      }
      return marked
    })
  }

  /**
   * The job of a session that began last, whichever process wrote it; undefined when none is
   * remembered, or none of those that `isSeen` takes. A job whose process is gone is `running` until somebody calls
   * `markInterrupted`.
   * An end that is owed is told, though no line says it yet.
   */
  newest(sid: string, isSeen: (record: JobRecord) => boolean = () => true): Promise<JobRecord | undefined> {
    return this.#inTurn(async () => {
      const record = newestOf((await this.#current()).ledger, sid, isSeen)
      return record?.state === 'running' ? (this.#owed.get(record.job) ?? record) : record
    })
  }

  /**
   * Every job that is remembered, whichever process wrote it, in the order in which they began. Otherwise as `newest`.
   */
  all(): Promise<readonly JobRecord[]> {
    return this.#inTurn(async () => {
      const { jobs } = (await this.#current()).ledger
      return jobs.map((record) => (record.state === 'running' ? (this.#owed.get(record.job) ?? record) : record))
    })
  }

  /** Jobs that another process runs, which is alive. */
  runningElsewhere(): Promise<readonly RunningJobRecord[]> {
    return this.#inTurn(async () => {
      const found: RunningJobRecord[] = []
      for (const record of (await this.#current()).ledger.jobs) {
        if (record.state !== 'running' || this.#running.has(record.job) || this.#owed.has(record.job)) continue
        if (!(await this.#processes.isGone(record.process))) found.push(record)
      }
      return found
    })
  }

  /**
   * Writes down that somebody wants another process's job cancelled, and makes that process look.
   *
   * @param by who wants it, for that job's log and client
   * @throws BackupError as `append`
   */
  wishCancelled({ job, process }: RunningJobRecord, by: string): Promise<Told> {
    return this.#inTurn(async () => {
      const id = this.#options.newId()
      await this.#writeLine(writeLine({ event: 'cancel', id, job, by, at: this.#label() }), id)
      return this.#processes.tell(process, WISH_SIGNAL)
    })
  }

  /** Which of this object's running jobs are to be cancelled, and who wants it. */
  cancelWishes(): Promise<ReadonlyMap<string, string>> {
    return this.#inTurn(async () => {
      const { ledger } = await this.#current()
      const wishes = [...this.#running.keys()].map((job) => [job, ledger.cancelWish(job)] as const)
      return new Map(wishes.filter((wish): wish is [string, string] => wish[1] !== undefined))
    })
  }

  /** Forgets jobs by number and age, when enough of them may go. For the start, and after each end. */
  compactWhenDue(): Promise<Compaction | undefined> {
    return this.#inTurn(async () => {
      const { ledger } = await this.#current()
      return forgettingIsDue(ledger.jobs, this.#retention, this.#options.now()) ? this.#compact() : undefined
    })
  }

  /** Writes the journal anew now. */
  compact(): Promise<Compaction> {
    return this.#inTurn(() => this.#compact())
  }

  /** After everything that was asked for is done. The jobs go on; only the file is closed. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#generation?.close()
      this.#generation = undefined
    })
  }

  async #start(event: StartedEvent): Promise<void> {
    const { job, sid, peer, engine, engineVersion, instance, server, caller, requested } = event
    const refused = Object.keys(requested).find((name) => !isRequestedName(name))
    if (refused !== undefined) throw new Error(`bug: "${refused}" must not be remembered as requested`)
    const record: RunningJobRecord = {
      job,
      sid,
      startedAt: this.#label(),
      peer,
      engine,
      ...(engineVersion === undefined ? {} : { engineVersion }),
      ...(server === undefined ? {} : { server }),
      ...(instance === undefined ? {} : { instance }),
      ...(caller === undefined ? {} : { caller }),
      requested,
      process: this.#process,
      state: 'running',
    }
    // What could not be read again is not written: it would look like damage.
    if (readRunning({ ...record }) === undefined) throw new Error(`bug: job ${job} cannot be remembered as it is`)
    await this.#settle().catch(() => undefined) // what hinders it hinders this one too, and is said then
    if (!(await this.#write('started', record))) throw new Error(`bug: there was a job ${job} before`)
    this.#running.set(job, record)
  }

  async #end({ event: _, job, ...end }: EndedEvent): Promise<void> {
    const owed = this.#owed.get(job)
    const begun = this.#running.get(job) ?? (await this.#current()).ledger.job(job)
    if (begun === undefined) throw new Error(`bug: job ${job} ends and never began`)
    if (begun.state !== 'running' || owed !== undefined) throw endedAlready(owed ?? begun)
    const record = endOf(begun, end, this.#label())
    if (readEnded(forLine(record)) === undefined) throw new Error(`bug: the end of job ${job} cannot be remembered`)
    this.#running.delete(job)
    this.#owed.set(job, record)
    await this.#settle()
  }

  async #settle(): Promise<void> {
    for (const [job, record] of this.#owed) {
      const counts = await this.#write('ended', record)
      this.#owed.delete(job)
      const first = this.#generation?.ledger.job(job)
      if (!counts) throw endedAlready(first ?? record)
    }
  }

  /** @returns false when a line before this one said as much about the job */
  async #write(event: 'started' | 'ended', record: JobRecord): Promise<boolean> {
    const id = this.#options.newId()
    return this.#writeLine(writeLine({ event, id, ...forLine(record) }), id)
  }

  /** @returns false when a line before this one said as much */
  async #writeLine(line: Buffer, id: string): Promise<boolean> {
    for (let lost = 0, attempts = 0; attempts < MAX_ATTEMPTS; attempts += 1) {
      const generation = await this.#current()
      const placed = await generation.append(line, id)
      if (placed === 'lost') {
        lost += 1
        if (lost === MAX_ATTEMPTS_LOST) break
      }
      if (placed !== 'counts' && placed !== 'repeated') continue
      if (await this.#isLeftover(generation)) continue
      return placed === 'counts'
    }
    throw notWhole(this.#directory.path)
  }

  /**
   * Whether the line went into a file that counts no more: one with a successor but
   * without a seal before the end, left by somebody who was slow in making it.
   */
  async #isLeftover(generation: Generation): Promise<boolean> {
    if ((await this.#directory.current()) === generation.number) return false
    await generation.refresh()
    return !generation.ledger.sealed
  }

  async #compact(): Promise<Compaction> {
    const generation = await this.#current()
    const order = this.#order()
    const part = await reservePart(generation, order)
    try {
      await this.#seal(generation)
    } catch (error) {
      await discardPart(part)
      throw error
    }
    const compaction = await this.#succeed(generation, part)
    await this.#current() // if somebody took our part away, it is made again here
    return compaction
  }

  async #seal(generation: Generation): Promise<void> {
    const id = this.#options.newId()
    const line = writeLine({ event: 'sealed', id, at: this.#label() })
    for (let lost = 0; lost < MAX_ATTEMPTS_LOST; lost += 1) {
      // Somebody else's seal is as good.
      if ((await generation.append(line, id)) === 'sealed') return
    }
    throw notWhole(this.#directory.path)
  }

  /** The generation that counts, not sealed when it was looked at. */
  async #current(): Promise<Generation> {
    try {
      for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts += 1) {
        const number = await this.#directory.current()
        if (number === 0) {
          await this.#directory.createFirst()
          continue
        }
        const generation = await this.#open(number)
        if (generation === undefined) continue // replaced this moment
        await generation.refresh()
        if (!generation.ledger.sealed) return generation
        await this.#succeed(generation)
      }
    } catch (error) {
      throw fileFailure(`use the journal in ${this.#directory.path}`, error)
    }
    throw new BackupError('HISTORY_IO', `the journal in ${this.#directory.path} is replaced again and again`)
  }

  async #open(number: number): Promise<Generation | undefined> {
    const known = this.#generation
    if (known?.number === number && (await this.#directory.isGeneration(known.file, number))) return known
    await known?.close()
    this.#generation = undefined
    const file = await this.#directory.openGeneration(number)
    if (file === undefined) return undefined
    this.#generation = new Generation(number, this.#directory.file(number), file)
    // A line on the disk is worth nothing while the name of its file is not.
    await this.#directory.sync()
    return this.#generation
  }

  #succeed(generation: Generation, part?: Part): Promise<Compaction> {
    return succeed(generation, this.#order(), part)
  }

  #order(): NextGenerationOrder {
    const { now, newId } = this.#options
    return { directory: this.#directory, retention: this.#retention, nowMs: now(), newId }
  }

  #label(): string {
    return new Date(this.#options.now()).toISOString()
  }

  /** One thing at a time within this process; among processes the file decides. */
  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#queue.then(work)
    this.#queue = turn.catch(() => undefined)
    return turn
  }
}

const endOf = ({ state: _, ...begun }: RunningJobRecord, end: JobEnd, endedAt: string): EndedJobRecord => {
  const { outcome, msg, ...rest } = end
  return { ...begun, ...rest, ...(msg === undefined ? {} : { msg: cutMessage(msg) }), state: outcome, endedAt }
}

/** A record as its line says it. */
const forLine = ({ state, ...rest }: JobRecord): Readonly<Record<string, unknown>> =>
  state === 'running' ? rest : { ...rest, outcome: state }

const notWhole = (path: string): BackupError =>
  new BackupError('HISTORY_IO', `a line appended to the journal in ${path} is not there whole`)

const endedAlready = ({ job, state }: JobRecord): BackupError =>
  new BackupError('HISTORY_ENDED', `job ${job} has ended before, as ${state}`, { job, outcome: state })

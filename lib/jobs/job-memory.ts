/**
 * What the agent remembers of its jobs: in the history if there is one, else as long as it lives.
 *
 *     started ─▶ on the disk before the engine starts; a job that cannot be remembered is refused, and the
 *                state is `degraded` until one can
 *     ended   ─▶ on the disk, or owed and written later: the state is `degraded` meanwhile
 *
 * A backup never fails because its end could not be written down.
 */

import { setTimeout as delay } from 'node:timers/promises'

import { BackupError } from '../errors/index.ts'
import type { JobBeginning, JobEnd, Journal, Outcome, RunningJobRecord } from '../history/index.ts'
import type { Logger } from '../log/index.ts'

export type MemoryState = 'ok' | 'degraded' | 'off'

/** A job as it is remembered: running, or with its end. */
export type RememberedJob = JobBeginning &
  Omit<JobEnd, 'outcome'> & {
    readonly state: 'running' | Outcome
    /** Wall clock labels, ISO 8601 in UTC. */
    readonly startedAt: string
    readonly endedAt?: string
    /** The agent process that ran it. */
    readonly process: { readonly pid: number }
  }

const byStart = (one: RememberedJob, other: RememberedJob): number =>
  Date.parse(one.startedAt) - Date.parse(other.startedAt)

/** A job that another process runs. */
export type JobElsewhere = RunningJobRecord

const NO_WISHES: ReadonlyMap<string, string> = new Map()

/** How often it is looked whether a job elsewhere has ended. */
const LOOK_MS = 50

/** The newest so many of this agent, for when there is no history or its disk is gone. */
const MAX_REMEMBERED = 100

export class JobMemory {
  readonly #journal: Journal | undefined
  readonly #log: Logger
  readonly #wallClockMs: () => number
  readonly #remembered = new Map<string, RememberedJob>()
  #isFailing = false // the last beginning could not be written, and so no job began

  /** @param journal left out where nothing is to be written to the disk */
  constructor(journal: Journal | undefined, log: Logger, wallClockMs: () => number) {
    this.#journal = journal
    this.#log = log
    this.#wallClockMs = wallClockMs
  }

  get state(): MemoryState {
    if (this.#journal === undefined) return 'off'
    return this.#journal.owed === 0 && !this.#isFailing ? 'ok' : 'degraded'
  }

  /** @throws BackupError `HISTORY_*` when it cannot be written: then the job must not start */
  async started(beginning: JobBeginning): Promise<void> {
    try {
      await this.#journal?.append({ event: 'started', ...beginning })
      this.#isFailing = false
    } catch (error) {
      this.#isFailing = true
      throw error
    }
    this.#remember({ ...beginning, startedAt: this.#label(), state: 'running', process: { pid: process.pid } })
  }

  /** Never throws. */
  async ended(job: string, end: JobEnd): Promise<void> {
    const begun = this.#remembered.get(job)
    const { outcome, ...rest } = end
    if (begun !== undefined) this.#remember({ ...begun, ...rest, state: outcome, endedAt: this.#label() })
    if (this.#journal === undefined) return
    try {
      await this.#journal.append({ event: 'ended', job, ...end })
      await this.#journal.compactWhenDue()
    } catch (error) {
      const { code, message } = error instanceof BackupError ? error : { code: 'BUG', message: String(error) }
      this.#log.error({ job, code, history: 'degraded' }, `the end of a job is not in the history yet: ${message}`)
    }
  }

  /**
   * The newest job of a session id, whether it runs or has ended, in this agent or another.
   *
   * @param isSeen which jobs there are for whoever asks: another one of the same id hides none of them
   * @throws BackupError `HISTORY_*`
   */
  async newest(sid: string, isSeen: (job: JobBeginning) => boolean = () => true): Promise<RememberedJob | undefined> {
    const ours = [...this.#remembered.values()].filter((record) => record.sid === sid && isSeen(record)).at(-1)
    if (this.#journal === undefined) return ours
    try {
      const job = await this.#journal.newest(sid, isSeen)
      if (job?.state !== 'running') return job
      await this.#journal.markInterrupted() // it may be another agent's, which was killed meanwhile
      return await this.#journal.newest(sid, isSeen)
    } catch (error) {
      if (ours !== undefined) return ours // the disk is gone, and we know it all the same
      throw error
    }
  }

  /** Every job that is remembered, of this agent or another, in the order in which they began. @throws BackupError `HISTORY_*` */
  async all(): Promise<readonly RememberedJob[]> {
    if (this.#journal === undefined) return [...this.#remembered.values()].sort(byStart)
    const jobs = await this.#journal.all()
    if (!jobs.some(({ state }) => state === 'running')) return jobs
    await this.#journal.markInterrupted() // as above
    return this.#journal.all()
  }

  /** Jobs that run in other processes of this agent's history. Empty where nothing can be read. Never throws. */
  async elsewhere(): Promise<readonly JobElsewhere[]> {
    return (await this.#journal?.runningElsewhere().catch(() => [])) ?? []
  }

  /**
   * Makes another process cancel its job. Resolves when the job has ended there: `gone` when its process did.
   *
   * @param deadline aborts when it has taken too long
   * @throws BackupError `JOB_ELSEWHERE` when it cannot be told, or does not obey; `HISTORY_*`
   */
  async cancelElsewhere(job: JobElsewhere, by: string, deadline: AbortSignal): Promise<void> {
    const journal = this.#journal
    if (journal === undefined) throw new Error('bug: a job elsewhere without a journal')
    const told = await journal.wishCancelled(job, by)
    const { pid } = job.process
    if (told === 'deaf' || told === 'forbidden') {
      const why = told === 'deaf' ? 'takes no orders any more' : 'runs as another user'
      throw elsewhere(`the backup is made by process ${pid}, which ${why}`, job)
    }
    while ((await journal.runningElsewhere()).some((running) => running.job === job.job)) {
      if (deadline.aborted) throw elsewhere(`process ${pid} was told to cancel the backup and still has it`, job)
      await delay(LOOK_MS)
    }
  }

  /** Which of this agent's jobs another process wants cancelled, and for whom. Never throws. */
  async cancelWishes(): Promise<ReadonlyMap<string, string>> {
    return (await this.#journal?.cancelWishes().catch(() => NO_WISHES)) ?? NO_WISHES
  }

  /** Writes what is owed, and closes. Never throws. */
  async close(): Promise<void> {
    try {
      await this.#journal?.settle()
    } catch (error) {
      this.#log.error({ err: error }, 'the end of a job could not be written to the history')
    }
    await this.#journal?.close().catch(() => undefined)
  }

  #remember(record: RememberedJob): void {
    this.#remembered.delete(record.job)
    this.#remembered.set(record.job, record)
    const oldest = this.#remembered.keys().next().value
    if (this.#remembered.size > MAX_REMEMBERED && oldest !== undefined) this.#remembered.delete(oldest)
  }

  #label(): string {
    return new Date(this.#wallClockMs()).toISOString()
  }
}

const elsewhere = (message: string, { job, process }: JobElsewhere): BackupError =>
  new BackupError(
    'JOB_ELSEWHERE',
    message,
    { job, pid: process.pid },
    { hint: 'a complete backup whose client has not answered cannot be cancelled; "verdict" says how far it is' },
  )

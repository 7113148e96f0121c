/**
 * What the lines of one generation of the journal add up to.
 *
 * The order in the file decides everything, because the kernel gives all writers one and
 * the same order: the first line that ends a job counts and later ones do not, and
 * nothing after a seal counts at all. So everybody who reads the same file comes to the
 * same result, without asking anybody.
 *
 * Damaged lines are counted, and never more than that. Pure.
 */

import { LINE_VERSION, readLine } from './journal-line.ts'
import { type EndedJobRecord, type JobRecord, readEnded, readRunning } from './job-record.ts'

/** One line that counts. */
export interface LedgerLine {
  /** As it stands in the file, without line feeds: lines of later versions survive us unchanged. */
  readonly bytes: Buffer
  /** Absent for a line that belongs to no job. */
  readonly job?: string
  /** Whether we know what it means. */
  readonly known: boolean
}

/** Everything one line turned out to be. */
type Understood =
  | { readonly kind: 'job'; readonly line: LedgerLine; readonly id: string | undefined }
  | { readonly kind: 'repeated'; readonly id: string | undefined }
  | { readonly kind: 'foreign'; readonly line: LedgerLine }
  | { readonly kind: 'seal' | 'void' | 'damaged' | 'heading' }

export class JobLedger {
  /** In the order in which the jobs began. */
  readonly #jobs = new Map<string, JobRecord>()
  /** Who wants a job cancelled, by job. */
  readonly #wishes = new Map<string, string>()
  #sealed = false
  #damagedHere = 0
  #damagedBefore = 0
  #foreign = 0

  /** True once nothing more can count here: the next generation goes on. */
  get sealed(): boolean {
    return this.#sealed
  }

  /** Damaged lines of this generation. */
  get damagedHere(): number {
    return this.#damagedHere
  }

  /** Damaged lines of this generation and of all before it. */
  get damagedLines(): number {
    return this.#damagedBefore + this.#damagedHere
  }

  /** Whole lines of a later version, kept but not read. */
  get foreignLines(): number {
    return this.#foreign
  }

  get jobs(): readonly JobRecord[] {
    return [...this.#jobs.values()]
  }

  job(job: string): JobRecord | undefined {
    return this.#jobs.get(job)
  }

  /** Who wanted the job cancelled first, if anybody did. */
  cancelWish(job: string): string | undefined {
    return this.#wishes.get(job)
  }

  /** Takes the next line of the file. Empty lines mean nothing. */
  take(bytes: Buffer): Understood {
    if (this.#sealed) return { kind: 'void' }
    const fields = readLine(bytes)
    if (fields === undefined) return this.#damaged()
    if (fields['v'] !== LINE_VERSION) return this.#keep(bytes, fields)
    switch (fields['event']) {
      case 'started':
        return this.#job(bytes, fields, readRunning(fields))
      case 'ended':
        return this.#job(bytes, fields, readEnded(fields))
      case 'cancel':
        return this.#wish(bytes, fields)
      case 'sealed':
        this.#sealed = true
        return { kind: 'seal' }
      case 'generation':
        this.#damagedBefore += Number.isSafeInteger(fields['damagedLines']) ? (fields['damagedLines'] as number) : 0
        return { kind: 'heading' }
      default:
        return this.#keep(bytes, fields)
    }
  }

  /** Damage that is not even a line: longer than any, or cut off by the end of the file. */
  takeDamage(): void {
    if (!this.#sealed) this.#damaged()
  }

  #job(bytes: Buffer, fields: Readonly<Record<string, unknown>>, record: JobRecord | undefined): Understood {
    if (record === undefined) return this.#damaged()
    const id = typeof fields['id'] === 'string' ? fields['id'] : undefined
    const before = this.#jobs.get(record.job)
    // An end without a beginning is taken: it repeats all that the lost line said.
    if (before !== undefined && (before.state !== 'running' || record.state === 'running')) {
      return { kind: 'repeated', id }
    }
    this.#jobs.set(record.job, record)
    return { kind: 'job', line: { bytes, job: record.job, known: true }, id }
  }

  #wish(bytes: Buffer, fields: Readonly<Record<string, unknown>>): Understood {
    const { job, by, id } = fields
    if (typeof job !== 'string' || typeof by !== 'string') return this.#damaged()
    if (!this.#wishes.has(job)) this.#wishes.set(job, by)
    return { kind: 'job', line: { bytes, job, known: true }, id: typeof id === 'string' ? id : undefined }
  }

  #keep(bytes: Buffer, fields: Readonly<Record<string, unknown>>): Understood {
    this.#foreign += 1
    const job = fields['job']
    return { kind: 'foreign', line: { bytes, known: false, ...(typeof job === 'string' ? { job } : {}) } }
  }

  #damaged(): { readonly kind: 'damaged' } {
    this.#damagedHere += 1
    return { kind: 'damaged' }
  }
}

export const isEnded = (record: JobRecord): record is EndedJobRecord => record.state !== 'running'

/**
 * The job of a session that began last, whoever ran it and however it ended. A client may
 * choose a session id again, and clocks of two processes may differ: the order in the file decides.
 */
export const newestOf = (
  { jobs }: { readonly jobs: readonly JobRecord[] },
  sid: string,
  isSeen: (record: JobRecord) => boolean = () => true,
): JobRecord | undefined => jobs.findLast((record) => record.sid === sid && isSeen(record))

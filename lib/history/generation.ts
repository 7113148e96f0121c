/**
 * One generation of the journal: an open file, and what its lines add up to so far.
 *
 * Appending is one write(2) on a descriptor with O_APPEND. Linux local file systems do it
 * under the inode's own lock, from taking the end of the file to the last byte copied, so
 * lines of several processes stand one after the other (open(2), "O_APPEND"; ext4, XFS,
 * Btrfs and tmpfs hold `i_rwsem`). Only a full disk, a file size limit or SIGKILL can leave
 * a part of a line.
 *
 * None of this is taken on trust: after the write the file is read up to its end, and the
 * line counts only when it was found whole, before any seal. That also answers the one
 * question a lock would be for: whoever seals the file and whoever appends to it see the
 * same order. No lock means that nobody can die, or be stopped, while holding it.
 */

import type { FileHandle } from 'node:fs/promises'

import { fileFailure } from './file-failure.ts'
import { JobLedger } from './job-ledger.ts'
import { LineScanner } from './line-scanner.ts'

/**
 * Where an appended line came to stand.
 *
 * | placed     | meaning                                                             |
 * |------------|---------------------------------------------------------------------|
 * | `counts`   | durable, and everybody sees it                                      |
 * | `repeated` | durable, but a line before it said as much about the same job       |
 * | `sealed`   | behind a seal: it counts for nothing, and belongs into the next one |
 * | `lost`     | not there, or not whole                                             |
 */
export type Placed = 'counts' | 'repeated' | 'sealed' | 'lost'

export class Generation {
  readonly number: number
  readonly path: string
  readonly file: FileHandle
  readonly ledger = new JobLedger()
  readonly #scanner: LineScanner
  #awaited: string | undefined
  #found: 'counts' | 'repeated' | undefined

  constructor(number: number, path: string, file: FileHandle) {
    this.number = number
    this.path = path
    this.file = file
    this.#scanner = new LineScanner(file, {
      take: (line) => this.#take(line),
      takeDamage: () => this.ledger.takeDamage(),
    })
  }

  /** Size of what was read so far. */
  get bytes(): number {
    return this.#scanner.offset
  }

  /** Takes in what others have appended. */
  async refresh(): Promise<void> {
    try {
      await this.#scanner.toEnd()
    } catch (error) {
      throw fileFailure(`read ${this.path}`, error)
    }
  }

  /**
   * Appends one line, waits until it is on the disk, and looks where it stands.
   *
   * @param id as it stands in the line
   * @throws BackupError `HISTORY_FULL`, `HISTORY_IO`, …: it may or may not be there
   */
  async append(line: Buffer, id: string): Promise<Placed> {
    this.#awaited = id
    this.#found = undefined
    try {
      // Once, and not in a loop: the rest of a line that was cut would stand somewhere else.
      await this.file.write(line, 0, line.length, null)
      await this.file.datasync()
    } catch (error) {
      throw fileFailure(`append to ${this.path}`, error)
    }
    await this.refresh()
    return this.#found ?? (this.ledger.sealed ? 'sealed' : 'lost')
  }

  async close(): Promise<void> {
    await this.file.close()
  }

  #take(line: Buffer): void {
    const understood = this.ledger.take(line)
    const id = 'id' in understood ? understood.id : undefined
    if (id === undefined || id !== this.#awaited) return
    this.#found = understood.kind === 'job' ? 'counts' : 'repeated'
  }
}

/**
 * Decides whether a job may start now: one backup of a server at a time.
 *
 * A second mariadb-backup on the same server waits in BACKUP STAGE START without a
 * word, so the second client is told at once instead.
 */

import { BackupError } from '../errors/index.ts'

/** The right to run; `release` when every trace of the job is gone. Releasing twice does nothing. */
export interface Lease {
  release(): void
}

export class Admission {
  #running: string | undefined
  #draining = false
  #idle: (() => void)[] = []

  /**
   * @param sid names the job in what a second client is told
   * @throws BackupError `JOB_BUSY` or `JOB_DRAINING`
   */
  admit(sid: string): Lease {
    if (this.#draining) {
      throw new BackupError('JOB_DRAINING', 'the agent is shutting down and takes no new backup')
    }
    if (this.#running !== undefined) {
      throw new BackupError(
        'JOB_BUSY',
        'busy: another backup of this server is running',
        {},
        {
          hint: 'wait for it to end; one backup runs at a time',
        },
      )
    }
    this.#running = sid
    let held = true
    return {
      release: () => {
        if (!held) return
        held = false
        this.#running = undefined
        for (const wake of this.#idle.splice(0)) wake()
      },
    }
  }

  /** Whether new jobs are refused for good. */
  get isDraining(): boolean {
    return this.#draining
  }

  /** No new jobs from now on. Resolves when the running one, if any, has released its lease. */
  async drain(): Promise<void> {
    this.#draining = true
    if (this.#running === undefined) return
    await new Promise<void>((resolve) => this.#idle.push(resolve))
  }
}

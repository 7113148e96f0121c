/**
 * Which process ran a job, so that a later one can tell whether it is gone.
 *
 * A process id alone is not enough: ids are given out again. Together with the moment the
 * process started (clock ticks since boot, field 22 of /proc/PID/stat) and the boot, it
 * names one process for ever. Source: proc(5).
 *
 * Where the boot id cannot be read (a service with `ProcSubset=pid`) it is empty, and only
 * the other two are compared: a job is then rather called running for too long than
 * interrupted while it runs.
 */

import { readFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'

import { BackupError } from '../errors/index.ts'

export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks between boot and its start: decimal digits. */
  readonly startTicks: string
  /** Empty when the system does not let us know. */
  readonly bootId: string
}

/**
 * What became of a signal.
 *
 * | told        | meaning                                                            |
 * |-------------|--------------------------------------------------------------------|
 * | `told`      | sent to exactly that process                                       |
 * | `gone`      | there is no such process any more                                  |
 * | `deaf`      | it does not listen to that signal, which would have ended it       |
 * | `forbidden` | it runs as another user                                            |
 */
export type Told = 'told' | 'gone' | 'deaf' | 'forbidden'

/** Reads what the system knows of processes; a test may give it a directory of its own. */
export class ProcessTable {
  readonly #directory: string

  /** @param directory where the proc file system is mounted */
  constructor(directory = '/proc') {
    this.#directory = directory
  }

  /** @throws BackupError `HISTORY_PROCESS` when the process is not there, or /proc is not what we know */
  async identify(pid: number): Promise<ProcessIdentity> {
    const stat = await this.#stat(pid)
    if (stat === undefined) {
      throw new BackupError(
        'HISTORY_PROCESS',
        `cannot read when process ${pid} started from ${join(this.#directory, String(pid), 'stat')}`,
        { pid },
        { hint: 'the proc file system must be mounted, and show the processes of this user' },
      )
    }
    return { pid, startTicks: stat.startTicks, bootId: await this.#bootId() }
  }

  /** True only when it is certain: another boot, no such process, a dead one, or a later one with its number. */
  async isGone(identity: ProcessIdentity): Promise<boolean> {
    const bootId = await this.#bootId()
    if (bootId !== '' && identity.bootId !== '' && bootId !== identity.bootId) return true
    const stat = await this.#stat(identity.pid)
    if (stat === undefined) return true
    return stat.dead || stat.startTicks !== identity.startTicks
  }

  /**
   * Sends a signal to exactly that process, and only if it listens to it: a program that does not would be
   * ended by it. Between the look and the signal lies an instant in which no process id comes around again.
   */
  async tell(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<Told> {
    if (await this.isGone(identity)) return 'gone'
    if (!(await this.#catches(identity.pid, signal))) return 'deaf'
    try {
      process.kill(identity.pid, signal)
      return 'told'
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EPERM' ? 'forbidden' : 'gone'
    }
  }

  /** `SigCgt:\t0000000188005cef`: a bit for each signal that is caught. Source: proc(5), /proc/PID/status. */
  async #catches(pid: number, signal: NodeJS.Signals): Promise<boolean> {
    const text = await readFile(join(this.#directory, String(pid), 'status'), 'latin1').catch(() => '')
    const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(text)?.[1]
    return mask !== undefined && ((BigInt(`0x${mask}`) >> BigInt(constants.signals[signal] - 1)) & 1n) === 1n
  }

  async #bootId(): Promise<string> {
    const path = join(this.#directory, 'sys', 'kernel', 'random', 'boot_id')
    return (await readFile(path, 'utf8').catch(() => '')).trim()
  }

  async #stat(pid: number): Promise<{ startTicks: string; dead: boolean } | undefined> {
    let text: string
    try {
      text = await readFile(join(this.#directory, String(pid), 'stat'), 'latin1')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // ESRCH: it went away between opening and reading.
      if (code === 'ENOENT' || code === 'ESRCH') return undefined
      throw new BackupError(
        'HISTORY_PROCESS',
        `cannot read the state of process ${pid}: ${code}`,
        { pid },
        { cause: error },
      )
    }
    // The name stands in parentheses and may hold anything, parentheses and spaces too.
    const afterName = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const state = afterName[0] ?? ''
    const startTicks = afterName[19] ?? ''
    if (!/^\d+$/.test(startTicks)) {
      throw new BackupError('HISTORY_PROCESS', `the state of process ${pid} has no start time where proc(5) puts it`, {
        pid,
      })
    }
    // A zombie does nothing any more; its parent has only not asked yet how it ended.
    return { startTicks, dead: state === 'Z' || state === 'X' }
  }
}

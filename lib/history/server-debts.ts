/**
 * What is owed to a server: settings that were changed for a backup, and a replica that waits to be started.
 *
 *     owed-3f9c0d2b71e04a55.json     one file for each server, while a backup of it runs
 *
 * It is on the disk before anything is changed, and removed when everything is as it was.
 * So whoever finds one whose process is gone knows what a killed agent has left, and what
 * to put back. Only one process owes a server at a time: the file is made by link(2),
 * which fails when there is one.
 */

import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { link, open, readdir, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'

import { fileFailure } from './file-failure.ts'
import { type ProcessIdentity, ProcessTable } from './process-identity.ts'
import { StateDirectory } from './state-directory.ts'

/** A global variable as it was before, and what it was set to. */
export interface ChangedSetting {
  readonly name: string
  readonly before: number
  readonly during: number
}

export interface ServerDebt {
  /** The server's stable identity. */
  readonly server: string
  readonly settings: readonly ChangedSetting[]
  /** A stopped replica that a run counts on being started. */
  readonly replica: boolean
}

/** One as it was found, and whether somebody is about to pay it. */
export interface FoundDebt extends ServerDebt {
  /** Its process is gone, or is ours and its job is over: it is to be paid. */
  readonly isLeft: boolean
}

const FILE = /^owed-[0-9a-f]{16}\.json$/
const PART = /^owed-[0-9a-f]{16}\.(\d+)\.part$/

export class ServerDebts {
  readonly #directory: StateDirectory
  readonly #processes: ProcessTable
  readonly #process: ProcessIdentity
  /** Servers that a job of this process owes something: their identities. */
  readonly #running = new Set<string>()

  private constructor(directory: StateDirectory, processes: ProcessTable, process: ProcessIdentity) {
    this.#directory = directory
    this.#processes = processes
    this.#process = process
  }

  /** @throws BackupError `HISTORY_*` */
  static async open(directory: string, processes = new ProcessTable()): Promise<ServerDebts> {
    const debts = new ServerDebts(
      await StateDirectory.open(directory, 'write'),
      processes,
      await processes.identify(process.pid),
    )
    await debts.#removeParts()
    return debts
  }

  /**
   * Writes a debt down. It is on the disk when this resolves.
   *
   * @returns false when the server is owed something already
   * @throws BackupError `HISTORY_*`
   */
  async owe(debt: ServerDebt): Promise<boolean> {
    const path = this.#path(debt.server)
    const part = path.replace(/json$/, `${this.#process.pid}.part`)
    let isThere = false
    try {
      const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants
      const file = await open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600)
      try {
        await file.writeFile(`${JSON.stringify({ v: 1, ...debt, process: this.#process })}\n`)
        await file.sync()
      } finally {
        await file.close()
      }
      await link(part, path)
      isThere = true
      this.#running.add(debt.server)
      await this.#directory.sync()
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      if (isThere) this.over(debt.server) // nobody will pay it who thinks that it was not written
      throw fileFailure(`write ${path}`, error)
    } finally {
      await unlink(part).catch(() => undefined)
    }
  }

  /** The job that owes it is over, whether it could pay or not. */
  over(server: string): void {
    this.#running.delete(server)
  }

  /** @throws BackupError `HISTORY_*` */
  async paid(server: string): Promise<void> {
    try {
      await unlink(this.#path(server))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fileFailure(`remove ${this.#path(server)}`, error)
    }
  }

  /** What a server is owed; undefined when nothing. A file that says nothing is removed. @throws BackupError `HISTORY_*` */
  async of(server: string): Promise<FoundDebt | undefined> {
    return this.#read(this.#path(server))
  }

  /** Whether there is a debt of any server whose process is gone. @throws BackupError `HISTORY_*` */
  async isAnyLeft(): Promise<boolean> {
    for (const name of await readdir(this.#directory.path)) {
      if (FILE.test(name) && (await this.#read(join(this.#directory.path, name)))?.isLeft === true) return true
    }
    return false
  }

  async #read(path: string): Promise<FoundDebt | undefined> {
    let text: string
    try {
      text = await readFile(path, { encoding: 'utf8', flag: constants.O_RDONLY | constants.O_NOFOLLOW })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw fileFailure(`read ${path}`, error)
    }
    const found = parse(text)
    if (found === undefined) {
      await unlink(path).catch(() => undefined) // written whole or not at all, so it was never ours
      return undefined
    }
    const { process, ...debt } = found
    const isOurs = process.pid === this.#process.pid && process.startTicks === this.#process.startTicks
    if (isOurs) return { ...debt, isLeft: !this.#running.has(debt.server) }
    return { ...debt, isLeft: await this.#processes.isGone(process) }
  }

  /** Of agents that were killed while they wrote one. */
  async #removeParts(): Promise<void> {
    for (const name of await readdir(this.#directory.path)) {
      const pid = PART.exec(name)?.[1]
      if (pid === undefined || Number(pid) === this.#process.pid) continue
      const isAlive = await this.#processes.identify(Number(pid)).catch(() => undefined)
      if (isAlive === undefined) await unlink(join(this.#directory.path, name)).catch(() => undefined)
    }
  }

  #path(server: string): string {
    return join(this.#directory.path, `owed-${createHash('sha256').update(server).digest('hex').slice(0, 16)}.json`)
  }
}

const parse = (text: string): (ServerDebt & { readonly process: ProcessIdentity }) | undefined => {
  try {
    const { v, server, settings, replica, process } = JSON.parse(text)
    if (v !== 1 || typeof server !== 'string' || typeof replica !== 'boolean' || !Array.isArray(settings))
      return undefined
    if (!settings.every(isSetting) || !Number.isSafeInteger(process?.pid)) return undefined
    return { server, settings, replica, process }
  } catch {
    return undefined
  }
}

const isSetting = (value: Partial<ChangedSetting> | null): value is ChangedSetting =>
  typeof value?.name === 'string' && Number.isSafeInteger(value.before) && Number.isSafeInteger(value.during)

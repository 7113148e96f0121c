/**
 * What a full backup has to do with the server beside its engine: check before it starts, put right when it is gone.
 *
 *     before ─▶ facts, grants ─▶ replica? ─▶ timeouts ─▶ engine … its instant … gone ─▶ after: replica started,
 *                                                                                      timeouts put back
 *
 * A grant that is missing is named here, with its statement, instead of late and in a
 * program's words. A server that cannot be asked is no failure: the backup program may
 * know better how to reach it, and its own words decide.
 *
 * The replica stays stopped until the engine is gone, so that the coordinates at which its
 * run stopped it are those of the backup. It is started however the backup ends, but for a
 * backup that was never made because another process makes one: that one starts it. What
 * has to be put right is written down first, for the case that we are killed.
 */

import { type EngineLog, type EngineOutcome, findLockableTable } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import type { ChangedSetting, ServerDebts } from '../history/index.ts'
import { connectServer, type ReplicaConnection, type ServerConnection, type ServerLogin } from '../server/index.ts'
import { isCountedOn, payLeftDebt } from './left-debts.ts'
import { lookAtReplica, sayLeftStopped, sayNotStarted, startReplica } from './replica.ts'
import {
  changeTimeouts,
  putTimeoutsBack,
  type TimeoutWishes,
  timeoutsRefused,
  timeoutsToChange,
} from './server-timeouts.ts'

/** Around the engine of one job. */
export interface ServerSide {
  /** @throws BackupError why there can be no backup; `after` puts right what was done until then */
  before(signal: AbortSignal, log: EngineLog): Promise<void>
  /**
   * When the engine is gone. Never throws; the first call counts.
   *
   * @param outcome how it ended; left out when it has never run
   */
  after(outcome?: EngineOutcome): Promise<void>
}

export interface FullBackupWishes {
  readonly login: ServerLogin
  readonly replication: boolean
  readonly timeouts: TimeoutWishes
  /** Where it is written down what is to be put right; undefined where nothing is remembered. */
  readonly debts: ServerDebts | undefined
}

/** What the server itself has answered, the client insists on, or must not be believed: the engine need not be tried. */
const DECISIVE: ReadonlySet<string> = new Set([
  'ENGINE_LOGIN',
  'ENGINE_PRIVILEGE',
  'ENGINE_DEFAULTS_FILE',
  'SERVER_SETTING',
])

export class FullBackupServerSide implements ServerSide {
  readonly #wishes: FullBackupWishes
  #log: EngineLog | undefined
  #replica: readonly ReplicaConnection[] = []
  #settings: readonly ChangedSetting[] = []
  /** Identity of the server that is owed something, once that is written down. */
  #owed: string | undefined
  #after: Promise<void> | undefined

  constructor(wishes: FullBackupWishes) {
    this.#wishes = wishes
  }

  async before(signal: AbortSignal, log: EngineLog): Promise<void> {
    this.#log = log
    const { mustSet } = this.#wishes.timeouts
    try {
      await this.#asked(async (server) => {
        signal.throwIfAborted()
        await this.#look(server, log)
      })
    } catch (error) {
      if (!(error instanceof BackupError) || signal.aborted || DECISIVE.has(error.code)) throw error
      if (mustSet) throw timeoutsRefused(error)
      const { code, message } = error
      log.info({ code }, `the server cannot be asked beforehand, the backup program decides: ${message}`)
    }
  }

  async #look(server: ServerConnection, log: EngineLog): Promise<void> {
    const { replication, timeouts, debts } = this.#wishes
    const { versionText, dataDirectory, logBin, serverUuid } = await server.facts()
    log.info({ server: versionText, dataDirectory, logBin, serverUuid }, 'server')
    await server.requireGrants('full', 'for a full backup')
    const table = await findLockableTable(dataDirectory)
    if (table !== undefined)
      await server.requireGrants('tables-in-use', `to see whether ${table} is in use, and must be waited for`)
    if (debts !== undefined) await payLeftDebt(server, debts, log)
    if (replication) this.#replica = await lookAtReplica(server, log)
    const settings = await this.#wantedSettings(server, timeouts, log)
    const replica = this.#replica.some(({ isRunning }) => !isRunning)
    if (settings.length === 0 && !replica) return
    const isOwed = (await debts?.owe({ server: serverUuid, settings, replica }).catch(sayNotWritten(log))) === true
    if (isOwed) this.#owed = serverUuid
    if (settings.length === 0) return
    try {
      if (!isOwed) throw notWritten(debts)
      this.#settings = settings
      await changeTimeouts(server, settings, log)
    } catch (error) {
      insist(error, timeouts, log)
    }
  }

  async #wantedSettings(
    server: ServerConnection,
    timeouts: TimeoutWishes,
    log: EngineLog,
  ): Promise<readonly ChangedSetting[]> {
    try {
      const settings = await timeoutsToChange(server, timeouts)
      if (settings.length > 0) await server.requireGrants('timeouts', 'to set the timeouts of the server')
      return settings
    } catch (error) {
      insist(error, timeouts, log)
      return []
    }
  }

  after(outcome?: EngineOutcome): Promise<void> {
    this.#after ??= this.#putRight(outcome)
    return this.#after
  }

  async #putRight(outcome: EngineOutcome | undefined): Promise<void> {
    const log = this.#log
    const [replica, settings, owed] = [this.#replica, this.#settings, this.#owed]
    if (log === undefined || (replica.length === 0 && settings.length === 0 && owed === undefined)) return
    try {
      await this.#asked(async (server) => {
        if (await this.#isElsewhere(server, outcome)) sayLeftStopped(replica, log)
        else await startReplica(server, replica, log)
        await putTimeoutsBack(server, settings, log)
        if (owed !== undefined) await this.#wishes.debts?.paid(owed)
      })
    } catch (error) {
      if (replica.length > 0) sayNotStarted(error, log)
      const { code } = error as Partial<BackupError>
      if (settings.length > 0) log.warn({ code, settings }, `the timeouts of the server are not put back yet: ${error}`)
    } finally {
      if (owed !== undefined) this.#wishes.debts?.over(owed)
    }
  }

  /** Whether another process makes a backup of this server now, and may count on a replica that stands still. */
  async #isElsewhere(server: ServerConnection, outcome: EngineOutcome | undefined): Promise<boolean> {
    if (outcome !== undefined) return outcome.failure?.code === 'JOB_BUSY'
    return this.#owed === undefined && (await isCountedOn(server, this.#wishes.debts))
  }

  async #asked(work: (server: ServerConnection) => Promise<void>): Promise<void> {
    const server = await connectServer(this.#wishes.login)
    try {
      await work(server)
    } finally {
      await server.close()
    }
  }
}

/** A failure to set is a refusal where the client insists, else a line in the log. */
const insist = (error: unknown, { mustSet }: TimeoutWishes, log: EngineLog): void => {
  if (mustSet) throw timeoutsRefused(error)
  const { code, message, hint } = error as BackupError
  log.warn({ code, hint }, `the timeouts of the server stay as they are: ${message}`)
}

const notWritten = (debts: ServerDebts | undefined): BackupError =>
  debts === undefined
    ? new BackupError(
        'SERVER_SETTING',
        'this agent keeps no history, so nobody would put them back after a crash',
        {},
        {
          hint: 'give the agent a state directory with --state-dir',
        },
      )
    : new BackupError('SERVER_SETTING', 'another backup of the server has changed them and will put them back')

const sayNotWritten =
  (log: EngineLog) =>
  (error: unknown): undefined => {
    const { code, message } = error as BackupError
    log.warn({ code }, `what is owed to the server cannot be written down: ${message}`)
  }

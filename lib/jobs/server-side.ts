/**
 * What a full backup has to do with the server beside its engine: check before it starts, put right when it is gone.
 *
 *     before ─▶ facts, grants ─▶ replica looked at ─▶ engine … its instant … gone ─▶ after ─▶ replica started
 *
 * A grant that is missing is named here, with its statement, instead of late and in a
 * program's words. A server that cannot be asked is no failure: the backup program may
 * know better how to reach it, and its own words decide.
 *
 * The replica stays stopped until the engine is gone, so that the coordinates at which its
 * run stopped it are those of the backup. It is started however the backup ends.
 */

import type { EngineLog } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { connectServer, type ReplicaConnection, type ServerConnection, type ServerLogin } from '../server/index.ts'
import { lookAtReplica, sayNotStarted, startReplica } from './replica.ts'

/** Around the engine of one job. */
export interface ServerSide {
  /** @throws BackupError why there can be no backup; nothing is left to be put right then but what `after` does */
  before(signal: AbortSignal, log: EngineLog): Promise<void>
  /** When the engine is gone, or has never run. Never throws; the first call counts. */
  after(): Promise<void>
}

export interface FullBackupWishes {
  readonly login: ServerLogin
  readonly replication: boolean
}

/** What the server itself has answered: then the engine need not be tried. */
const DECISIVE: ReadonlySet<string> = new Set(['ENGINE_LOGIN', 'ENGINE_PRIVILEGE'])

export class FullBackupServerSide implements ServerSide {
  readonly #wishes: FullBackupWishes
  #log: EngineLog | undefined
  #replica: readonly ReplicaConnection[] = []
  #after: Promise<void> | undefined

  constructor(wishes: FullBackupWishes) {
    this.#wishes = wishes
  }

  async before(signal: AbortSignal, log: EngineLog): Promise<void> {
    this.#log = log
    try {
      await this.#asked(async (server) => {
        signal.throwIfAborted()
        const { versionText, dataDirectory, logBin, serverUuid } = await server.facts()
        log.info({ server: versionText, dataDirectory, logBin, serverUuid }, 'server')
        await server.requireGrants('full', 'for a full backup')
        if (this.#wishes.replication) this.#replica = await lookAtReplica(server, log)
      })
    } catch (error) {
      if (!(error instanceof BackupError) || signal.aborted || DECISIVE.has(error.code)) throw error
      const { code, message } = error
      log.info({ code }, `the server cannot be asked beforehand, the backup program decides: ${message}`)
    }
  }

  after(): Promise<void> {
    this.#after ??= this.#putRight()
    return this.#after
  }

  async #putRight(): Promise<void> {
    const log = this.#log
    const replica = this.#replica
    if (log === undefined || replica.length === 0) return
    try {
      await this.#asked((server) => startReplica(server, replica, log))
    } catch (error) {
      sayNotStarted(error, log)
    }
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

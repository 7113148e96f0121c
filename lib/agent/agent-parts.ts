/**
 * What an agent opens: a directory of its own, what it remembers, its servers.
 *
 *     at once                           where it listens
 *     with the first who needs it       where inetd started it for one client: a greeting needs none of it
 *
 * `agent.ts` says when. Loaded with it, and only then, is all that makes a backup.
 */

import { type AgentSettings, type ConnectionLimits, DEFAULT_SECONDS, DEFAULT_SPOOL_DIRECTORY } from '../config/index.ts'
import { hostGuards } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { type ServerDebts, WISH_SIGNAL } from '../history/index.ts'
import type { JobMemory } from '../jobs/index.ts'
import type { Logger } from '../log/index.ts'
import type { Admissions } from './admissions.ts'
import { allOf, type Instances } from './instance.ts'
import { openInstances } from './instances.ts'
import { openDebts, openMemory } from './open-memory.ts'
import { makeRuntimeDirectory, type RuntimeDirectory } from './runtime-directory.ts'
import { sayAccess } from './say-access.ts'
import type { Security } from './secure-connection.ts'
import type { SessionContext } from './session.ts'
import { type LastingParts, makeSessionContext } from './session-context.ts'
import { checkLoginFiles, checkRuntimePlace, checkScratchPlace } from './trusted-places.ts'

/** Settings made ready to be used. */
export interface Prepared {
  readonly context: SessionContext
  readonly connections: Partial<ConnectionLimits>
  readonly security: Security
  readonly drainSeconds: number
  /** Tells which engines there are. */
  sayEngines(log: Logger): void
}

/** What the agent has whether it has opened anything or not. */
export type AgentCore = Pick<LastingParts, 'jobs' | 'hurry' | 'startedMs'> & {
  readonly admissions: Admissions
  readonly log: Logger
}

export class AgentParts {
  readonly #core: AgentCore
  readonly #runtime: RuntimeDirectory
  readonly #memory: JobMemory
  /** Open for as long as the agent lives, whatever settings say later. */
  readonly #stateDirectory: string | undefined
  #debts: ServerDebts | undefined

  private constructor(core: AgentCore, runtime: RuntimeDirectory, memory: JobMemory, stateDirectory?: string) {
    this.#core = core
    this.#runtime = runtime
    this.#memory = memory
    this.#stateDirectory = stateDirectory
    if (memory.state !== 'off') process.on(WISH_SIGNAL, this.#onWish)
  }

  /** @throws BackupError `ENGINE_NOT_FOUND`, `ENGINE_UNUSABLE`, `ENGINE_DEFAULTS_FILE`, `SCRATCH_UNSAFE`, `HISTORY_*` */
  static async open(
    settings: Partial<AgentSettings>,
    security: Security,
    core: AgentCore,
  ): Promise<[AgentParts, Prepared]> {
    await checkRuntimePlace()
    const runtime = await makeRuntimeDirectory()
    const memory = await openMemory(settings.stateDirectory, core.log).catch(async (error: unknown) => {
      await runtime.remove()
      throw error
    })
    const parts = new AgentParts(core, runtime, memory, settings.stateDirectory)
    try {
      return [parts, await parts.makeReady(settings, security)]
    } catch (error) {
      await parts.close()
      throw error
    }
  }

  /**
   * Makes everything ready that other settings need, and changes nothing yet.
   *
   * @throws BackupError `ENGINE_*`, `SCRATCH_UNSAFE`: then the settings cannot be used
   */
  async makeReady(settings: Partial<AgentSettings>, security: Security): Promise<Prepared> {
    const { jobs, hurry, startedMs, admissions, log } = this.#core
    const instances = await openInstances(settings, {
      runtimeDirectory: this.#runtime.path,
      lockDirectory: this.#stateDirectory,
      admissions,
      allow: settings.allow,
    })
    await checkScratchPlace(settings.spoolDirectory ?? DEFAULT_SPOOL_DIRECTORY, '--spool-dir')
    await checkLoginFiles(allOf(instances).map(({ server }) => server?.defaultsFile))
    this.#debts ??= await openDebts(this.#stateDirectory, instances, log)
    const runtimeDirectory = this.#runtime.path
    const lasting = { memory: this.#memory, debts: this.#debts, jobs, hurry, startedMs, runtimeDirectory }
    const context = makeSessionContext(settings, instances, lasting)
    await sayAccess(context.access, settings.tokensFile, log)
    return {
      context,
      connections: settings.connections ?? {},
      security,
      drainSeconds: settings.seconds?.drain ?? DEFAULT_SECONDS.drain,
      sayEngines: (to) => sayEngines(instances, to),
    }
  }

  async close(): Promise<void> {
    await this.#memory.close()
    await this.#runtime.remove()
    process.off(WISH_SIGNAL, this.#onWish)
  }

  /** Another process of this host was asked to cancel a job of ours, and has written it into the history. */
  readonly #onWish = async (): Promise<void> => {
    const wishes = await this.#memory.cancelWishes()
    for (const job of this.#core.jobs) {
      const by = wishes.get(job.id)
      // One whose end is on its way is complete: there is nothing left to stop.
      if (by !== undefined && !job.isLettingGo) job.cancel(new BackupError('JOB_CANCELLED', `cancelled by ${by}`))
    }
  }
}

/** What makes backups, and with what the host can help: known from the start, and said once. */
const sayEngines = (instances: Instances, log: Logger): void => {
  const all = allOf(instances)
  for (const { name: instance, engine } of all) {
    const { name, version, program } = engine.identity
    log.info({ engine: name, version, program, instance }, 'engine')
  }
  if (!all.some(({ engine }) => engine.identity.program !== undefined)) return
  const guards = hostGuards()
  if (guards.pdeathsig && guards.lock) log.debug(guards, 'host')
  else log.warn(guards, 'setpriv or flock (util-linux) is missing: a killed agent may leave its backup program running')
}

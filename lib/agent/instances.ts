/**
 * The servers that an agent backs up, each with its engine, its one place for a backup, and its login.
 *
 *     settings ─┬▶ main     what the top of the settings describes, if it describes a server
 *               └▶ named    instances: shop, crm, …
 *
 * An instance that is described as before keeps its place for a backup when settings are read anew, under
 * whatever name: the backup that occupies it goes on. Which one a request means: `choose-instance.ts`.
 */

import { userInfo } from 'node:os'

import type { AgentSettings, AllowLists, ServerSettings } from '../config/index.ts'
import { type Engine, findEngine } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import { Admission } from '../jobs/index.ts'
import { type ServerAccess, serverAccess } from './server-wishes.ts'

export interface Instance {
  /** Undefined for the server that has no name. */
  readonly name: string | undefined
  readonly settings: Partial<ServerSettings>
  readonly engine: Engine
  readonly admission: Admission
  /** The login is the host's own: the client's is not used. */
  readonly hostLogin: boolean
  /** Who that is, where no option file says it. */
  readonly hostUser: string | undefined
  /** Whether the engine logs in to a server and the operator gave it no login of its own. */
  readonly loginRequired: boolean
  /** Whether the engine writes an xbstream; the engine `directory` does not. */
  readonly hasXbstream: boolean
  /** How the server is asked; undefined where there is none to ask. */
  readonly server: ServerAccess | undefined
}

export interface Instances {
  readonly main: Instance | undefined
  readonly named: ReadonlyMap<string, Instance>
  /** For what is said of the agent as a whole. */
  readonly first: Instance
}

export const allOf = ({ main, named }: Instances): readonly Instance[] => [
  ...(main === undefined ? [] : [main]),
  ...named.values(),
]

/** One place for a backup for each server, for as long as the agent lives. */
export class Admissions {
  readonly #all = new Map<string, Admission>()

  of({ engine = 'auto', directory, socket, defaultsFile, datadir }: Partial<ServerSettings>): Admission {
    const server = JSON.stringify([engine, directory, socket, defaultsFile, datadir].map((part) => part ?? null))
    const admission = this.#all.get(server) ?? new Admission()
    this.#all.set(server, admission)
    return admission
  }

  /** No new backups of any server. Resolves when those that run have ended. */
  async drain(): Promise<void> {
    await Promise.all([...this.#all.values()].map((admission) => admission.drain()))
  }
}

export interface InstanceParts {
  readonly runtimeDirectory: string
  readonly lockDirectory: string | undefined
  readonly admissions: Admissions
  readonly allow: AllowLists | undefined
}

/** @throws BackupError `ENGINE_NOT_FOUND`, `ENGINE_UNUSABLE`, `ENGINE_DIRECTORY`, with the name of the instance */
export const openInstances = async (settings: Partial<AgentSettings>, parts: InstanceParts): Promise<Instances> => {
  const named = new Map<string, Instance>()
  for (const [name, server] of Object.entries(settings.instances ?? {})) {
    named.set(name, await openInstance(name, server, parts))
  }
  const main = named.size === 0 || namesServer(settings) ? await openInstance(undefined, settings, parts) : undefined
  const first = main ?? [...named.values()][0]
  if (first === undefined) throw new Error('bug: an agent without a server')
  return { main, named, first }
}

/** Beside instances the top of the settings stands for a server only if it says for which. */
const namesServer = ({ socket, defaultsFile, directory, datadir }: Partial<AgentSettings>): boolean =>
  [socket, defaultsFile, directory, datadir].some((value) => value !== undefined)

const openInstance = async (
  name: string | undefined,
  settings: Partial<ServerSettings>,
  { runtimeDirectory, lockDirectory, admissions, allow }: InstanceParts,
): Promise<Instance> => {
  const { engine: choice = 'auto', directory, socket, defaultsFile, datadir } = settings
  const engine = await findEngine({
    engine: choice,
    runtimeDirectory,
    lockDirectory,
    directory,
    socket,
    defaultsFile,
    datadir,
  }).catch((error: unknown) => {
    throw name === undefined ? error : ofInstance(name, error)
  })
  return {
    name,
    settings,
    engine,
    admission: admissions.of(settings),
    hostLogin: settings.hostLogin === true,
    hostUser: settings.hostLogin === true && defaultsFile === undefined ? ownName() : undefined,
    loginRequired: engine.needsLogin && defaultsFile === undefined && settings.hostLogin !== true,
    hasXbstream: engine.identity.name !== 'directory',
    server: serverAccess({ ...settings, ...(allow === undefined ? {} : { allow }) }, engine),
  }
}

/** Said, because the programs would believe a terminal's user before the process's own. */
const ownName = (): string | undefined => {
  try {
    return userInfo().username
  } catch {
    return undefined // a user without an entry in the system's list
  }
}

const ofInstance = (name: string, error: unknown): unknown => {
  if (!(error instanceof BackupError)) return error
  const { code, message, facts, hint } = error
  const more = hint === undefined ? { cause: error } : { cause: error, hint }
  return new BackupError(code, `instance ${name}: ${message}`, { ...facts, instance: name }, more)
}

/**
 * The servers that an agent backs up, each with its engine, its one place for a backup, and its login.
 *
 *     described-servers.ts ─▶ an engine that was proved, a place, an access ─▶ Instances
 *
 * Which one a request means: `choose-instance.ts`.
 */

import { userInfo } from 'node:os'

import type { AgentSettings, AllowLists } from '../config/index.ts'
import { findEngine } from '../engines/index.ts'
import type { Admissions } from './admissions.ts'
import { type DescribedServer, describedServers, ofInstance } from './described-servers.ts'
import type { Instance, Instances } from './instance.ts'
import { serverAccess } from './server-wishes.ts'

export interface InstanceParts {
  readonly runtimeDirectory: string
  readonly lockDirectory: string | undefined
  readonly admissions: Admissions
  readonly allow: AllowLists | undefined
}

/** @throws BackupError `ENGINE_NOT_FOUND`, `ENGINE_UNUSABLE`, `ENGINE_DIRECTORY`, with the name of the instance */
export const openInstances = async (settings: Partial<AgentSettings>, parts: InstanceParts): Promise<Instances> => {
  const named = new Map<string, Instance>()
  let main: Instance | undefined
  for (const described of describedServers(settings)) {
    const instance = await openInstance(described, parts)
    if (described.name === undefined) main = instance
    else named.set(described.name, instance)
  }
  const first = main ?? [...named.values()][0]
  if (first === undefined) throw new Error('bug: an agent without a server')
  return { main, named, first }
}

const openInstance = async (
  { name, settings }: DescribedServer,
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
    throw ofInstance(name, error)
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

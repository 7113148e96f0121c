/**
 * The servers that settings describe, and whether an engine for each is in sight.
 *
 *     settings ─┬▶ without a name   what the top of the settings describes, if it describes a server
 *               └▶ named            instances: shop, crm, …
 *
 * Looks, and opens nothing: `instances.ts` does. So an agent that is only greeted can say what an
 * operator has got wrong, at the price of a few looks at the file system.
 */

import type { AgentSettings, ServerSettings } from '../config/index.ts'
import { lookForEngine } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'

export interface DescribedServer {
  /** Undefined for the server that has no name. */
  readonly name: string | undefined
  readonly settings: Partial<ServerSettings>
}

/** At least one. The server that has no name stands at the end. */
export const describedServers = (settings: Partial<AgentSettings>): readonly DescribedServer[] => {
  const named = Object.entries(settings.instances ?? {}).map(([name, own]) => ({ name, settings: own }))
  return named.length === 0 || namesServer(settings) ? [...named, { name: undefined, settings }] : named
}

/** Beside instances the top of the settings stands for a server only if it says for which. */
const namesServer = ({ socket, defaultsFile, directory, datadir }: Partial<AgentSettings>): boolean =>
  [socket, defaultsFile, directory, datadir].some((value) => value !== undefined)

/** @throws BackupError `ENGINE_NOT_FOUND`, `ENGINE_DIRECTORY`, with the name of the instance */
export const lookForServers = async (settings: Partial<AgentSettings>): Promise<void> => {
  for (const { name, settings: own } of describedServers(settings)) {
    const { engine = 'auto', directory } = own
    await lookForEngine({ engine, directory }).catch((error: unknown) => {
      throw ofInstance(name, error)
    })
  }
}

/** What went wrong with a server, with its name if it has one. */
export const ofInstance = (name: string | undefined, error: unknown): unknown => {
  if (name === undefined || !(error instanceof BackupError)) return error
  const { code, message, facts, hint } = error
  const more = hint === undefined ? { cause: error } : { cause: error, hint }
  return new BackupError(code, `instance ${name}: ${message}`, { ...facts, instance: name }, more)
}

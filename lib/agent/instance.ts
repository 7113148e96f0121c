/**
 * One of the servers that an agent backs up, and all of them.
 *
 * What each consists of; `instances.ts` makes them.
 */

import type { ServerSettings } from '../config/index.ts'
import type { Engine } from '../engines/index.ts'
import type { Admission } from '../jobs/index.ts'
import type { ServerAccess } from './server-wishes.ts'

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

/** What is to be examined: one agent as it is configured, and who asks. Types only. */

import type { AgentSettings } from '../config/index.ts'
import type { Ping } from './agent-port.ts'

export type ServerSettings = Partial<
  Pick<AgentSettings, 'engine' | 'directory' | 'socket' | 'defaultsFile' | 'datadir' | 'hostLogin'>
>

export interface Server {
  /** Its name, where the agent has several. */
  readonly instance?: string | undefined
  readonly settings: ServerSettings
}

export interface Patient {
  readonly settings: AgentSettings
  /** All that clients may ask for; left out, the one of `settings`. */
  readonly servers?: readonly Server[] | undefined
  /** As a client would send it. */
  readonly login: { readonly user?: string | undefined; readonly password?: string | undefined }
  readonly ping: Ping
  /** Wall clock, milliseconds since 1970. */
  readonly nowMs: number
  /** How long the server is watched for what it writes. */
  sample(): Promise<number>
}

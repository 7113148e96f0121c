/**
 * The server's timeouts, raised for a backup program that may be silent for long, and put back.
 *
 *     before ─▶ smaller than wanted? ─▶ written down ─▶ SET GLOBAL ─▶ engine … gone ─▶ SET GLOBAL, as it was
 *
 * Global, because a session takes its values from there when it begins, and the sessions
 * are the backup program's: our own last for a few milliseconds. Only what is smaller than
 * wanted is changed. What a killed agent has left is put back by the next one that can log
 * in; what somebody else has changed meanwhile is left to them.
 */

import type { EngineLog } from '../engines/index.ts'
import { BackupError } from '../errors/index.ts'
import type { ChangedSetting } from '../history/index.ts'
import type { ServerConnection, TimeoutName } from '../server/index.ts'

export interface TimeoutWishes {
  /** Seconds; undefined where the client wants nothing. */
  readonly wait: number | undefined
  readonly net: number | undefined
  /** Whether there must be no backup without them. */
  readonly mustSet: boolean
}

export const NO_TIMEOUTS: TimeoutWishes = { wait: undefined, net: undefined, mustSet: false }

/** The most that a server takes. Source: MariaDB, "Server System Variables". */
const MAX_SECONDS = 31_536_000

/** What would have to be changed. @throws BackupError `SERVER_*` */
export const timeoutsToChange = async (
  server: ServerConnection,
  { wait, net }: TimeoutWishes,
): Promise<readonly ChangedSetting[]> => {
  if (wait === undefined && net === undefined) return []
  const now = await server.globalTimeouts()
  const wanted: Readonly<Record<TimeoutName, number | undefined>> = {
    wait_timeout: wait,
    net_read_timeout: net,
    net_write_timeout: net,
  }
  return Object.entries(now).flatMap(([name, before]) => {
    const during = Math.min(wanted[name as TimeoutName] ?? 0, MAX_SECONDS)
    return during > before ? [{ name, before, during }] : []
  })
}

/** @throws BackupError `ENGINE_PRIVILEGE`, `SERVER_*`: some may be changed then, so they are to be put back all the same */
export const changeTimeouts = async (
  server: ServerConnection,
  settings: readonly ChangedSetting[],
  log: EngineLog,
): Promise<void> => {
  for (const { name, during } of settings) await server.setGlobalTimeout(name as TimeoutName, during)
  if (settings.length > 0) log.info({ settings }, 'timeouts of the server raised for this backup')
}

/** @throws BackupError `ENGINE_PRIVILEGE`, `SERVER_*` */
export const putTimeoutsBack = async (
  server: ServerConnection,
  settings: readonly ChangedSetting[],
  log: EngineLog,
): Promise<void> => {
  if (settings.length === 0) return
  const now = await server.globalTimeouts()
  for (const { name, before, during } of settings) {
    const found = now[name as TimeoutName]
    if (found === during) await server.setGlobalTimeout(name as TimeoutName, before)
    else if (found !== before)
      log.warn(
        { setting: name, before, during, found },
        'a timeout of the server was changed meanwhile, and is left so',
      )
  }
  log.info({ settings }, 'timeouts of the server put back')
}

/** Why there is no backup, when the client insists. */
export const timeoutsRefused = (cause: unknown): BackupError => {
  const { message, hint } = cause instanceof BackupError ? cause : { message: String(cause), hint: undefined }
  return new BackupError(
    'SERVER_SETTING',
    `the server's timeouts cannot be set, and must-set-mysql-timeouts=1 asks for it: ${message}`,
    {},
    { cause, ...(hint === undefined ? {} : { hint }) },
  )
}

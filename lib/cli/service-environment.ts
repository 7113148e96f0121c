/**
 * What systemd tells a service in its environment, read once and taken out of it.
 *
 *     LISTEN_PID, LISTEN_FDS     sockets that listen already: descriptors 3 and up
 *     NOTIFY_SOCKET              where to say that we are ready
 *     WATCHDOG_PID, WATCHDOG_USEC   how often to say that we are alive
 *
 * What is meant for another process (a parent that forgot to clean up) is taken out too, and
 * not obeyed. Source: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3).
 */

import { BackupError } from '../errors/index.ts'

export interface ServiceEnvironment {
  /** Descriptors of sockets that listen, or of one connection. */
  readonly descriptors: readonly number[]
  readonly notifySocket: string | undefined
  /** How long the service manager waits for a sign of life, milliseconds. */
  readonly watchdogMs: number | undefined
}

/** SD_LISTEN_FDS_START */
const FIRST_DESCRIPTOR = 3

/** More sockets than anybody passes; far fewer than would hurt. */
const MAX_DESCRIPTORS = 64

const NAMES = [
  ...['LISTEN_PID', 'LISTEN_PIDFDID', 'LISTEN_FDS', 'LISTEN_FDNAMES'],
  ...['NOTIFY_SOCKET', 'WATCHDOG_PID', 'WATCHDOG_USEC'],
] as const

/**
 * Changes the environment that it is given.
 *
 * @throws BackupError `AGENT_DESCRIPTOR` when what is meant for us makes no sense
 */
export const takeServiceEnvironment = (
  environment: Record<string, string | undefined>,
  pid: number,
): ServiceEnvironment => {
  const taken = Object.fromEntries(NAMES.map((name) => [name, environment[name]]))
  for (const name of NAMES) delete environment[name]
  const { LISTEN_PID, LISTEN_FDS, NOTIFY_SOCKET, WATCHDOG_PID, WATCHDOG_USEC } = taken
  const count = LISTEN_PID === `${pid}` ? readCount(LISTEN_FDS) : 0
  const isWatched = WATCHDOG_USEC !== undefined && (WATCHDOG_PID === undefined || WATCHDOG_PID === `${pid}`)
  const watchdogMs = isWatched ? Number(WATCHDOG_USEC) / 1000 : 0
  return {
    descriptors: Array.from({ length: count }, (_, index) => FIRST_DESCRIPTOR + index),
    notifySocket: NOTIFY_SOCKET === '' ? undefined : NOTIFY_SOCKET,
    watchdogMs: watchdogMs > 0 ? watchdogMs : undefined,
  }
}

const readCount = (text = ''): number => {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN
  if (count >= 1 && count <= MAX_DESCRIPTORS) return count
  throw new BackupError(
    'AGENT_DESCRIPTOR',
    `expected 1 to ${MAX_DESCRIPTORS} sockets in LISTEN_FDS, found "${text}"`,
    {},
    { hint: 'the service manager sets it; a unit must not' },
  )
}

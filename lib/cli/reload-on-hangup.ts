/**
 * SIGHUP: the configuration is read again, and taken over if it is a good one.
 *
 *     good    new connections get the new settings; what cannot change at run time is named
 *     bad     all its mistakes are in the log; everything stays as it was
 *
 * The kernel sends the same signal when a terminal goes away. Nobody is left to look at such an agent then: it
 * stops, as it would after Ctrl-C.
 */

import { isatty } from 'node:tty'
import type { Command } from 'commander'

import type { RunningAgent } from '../agent/index.ts'
import { type Configuration, SETTING_KEYS, settingOf, settingsOf } from '../config/index.ts'
import { BackupError } from '../errors/index.ts'
import type { Logger } from '../log/index.ts'
import { type ServiceNotices, serving } from './service-notices.ts'
import { configurationOf } from './setting-options.ts'

export interface Reloading {
  readonly starting: Promise<RunningAgent>
  /** With its options, which are believed before the file again. */
  readonly command: Command
  readonly configuration: Configuration
  readonly log: Logger
  /** The service manager is told that a reload begins, and that it is over, however it went. */
  readonly notices: ServiceNotices
  /** Whether standard error was a terminal at the start. */
  readonly wasTerminal: boolean
}

export const reloadOnHangup = ({ starting, command, configuration, log, notices, wasTerminal }: Reloading): void => {
  const first = configuration
  let turn: Promise<void> = Promise.resolve()
  const reload = async (): Promise<void> => {
    const agent = await starting.catch(() => undefined)
    if (agent === undefined) return // it has never started, which is told elsewhere
    notices.reloading()
    await takeOver(agent)
    notices.ready(serving(agent))
  }
  const takeOver = async (agent: RunningAgent): Promise<void> => {
    try {
      const next = await configurationOf(command)
      await agent.reload(settingsOf(next))
      log.level = next.settings['log-level'].value ?? 'info'
      for (const setting of unchangeable(first, next)) {
        log.warn({ setting }, `${setting} has changed, and is taken over by a restart only`)
      }
      log.info({ file: next.file?.path }, 'configuration taken over')
    } catch (error) {
      if (!(error instanceof BackupError)) {
        log.error({ err: error }, 'bug in reading the configuration again: everything stays as it was')
        return
      }
      const { code, message, facts, hint } = error
      log.error({ code, facts, hint }, `the configuration is not taken over, everything stays as it was: ${message}`)
    }
  }
  process.on('SIGHUP', () => {
    if (wasTerminal && !isatty(process.stderr.fd)) {
      process.kill(process.pid, 'SIGTERM')
      return
    }
    log.info({ signal: 'SIGHUP' }, 'told to read the configuration again')
    turn = turn.then(reload) // one after the other: the last one asked for is the one that counts
  })
}

/** What was changed and stays as it was at the start. */
const unchangeable = (first: Configuration, next: Configuration): string[] =>
  SETTING_KEYS.filter(
    (key) =>
      settingOf(key).needsRestart &&
      JSON.stringify(first.settings[key].value) !== JSON.stringify(next.settings[key].value),
  )

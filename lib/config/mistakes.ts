/**
 * Mistakes in a configuration, gathered, so that an operator sees all of them at once.
 *
 *     the configuration has 2 mistakes:
 *       /etc/kv-backup-agent/agent.toml:3:1: unknown key spool-dri; did you mean spool-dir?
 *       KV_BACKUP_AGENT_HANG_SECONDS: expected a whole number of seconds, 1 or more
 *
 * A value is never shown: what stands in the wrong place may be a password.
 */

import { BackupError } from '../errors/index.ts'

export interface Mistake {
  /** `/etc/…/agent.toml:3:1`, the name of a variable, or an option. */
  readonly where: string
  readonly message: string
  /** A name that means nothing there, and those that do. */
  readonly unknown?: { readonly name: string; readonly known: readonly string[] }
}

/** `; did you mean nightly?`, or nothing; for whoever finds a wrong name outside of a configuration. */
export const suggestion = async (name: string, known: readonly string[]): Promise<string> =>
  (await import('./nearest-name.ts')).didYouMean(name, known)

/** @throws BackupError `CONFIG_INVALID`, with all of them, unless there are none */
export const refuseMistakes = async (mistakes: readonly Mistake[]): Promise<void> => {
  if (mistakes.length === 0) return
  // Loaded only when somebody has mistyped something.
  const { didYouMean } = await import('./nearest-name.ts')
  const lines = mistakes.map(({ where, message, unknown }) => {
    const hint = unknown === undefined ? '' : didYouMean(unknown.name, unknown.known)
    return `${where}: ${message}${hint}`
  })
  const [only] = lines
  const message =
    lines.length === 1 && only !== undefined
      ? only
      : `the configuration has ${lines.length} mistakes:${lines.map((line) => `\n  ${line}`).join('')}`
  throw new BackupError(
    'CONFIG_INVALID',
    message,
    { mistakes: lines },
    { hint: 'backup-agent config shows what is in effect, and all mistakes' },
  )
}

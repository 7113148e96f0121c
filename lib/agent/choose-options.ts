/**
 * Which of the operator's sets of options a request wants for the backup program.
 *
 *     xtrabackup-agent:innobackupex-opts=            none
 *     xtrabackup-agent:innobackupex-opts=replica     [options.replica]
 *     xtrabackup-agent:innobackupex-opts=--slave-info    the set whose `match` is exactly that
 *     anything else                                  refused: the backup would not be what the client asked for
 *
 * Not one character of what the client sent reaches a command line. Pure.
 */

import type { OptionSet } from '../config/index.ts'
import { BackupError } from '../errors/index.ts'
import { type KvBlock, showWire } from '../protocol/index.ts'

export const OPTIONS_KEY = 'xtrabackup-agent:innobackupex-opts'

/** What a request wants, as far as it means a set; undefined when it wants none. */
export const wantedSet = (
  pairs: KvBlock,
  sets: Readonly<Record<string, OptionSet>>,
): { readonly wanted: string; readonly name: string | undefined; readonly set: OptionSet | undefined } | undefined => {
  const wanted = pairs.get(OPTIONS_KEY)?.trim() ?? ''
  if (wanted === '') return undefined
  const [name, set] = Object.entries(sets).find(([own, { match }]) => own === wanted || match?.trim() === wanted) ?? []
  return { wanted, name, set }
}

export interface ChosenOptions {
  readonly name: string
  readonly args: readonly string[]
}

/**
 * @param hasProgram whether there is a backup program at all
 * @throws BackupError `AGENT_NOT_ALLOWED`, `AGENT_NOT_SUPPORTED`
 */
export const chooseOptions = (
  pairs: KvBlock,
  sets: Readonly<Record<string, OptionSet>>,
  hasProgram: boolean,
): ChosenOptions | undefined => {
  const found = wantedSet(pairs, sets)
  if (found === undefined) return undefined
  const { wanted, name, set } = found
  if (name === undefined || set === undefined) {
    const names = Object.keys(sets)
    throw new BackupError(
      'AGENT_NOT_ALLOWED',
      `options for the backup program come from the operator of the agent; ${OPTIONS_KEY} is no set of options there: ${shown(wanted)}`,
      { sets: names },
      {
        hint: `send the name of a set (${names.length === 0 ? 'none is configured' : `configured: ${names.join(', ')}`}) or nothing; or allow this value in the agent's configuration: [options.NAME] with args, and as match what the client sends`,
      },
    )
  }
  if (hasProgram) return { name, args: set.args }
  throw new BackupError(
    'AGENT_NOT_SUPPORTED',
    `the options ${name} are for a backup program, and this server's files are read without one`,
    { options: name },
    { hint: `send ${OPTIONS_KEY} empty or not at all` },
  )
}

/** The operator has to see what to allow; but people have put logins there. */
const shown = (wanted: string): string => (/pass|secret|token|key/i.test(wanted) ? '(not shown)' : showWire(wanted))

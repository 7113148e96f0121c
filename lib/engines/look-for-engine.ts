/**
 * Looks for the engine that is meant, and starts nothing: is the directory there, is there such a program?
 *
 *     auto ─┬▶ a directory was given           that one, if it is one
 *           └▶ mariadb-backup, xtrabackup, …   those that are installed, the one to prefer first
 *
 * Whether a program runs and what it is, `find-engine.ts` proves by asking it. An agent that is
 * only greeted looks, and asks nobody.
 */

import { BackupError } from '../errors/index.ts'
import { DEFAULT_SEARCH_PATH } from './clean-environment.ts'
import { resolveDirectory } from './directory-root.ts'
import { directoriesOf, findProgram } from './find-program.ts'
import type { EngineSettings } from './types.ts'

export type ProgramName = 'mariadb-backup' | 'xtrabackup'

export type EngineInSight =
  | { readonly kind: 'directory'; readonly directory: string }
  /** At least one. */
  | { readonly kind: 'programs'; readonly programs: readonly { readonly name: ProgramName; readonly path: string }[] }

/** Names of the program files, the one to prefer first. */
const FILE_NAMES: Readonly<Record<ProgramName, readonly string[]>> = {
  'mariadb-backup': ['mariadb-backup', 'mariabackup'],
  xtrabackup: ['xtrabackup'],
}

export const HOW_TO_GET: Readonly<Record<ProgramName, string>> = {
  'mariadb-backup': 'install it: apt-get install mariadb-backup',
  xtrabackup: "install percona-xtrabackup-80 or later from Percona's repository",
}

/** What decides which engine is meant. */
export type EngineChoiceSettings = Pick<EngineSettings, 'engine' | 'directory' | 'searchPath'>

/** @throws BackupError `ENGINE_NOT_FOUND`, and `ENGINE_DIRECTORY` when the directory is none */
export const lookForEngine = async (settings: EngineChoiceSettings): Promise<EngineInSight> => {
  const { engine, directory } = settings
  if (engine === 'directory' || (engine === 'auto' && directory !== undefined)) {
    if (directory === undefined) {
      throw new BackupError(
        'ENGINE_NOT_FOUND',
        'the engine directory needs a directory',
        {},
        { hint: 'add --directory DIR' },
      )
    }
    await resolveDirectory(directory)
    return { kind: 'directory', directory }
  }
  const wanted: readonly ProgramName[] = engine === 'auto' ? ['mariadb-backup', 'xtrabackup'] : [engine]
  const programs: { name: ProgramName; path: string }[] = []
  for (const name of wanted) {
    const path = await findProgram(FILE_NAMES[name], searchPathOf(settings))
    if (path !== undefined) programs.push({ name, path })
  }
  if (programs.length === 0) throw notFound(wanted, settings)
  return { kind: 'programs', programs }
}

export const searchPathOf = ({ searchPath }: EngineChoiceSettings): string =>
  searchPath ?? process.env['PATH'] ?? DEFAULT_SEARCH_PATH

const notFound = (wanted: readonly ProgramName[], settings: EngineChoiceSettings): BackupError => {
  const files = wanted.flatMap((name) => FILE_NAMES[name])
  const directories = directoriesOf(searchPathOf(settings))
  return new BackupError(
    'ENGINE_NOT_FOUND',
    `no backup program found: looked for ${files.join(', ')} in ${directories.join(', ')}`,
    { files, directories },
    {
      hint:
        settings.engine === 'auto'
          ? `${HOW_TO_GET['mariadb-backup']}; or use --directory DIR for a stopped server or a snapshot`
          : wanted.map((name) => HOW_TO_GET[name]).join('; '),
    },
  )
}

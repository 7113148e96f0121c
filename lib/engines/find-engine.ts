/**
 * Finds the engine that makes the backups of this host, and proves that it runs.
 *
 * `auto` takes the directory it was given, else mariadb-backup (or mariabackup, its older
 * name), else xtrabackup: whichever is installed and says its version. What was looked
 * for, and where, is in the refusal.
 */

import process from 'node:process'

import { BackupError } from '../errors/index.ts'
import { type ProbeAnswer, probe } from './child-probe.ts'
import { cleanEnvironment, DEFAULT_SEARCH_PATH } from './clean-environment.ts'
import { directoryEngine } from './directory.ts'
import { directoriesOf, findProgram } from './find-program.ts'
import { mariadbBackupEngine } from './mariadb-backup.ts'
import { parseProgramVersion } from './program-version.ts'
import type { Engine, EngineSettings } from './types.ts'
import { xtrabackupEngine } from './xtrabackup.ts'

type ProgramName = 'mariadb-backup' | 'xtrabackup'

/** Names of the program files, the one to prefer first. */
const FILE_NAMES: Readonly<Record<ProgramName, readonly string[]>> = {
  'mariadb-backup': ['mariadb-backup', 'mariabackup'],
  xtrabackup: ['xtrabackup'],
}

const HOW_TO_GET: Readonly<Record<ProgramName, string>> = {
  'mariadb-backup': 'install it: apt-get install mariadb-backup',
  xtrabackup: "install percona-xtrabackup-80 or later from Percona's repository",
}

/** XtraBackup 2.4 is for MySQL 5.7 and speaks other words. */
const OLDEST_XTRABACKUP = 8

/**
 * Finds an engine.
 *
 * @throws BackupError `ENGINE_NOT_FOUND`, `ENGINE_UNUSABLE`, and `ENGINE_DIRECTORY` when the directory is none
 */
export const findEngine = async (settings: EngineSettings): Promise<Engine> => {
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
    return directoryEngine(directory)
  }
  const wanted: readonly ProgramName[] = engine === 'auto' ? ['mariadb-backup', 'xtrabackup'] : [engine]
  let unusable: unknown
  for (const name of wanted) {
    const program = await findProgram(FILE_NAMES[name], searchPathOf(settings))
    if (program === undefined) continue
    try {
      return await proveProgram(name, program, settings)
    } catch (error) {
      unusable ??= error // another one may do
    }
  }
  throw unusable ?? notFound(wanted, settings)
}

const proveProgram = async (name: ProgramName, program: string, settings: EngineSettings): Promise<Engine> => {
  const environment = cleanEnvironment(searchPathOf(settings), process.env['TZ'])
  const answer = await probe(program, ['--no-defaults', '--version'], environment)
  const version = parseProgramVersion(answer.text)
  if (answer.exitCode !== 0 || version?.name !== name) throw unusableError(name, program, answer)
  if (name === 'xtrabackup' && version.major < OLDEST_XTRABACKUP) {
    throw new BackupError(
      'ENGINE_UNUSABLE',
      `${program} is version ${version.version}, expected ${OLDEST_XTRABACKUP} or later`,
      { program, version: version.version },
      { hint: HOW_TO_GET[name] },
    )
  }
  const identity = { name, version: version.version, program }
  if (name === 'xtrabackup') return xtrabackupEngine(identity, settings)
  return mariadbBackupEngine(identity, settings)
}

const unusableError = (name: ProgramName, program: string, { exitCode, problem, text }: ProbeAnswer): BackupError => {
  const said = text.trim().split('\n').at(-1)?.slice(0, 200) ?? ''
  return new BackupError(
    'ENGINE_UNUSABLE',
    `${program} does not say a version of ${name}: ${problem ?? `it exited with ${exitCode} and said "${said}"`}`,
    { program, exitCode: exitCode ?? null },
    { hint: `try ${program} --version by hand` },
  )
}

const notFound = (wanted: readonly ProgramName[], settings: EngineSettings): BackupError => {
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

const searchPathOf = ({ searchPath }: EngineSettings): string =>
  searchPath ?? process.env['PATH'] ?? DEFAULT_SEARCH_PATH

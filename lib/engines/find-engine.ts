/**
 * Finds the engine that makes the backups of this host, and proves that it runs.
 *
 * `auto` takes the directory it was given, else mariadb-backup (or mariabackup, its older
 * name), else xtrabackup: whichever is installed and says its version. What was looked
 * for, and where, is in the refusal.
 */

import { BackupError } from '../errors/index.ts'
import { type ProbeAnswer, probe } from './child-probe.ts'
import { cleanEnvironment } from './clean-environment.ts'
import { directoryEngine } from './directory.ts'
import { HOW_TO_GET, lookForEngine, type ProgramName, searchPathOf } from './look-for-engine.ts'
import { mariadbBackupEngine } from './mariadb-backup.ts'
import { parseProgramVersion } from './program-version.ts'
import type { Engine, EngineSettings } from './types.ts'
import { xtrabackupEngine } from './xtrabackup.ts'

/** XtraBackup 2.4 is for MySQL 5.7 and speaks other words. */
const OLDEST_XTRABACKUP = 8

/**
 * Finds an engine.
 *
 * @throws BackupError `ENGINE_NOT_FOUND`, `ENGINE_UNUSABLE`, and `ENGINE_DIRECTORY` when the directory is none
 */
export const findEngine = async (settings: EngineSettings): Promise<Engine> => {
  const found = await lookForEngine(settings)
  if (found.kind === 'directory') return directoryEngine(found.directory)
  let unusable: unknown
  for (const { name, path } of found.programs) {
    try {
      return await proveProgram(name, path, settings)
    } catch (error) {
      unusable ??= error // another one may do
    }
  }
  throw unusable
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

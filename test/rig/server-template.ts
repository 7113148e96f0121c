/**
 * A freshly installed data directory, made once and then copied.
 *
 * `mariadb-install-db` takes a second or two, a copy some hundredths. The template lives in
 * node_modules/.cache, under a name made of the server's version and the options it was
 * installed with, so that tests of one run, and of the next one, share it.
 */

import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { forgetDirectory, watchDirectory } from './guard.ts'
import { mustRun } from './run-program.ts'

/** Small, so that the copy is quick. A server with another `--innodb-log-file-size` changes it as it starts. */
const TEMPLATE_REDO_LOG_BYTES = 10 * 1024 * 1024

const INSTALL_OPTIONS = [
  '--no-defaults',
  '--skip-test-db',
  '--auth-root-authentication-method=normal', // root logs in over the socket, without a password, whoever runs the test
  `--innodb-log-file-size=${TEMPLATE_REDO_LOG_BYTES}`,
]

const CACHE = fileURLToPath(new URL('../../../node_modules/.cache/kv-backup-agent-rig/', import.meta.url))

/** Makes `dataDirectory`, which must not exist, a newly installed one. */
export const installDataDirectory = async (dataDirectory: string): Promise<void> => {
  const template = await findTemplate()
  cpSync(template, dataDirectory, { recursive: true })
}

const findTemplate = async (): Promise<string> => {
  const version = (await mustRun('mariadbd', ['--version'])).stdout.toString()
  const template = join(
    CACHE,
    createHash('sha256')
      .update([version, ...INSTALL_OPTIONS].join('\n'))
      .digest('hex'),
  )
  if (!existsSync(template)) await makeTemplate(template)
  return template
}

const makeTemplate = async (template: string): Promise<void> => {
  mkdirSync(CACHE, { recursive: true })
  const unfinished = mkdtempSync(join(CACHE, 'unfinished-'))
  watchDirectory(unfinished)
  await mustRun('mariadb-install-db', [...INSTALL_OPTIONS, `--datadir=${unfinished}`, ...asRoot()])
  try {
    renameSync(unfinished, template) // whole, or not there
  } catch (error) {
    if (!existsSync(template)) throw error
    rmSync(unfinished, { recursive: true }) // another test process was quicker
  }
  forgetDirectory(unfinished)
}

/** MariaDB runs as root only when it is told to. */
export const asRoot = (): string[] => (process.getuid?.() === 0 ? ['--user=root'] : [])

/** Is there a program that makes backups, and does it fit the server? */

import { tmpdir } from 'node:os'

import type { ServerSettings } from './patient.ts'
import { type EngineIdentity, findEngine } from '../engines/index.ts'
import type { ServerFacts } from '../server/index.ts'
import { type Finding, fail, failedWith, ok } from './finding.ts'

export const lookForEngine = async (
  settings: ServerSettings,
): Promise<{ readonly finding: Finding; readonly identity: EngineIdentity | undefined }> => {
  try {
    const { engine = 'auto', directory, socket, defaultsFile, datadir } = settings
    // Nothing is started, so nothing is put there.
    const found = await findEngine({ engine, directory, socket, defaultsFile, datadir, runtimeDirectory: tmpdir() })
    const { name, version, program } = found.identity
    return { finding: ok('engine', [name, version, program].filter(Boolean).join(' ')), identity: found.identity }
  } catch (error) {
    return { finding: failedWith('engine', error), identity: undefined }
  }
}

/** Up to its minor number a server's files and its backup program must agree. */
const seriesOf = (version: string): string => version.split('.').slice(0, 2).join('.')

export const checkVersions = ({ name, version }: EngineIdentity, server: ServerFacts): Finding => {
  const product = server.isMariaDb ? 'MariaDB' : 'MySQL'
  const both = `${name} ${version} for ${product} ${server.version}`
  if (server.isMariaDb !== (name === 'mariadb-backup')) {
    return fail(
      'versions',
      `${both}: a program of the other family`,
      server.isMariaDb ? 'apt-get install mariadb-backup' : 'install percona-xtrabackup of the same series',
    )
  }
  if (seriesOf(version) === seriesOf(server.version)) return ok('versions', both)
  return fail(
    'versions',
    `${both}: expected a program of series ${seriesOf(server.version)}`,
    `install ${name} ${seriesOf(server.version)}, from where the server came`,
  )
}

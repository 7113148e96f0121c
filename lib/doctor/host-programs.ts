/** Are the programs there that stand around a backup: those that guard it, and those that compress? */

import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'

import { DEFAULT_SEARCH_PATH, type HostGuards } from '../engines/index.ts'
import { type Finding, ok, warn } from './finding.ts'

export const checkGuards = ({ pdeathsig, lock }: HostGuards): Finding => {
  const missing = [...(pdeathsig ? [] : ['setpriv']), ...(lock ? [] : ['flock'])]
  if (missing.length === 0) return ok('lock helpers', 'setpriv and flock')
  const cost = [
    ...(pdeathsig ? [] : ['a killed agent leaves its backup program running']),
    ...(lock ? [] : ['two backups of one server may run at a time']),
  ]
  return warn('lock helpers', `${missing.join(' and ')} is missing: ${cost.join(', ')}`, 'apt-get install util-linux')
}

/** By their names for a client, and for Debian. */
const COMPRESSORS = { gzip: 'gzip', pigz: 'pigz', zstd: 'zstd', lz4: 'lz4', xz: 'xz-utils' } as const

export const checkCompressors = async (searchPath = process.env['PATH'] ?? DEFAULT_SEARCH_PATH): Promise<Finding> => {
  const directories = searchPath.split(':').filter(isAbsolute)
  const missing: (keyof typeof COMPRESSORS)[] = []
  for (const name of Object.keys(COMPRESSORS) as (keyof typeof COMPRESSORS)[]) {
    if (!(await isInOneOf(directories, name))) missing.push(name)
  }
  const found = Object.keys(COMPRESSORS).filter((name) => !(missing as string[]).includes(name))
  if (missing.length === 0) return ok('compressors', found.join(', '))
  return warn(
    'compressors',
    `${found.join(', ') || 'none'}; a client that asks for ${missing.join(', ')} is refused`,
    `apt-get install ${missing.map((name) => COMPRESSORS[name]).join(' ')}`,
    { missing },
  )
}

const isInOneOf = async (directories: readonly string[], name: string): Promise<boolean> => {
  for (const directory of directories) {
    try {
      await access(join(directory, name), constants.X_OK)
      return true
    } catch {
      // in the next one, perhaps
    }
  }
  return false
}

/** The files of bin/packaging/host as a test reads them: units, and attributes of xinetd. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const HOST_FILES = fileURLToPath(new URL('../../../bin/packaging/host/', import.meta.url))

export const readHostFile = (name: string): string => readFileSync(join(HOST_FILES, name), 'utf8')

/**
 * The directives of a unit, in order; one that is given several times has several values.
 *
 * `Key=value` alone, in any section: our units name no key in two of them.
 */
export const readUnit = (name: string): ReadonlyMap<string, readonly string[]> => {
  const directives = new Map<string, string[]>()
  for (const [, key = '', value = ''] of readHostFile(name).matchAll(/^([A-Za-z]+)=(.*)$/gm)) {
    directives.set(key, [...(directives.get(key) ?? []), value])
  }
  return directives
}

/** The attributes of a service of xinetd. */
export const readXinetd = (): ReadonlyMap<string, string> =>
  new Map(
    [...readHostFile('xinetd.conf').matchAll(/^ +([a-z_]+) += (.*)$/gm)].map(([, name = '', value = '']) => [
      name,
      value,
    ]),
  )

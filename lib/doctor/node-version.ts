/** Is this Node one that the agent is tested with? */

import { type Finding, fail, ok } from './finding.ts'

/** Source: package.json, "engines". */
const OLDEST = { major: 20, minor: 15 } as const

/** @param version as `process.versions.node` says it */
export const checkNode = (version: string): Finding => {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const { major: oldest, minor: oldestMinor } = OLDEST
  if (major > oldest || (major === oldest && minor >= oldestMinor)) return ok('node', version)
  return fail('node', `${version}, expected ${oldest}.${oldestMinor} or newer`, 'install a newer Node')
}

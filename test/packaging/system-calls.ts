/**
 * The system calls that a unit allows, by systemd's own list of groups.
 *
 *     SystemCallFilter=@system-service          allowed, and @default with it
 *     SystemCallFilter=~@privileged @resources  taken away again
 */

import { mustRun } from '../rig/run-program.ts'

/** @param filters values of `SystemCallFilter=`, in the order of the unit */
export const allowedSystemCalls = async (filters: readonly string[]): Promise<string[]> => {
  const groups = await readGroups()
  const expand = (name: string): string[] =>
    name.startsWith('@') ? (groups.get(name) ?? unknown(name)).flatMap(expand) : [name]
  const allowed = new Set(expand('@default'))
  for (const filter of filters) {
    const isDenied = filter.startsWith('~')
    for (const call of filter.replace('~', '').split(' ').flatMap(expand)) {
      if (isDenied) allowed.delete(call)
      else allowed.add(call)
    }
  }
  return [...allowed].sort()
}

const unknown = (name: string): never => {
  throw new Error(`systemd knows no group of system calls ${name}`)
}

/** Shape: a group at the beginning of a line; its calls, groups and a comment below it, indented. */
const readGroups = async (): Promise<Map<string, string[]>> => {
  const { stdout } = await mustRun('systemd-analyze', ['--no-pager', 'syscall-filter'])
  const groups = new Map<string, string[]>()
  let members: string[] = []
  for (const line of stdout.toString().split('\n')) {
    if (/^@[a-z-]+$/.test(line)) {
      members = []
      groups.set(line, members)
    } else if (/^ +[@a-z0-9_-]+$/.test(line)) members.push(line.trim())
    else if (/^\S/.test(line)) members = [] // calls that are in no group
  }
  return groups
}

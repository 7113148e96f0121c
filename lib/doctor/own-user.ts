/**
 * Who asks: what root may read says nothing about what the agent may.
 *
 * The agent is known by what it has written: the state directory is its own.
 */

import { statSync } from 'node:fs'
import { userInfo } from 'node:os'

import { type Finding, ok, warn } from './finding.ts'

export const checkUser = (stateDirectory: string | undefined): Finding => {
  const uid = process.geteuid?.() ?? 0
  const name = nameOf(uid)
  const owner = stateDirectory === undefined ? undefined : statSync(stateDirectory, { throwIfNoEntry: false })?.uid
  if (owner === undefined || owner === uid) return ok('user', name, { uid })
  return warn(
    'user',
    `${name}, and the agent that keeps its history in ${stateDirectory} is user ${owner}`,
    `ask as that user, for what one may read the other may not: runuser -u '#${owner}' -- backup-agent doctor`.replace(
      "'#0'",
      'root',
    ),
    { uid, owner },
  )
}

const nameOf = (uid: number): string => {
  try {
    return userInfo().username
  } catch {
    return `user ${uid}` // one without an entry in the system's list
  }
}

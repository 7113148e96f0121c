/**
 * Whether a file or directory that others can reach may be believed, by its owner and its mode.
 *
 *     who has written it    root or we; nobody else may write to it
 *     who can read it       where it holds a login: its owner, and a group that we are in (root:mysql 0640)
 *     a directory           root's or ours; where others write as well, none may rename what is another's (sticky)
 *
 * Says what is wrong and which command puts it right, and raises nothing: each room has a code of
 * its own. Pure. Rule: SECURITY.md, "What is protected today", T14.
 */

/** What is looked at of a file. */
export interface Seen {
  readonly uid: number
  readonly gid: number
  readonly mode: number
}

/** Who looks: the effective user, and every group that it is in. */
export interface Ourselves {
  readonly uid: number
  readonly groups: readonly number[]
}

export interface Laxity {
  /** A clause about "it", without a full stop. */
  readonly problem: string
  /** To be typed by whoever may. */
  readonly command: string
}

const ROOT = 0

const GROUP_WRITES = 0o020
const OTHERS_WRITE = 0o002
const GROUP_READS = 0o040
const OTHERS_READ = 0o004

/** In such a directory only the owner of a thing may rename it. Node exports no name for it. Source: inode(7). */
const STICKY = 0o1000

export const ourselves = (): Ourselves => ({
  uid: process.geteuid?.() ?? ROOT,
  groups: [process.getegid?.() ?? ROOT, ...(process.getgroups?.() ?? [])],
})

/** `0640` */
export const shownMode = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0')

/** The owner of a file may always write to it, whatever its mode says. */
export const laxOwner = ({ uid }: Seen, path: string, us = ourselves()): Laxity | undefined =>
  uid === ROOT || uid === us.uid
    ? undefined
    : { problem: `it belongs to user ${uid}, expected root or ${us.uid}`, command: `chown root ${path}` }

export const laxWriters = ({ mode }: Seen, path: string): Laxity | undefined => {
  if ((mode & (GROUP_WRITES | OTHERS_WRITE)) === 0) return undefined
  const who = (mode & OTHERS_WRITE) === 0 ? 'its group' : 'everyone'
  return { problem: `${who} may write to it (mode ${shownMode(mode)})`, command: `chmod go-w ${path}` }
}

/** For a file with a secret in it. */
export const laxReaders = (found: Seen, path: string, us = ourselves()): Laxity | undefined => {
  const { uid, gid, mode } = found
  const isOurGroup = gid === ROOT || us.groups.includes(gid)
  const command = uid === us.uid ? `chmod 0600 ${path}` : `chgrp ${us.groups[0] ?? ROOT} ${path} && chmod 0640 ${path}`
  if ((mode & OTHERS_READ) !== 0) return { problem: `everyone may read it (mode ${shownMode(mode)})`, command }
  if ((mode & GROUP_READS) === 0 || isOurGroup) return undefined
  return { problem: `group ${gid} may read it, in which we are not (mode ${shownMode(mode)})`, command }
}

/** For a directory in which we make files, or in which a file lies that we believe. */
export const laxDirectory = (found: Seen, path: string, us = ourselves()): Laxity | undefined => {
  const { gid, mode } = found
  const owner = laxOwner(found, path, us)
  if (owner !== undefined) return owner
  if ((mode & STICKY) !== 0) return undefined
  const isOthers = (mode & OTHERS_WRITE) !== 0
  const isForeignGroup = (mode & GROUP_WRITES) !== 0 && gid !== ROOT && !us.groups.includes(gid)
  if (!isOthers && !isForeignGroup) return undefined
  return {
    problem: `${isOthers ? 'everyone' : `group ${gid}`} may replace what is in it (mode ${shownMode(mode)})`,
    command: `chmod ${isOthers ? 'o-w' : 'g-w'} ${path}`,
  }
}

/** What the system says about a file of the history, as one of our errors. Pure. */

import { BackupError, type ErrorCode } from '../errors/index.ts'

interface Meaning {
  readonly code: ErrorCode
  readonly hint: string
}

const ROOM: Meaning = { code: 'HISTORY_FULL', hint: 'make room on the file system of the state directory' }
const RIGHTS: Meaning = {
  code: 'HISTORY_DIRECTORY',
  hint: "run it as the agent's own user, or name another directory with --state-dir",
}
const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOSPC: ROOM,
  EDQUOT: ROOM,
  EFBIG: { code: 'HISTORY_FULL', hint: "raise the limit on the size of the agent's files (LimitFSIZE, ulimit -f)" },
  EACCES: RIGHTS,
  EPERM: RIGHTS,
  EROFS: RIGHTS,
  ENOENT: {
    code: 'HISTORY_DIRECTORY',
    hint: 'make the directory, mode 0700, owned by the user of the agent, or name another one with --state-dir',
  },
  ELOOP: { code: 'HISTORY_UNSAFE', hint: 'name the directory itself with --state-dir, not a symbolic link' },
  ENOTDIR: { code: 'HISTORY_UNSAFE', hint: 'name a directory with --state-dir, not a file or a symbolic link' },
  EISDIR: { code: 'HISTORY_UNSAFE', hint: 'move it away, or name another directory with --state-dir' },
}
const OTHER: Meaning = { code: 'HISTORY_IO', hint: 'look at the disk and at the log of the kernel' }

/** @param doing what failed, with the path: `append to /var/lib/…` */
export const fileFailure = (doing: string, cause: unknown): BackupError => {
  if (cause instanceof BackupError) return cause
  const errno = (cause as NodeJS.ErrnoException).code
  if (errno === undefined) throw cause // not from the system: a bug
  const { code, hint } = MEANINGS[errno] ?? OTHER
  return new BackupError(code, `cannot ${doing}: ${errno}`, { errno }, { cause, hint })
}

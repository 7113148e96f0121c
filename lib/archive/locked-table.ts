/**
 * Tells by its name whether a file belongs to a table of MyISAM, which the backup program copies while nobody may write to it.
 *
 * Such a file may be announced before it has ended, when it is seen to be at rest: it ends where it ended when the program
 * opened it. It is never padded: behind its last row nothing is harmless. What stands in `mysql/` is no such file, because the
 * server goes on writing its logs and statistics there; and what Aria has is none, because the program copies that before the lock.
 */

const MYISAM = /\.MY[DI]$/
const SYSTEM = 'mysql/'

/** @param path relative to the data directory */
export const isLockedTable = (path: string): boolean => MYISAM.test(path) && !path.startsWith(SYSTEM)

/**
 * Tells by its name whether a file is an InnoDB tablespace.
 *
 * Only of these it is true that the backup program copies the size the file had when
 * it was opened, and that zero pages behind the last one are harmless: so only these
 * may be announced before they have ended, and padded.
 */

/** One file per table, and Percona's undo tablespaces with a name of the user's choosing. */
const ANYWHERE = /\.(?:ibd|ibu)$/
/** The system tablespace and the undo tablespaces (MariaDB `undo001`, Percona `undo_001`). */
const TOP_LEVEL = /^(?:ibdata|undo_?)[0-9]+$/

/**
 * @param path relative to the data directory. What is left of a tablespace in an incremental backup (`t.ibd.delta`)
 *   or in a compressed one (`t.ibd.qp`) has another size than the file on disk and is none.
 */
export const isTablespace = (path: string): boolean => ANYWHERE.test(path) || TOP_LEVEL.test(path)

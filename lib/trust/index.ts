/** Door of the room `trust`: which files and directories of a host with other users may be believed. */

export {
  ourselves,
  laxDirectory,
  laxOwner,
  laxReaders,
  laxWriters,
  type Laxity,
  type Ourselves,
  type Seen,
  shownMode,
} from './file-trust.ts'
export { readBounded } from './read-bounded.ts'
export { laxWay, lookAtDirectory } from './way-trust.ts'

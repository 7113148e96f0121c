/** Door of the room `engines`: the only room that starts programs. */

export { type BinaryLogFiles, binaryLogsEngine } from './binary-logs.ts'
export { isChildSocketName } from './child-output.ts'
export { type ChildWriter, loggerStarter } from './child-writer.ts'
export { forbidCoreDumps } from './child-core-limit.ts'
export { notifyServiceManager } from './child-notify.ts'
export { DEFAULT_SEARCH_PATH } from './clean-environment.ts'
export { isCopiedFile } from './data-directory-size.ts'
export {
  compressorFailure,
  decompressorFailure,
  findCompressor,
  findDecompressor,
  type FoundCompressor,
  PACKINGS,
  type Packing,
  packingOf,
  startCompressor,
  startDecompressor,
} from './compressor.ts'
export { runOpenssl } from './openssl.ts'
export type { Filter, FilterEnd } from './filter.ts'
export { findEngine } from './find-engine.ts'
export { type HostGuards, hostGuards } from './host-guards.ts'
export { findLockableTable } from './lockable-table.ts'
export { lookForEngine } from './look-for-engine.ts'
export { findPreparer, type PrepareOrder, prepareBackup } from './prepare.ts'
export type {
  BinlogCoordinates,
  Engine,
  EngineIdentity,
  EngineLog,
  EngineName,
  EngineOrder,
  EngineOutcome,
  EngineProgress,
  EngineRun,
  EngineSettings,
  FilesRun,
  LogSequenceNumbers,
  XbstreamRun,
} from './types.ts'
export { checkUserName } from './option-file.ts'

/** Door of the room `archive`: xbstream in, tar out, and tar read back strictly. */

export { commentHeader, encodeMark, parseMark } from './archive-mark.ts'
export { type ArchiveFacts, ArchiveProof } from './archive-proof.ts'
export { checkedXbstream, type CheckedXbstreamOptions } from './checked-xbstream.ts'
export { filesToTar, type FilesToTarOptions } from './files-to-tar.ts'
export { GatheredWrites } from './gathered-writes.ts'
export {
  type Checkpoints,
  type Coordinates,
  type LogSequenceNumbers,
  parseBinlogInfo,
  parseCheckpoints,
  parseInfo,
} from './metadata.ts'
export { RefusedEnds } from './refused-ends.ts'
export { checkSafePath, showPath } from './safe-path.ts'
export type { SpoolSettings } from './spool.ts'
export { type ExtractOptions, extractTar } from './tar-extract.ts'
export { TAR_LIMITS, type TarEvent, type TarMember, type TarMemberType, TarReader } from './tar-reader.ts'
export type { ArchiveEntry, ArchiveMark, MetadataFound, PaddedMember, ReusedMemory, TarSummary } from './types.ts'
export { XBSTREAM_MAGIC } from './xbstream-chunk.ts'
export { type XbstreamFacts, XbstreamProof } from './xbstream-proof.ts'
export { XBSTREAM_LIMITS, type XbEvent, XbstreamReader } from './xbstream-reader.ts'
export { xbstreamToTar, type XbstreamToTarOptions } from './xbstream-to-tar.ts'

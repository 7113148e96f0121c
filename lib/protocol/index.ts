/** Door of the room `protocol`: the words on the wire. */

export {
  AGENT_TOKEN_KEY,
  spellToken,
  TOKEN_BYTES,
  tokenProblem,
} from './agent-token.ts'
export {
  type AgentRequest,
  type BackupLevel,
  type CopyRequest,
  type MonitorRequest,
  readRequest,
  type SidRequest,
  type SimpleRequest,
  type WantedIncrement,
} from './agent-request.ts'
export { type Answer, AnswerReader, readStatus } from './answer-reader.ts'
export { type ReplicaColumns, replicaPairs } from './replica-pairs.ts'
export { type StatusBlock, writeReady, writeStatus } from './answer-writer.ts'
export { type BackupPosition, positionPairs, readPosition } from './backup-position.ts'
export { fitting, parseBlock } from './block-fields.ts'
export { COMPRESS_WORDS_KEY, readCompressWords, writeCompressWords } from './compress-words.ts'
export {
  type Compression,
  COMPRESSORS,
  type CompressorName,
  compressionText,
  LEVELS,
  readCompression,
} from './compression.ts'
export { type KvBlock, KvBlockParser } from './kv-block-parser.ts'
export { type KvPairs, writeKvBlock } from './kv-block-writer.ts'
export { type KvLimits, LIMITS } from './limits.ts'
export { type ParsedRequest, RequestParser, refuseTrailingBytes } from './request-parser.ts'
export { writeRequest } from './request-writer.ts'
export {
  type CompleteBlock,
  type EndBlock,
  type FailedBlock,
  type IncrementBlock,
  type ProgressBlock,
  type ReceiptBlock,
  readEnd,
  readProgress,
  readReceipt,
  type ServerBlock,
  type SessionFacts,
  sessionPairs,
  writeEnd,
  writeProgress,
  writeReceipt,
} from './stream-blocks.ts'
export {
  AGENT_PROTOCOL_VERSION,
  COMPATIBLE_PROTOCOL_VERSION,
  isFramingVersion,
  type ProtocolVersion,
  parseVersion,
  settleVersion,
} from './version.ts'
export { showWire } from './wire-text.ts'

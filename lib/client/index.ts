/** Door of the room `client`: fetch, verify, restore, questions to an agent, and sessions recorded and replayed. */

export {
  agentStatus,
  type AskOptions,
  backupVerdict,
  cancelBackup,
  type Ping,
  pingAgent,
  type VerdictOptions,
} from './ask.ts'
export type { AgentIdentity, AgentStatus, BackupVerdict, RunningJob } from './ask-blocks.ts'
export {
  type BackupFetch,
  DEFAULT_SILENCE_SECONDS,
  fetchBackup,
  type FetchProgress,
  FRAMED_SILENCE_SECONDS,
} from './fetch.ts'
export type { FetchOptions } from './fetch-options.ts'
export type { FetchTarget } from './fetch-sink.ts'
export type { PackedFacts } from './packed-file.ts'
export type { RecordedSession } from './recorded-session.ts'
export type { Pieces } from './recorded-session-client.ts'
export { parseRequestSession, parseSession } from './recorded-session-parser.ts'
export { type RecordOptions, recordSession } from './recorded-session-record.ts'
export {
  DEFAULT_REPLAY_SILENCE_SECONDS,
  type Replay,
  type ReplayOptions,
  readSession,
  replaySession,
} from './recorded-session-replay.ts'
export { writeSession } from './recorded-session-writer.ts'
export type { BackupProof, Receipt } from './receipt.ts'
export { receiptPath } from './receipt-file.ts'
export type { ArchiveFormat, StreamEncoding } from './request.ts'
export type { TlsOptions } from './request-secure.ts'
export { type Restoration, type RestoreOptions, restoreBackup } from './restore.ts'
export { type Verification, type VerifyOptions, verifyBackup } from './verify.ts'

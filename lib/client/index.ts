/** Door of the room `client`: fetch, verify, restore, and sessions recorded and replayed. */

export {
  type BackupFetch,
  DEFAULT_SILENCE_SECONDS,
  fetchBackup,
  type FetchOptions,
  type FetchProgress,
  type FetchTarget,
} from './fetch.ts'
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
export type { Receipt } from './receipt.ts'
export { type Restoration, type RestoreOptions, restoreBackup } from './restore.ts'
export { type Verification, type VerifyOptions, verifyBackup } from './verify.ts'

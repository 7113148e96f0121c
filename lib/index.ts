/**
 * The library's door: what orchestration code needs.
 *
 * Start an agent, ask it, fetch a backup, verify it, restore it, replay a recorded session
 * in your own tests. Everything here is typed, and every failure is a `BackupError` whose
 * `code` stands in `CATALOGUE`. Examples that run: README, "As a library".
 */

export { type RunningAgent, startAgent } from './agent/index.ts'
export {
  type AgentIdentity,
  type AgentStatus,
  agentStatus,
  type ArchiveFormat,
  type AskOptions,
  type BackupFetch,
  type BackupProof,
  type BackupVerdict,
  backupVerdict,
  cancelBackup,
  type FetchOptions,
  type FetchProgress,
  type FetchTarget,
  fetchBackup,
  type PackedFacts,
  parseSession,
  type Ping,
  pingAgent,
  type RecordedSession,
  type Replay,
  type ReplayOptions,
  readSession,
  replaySession,
  type Receipt,
  type Restoration,
  type RestoreOptions,
  type RunningJob,
  restoreBackup,
  type StreamEncoding,
  type TlsOptions,
  type VerdictOptions,
  type Verification,
  type VerifyOptions,
  verifyBackup,
} from './client/index.ts'
export type {
  AgentSettings,
  AllowLists,
  ClientCertificates,
  EngineChoice,
  OptionSet,
  Role,
  RoleAction,
  ServerSettings,
  TlsSettings,
} from './config/index.ts'
export type { ArchiveFacts } from './archive/index.ts'
export { BackupError, CATALOGUE, type ErrorCode, EXIT, type ExitStatus, type Facts } from './errors/index.ts'
export { createLogger, type Logger } from './log/index.ts'

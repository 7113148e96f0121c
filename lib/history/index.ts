/** Door of the room `history`: what the agent remembers of its jobs. */

export { newestOf } from './job-ledger.ts'
export {
  type EndedJobRecord,
  type JobBeginning,
  type JobEnd,
  type JobRecord,
  MAX_MESSAGE_BYTES,
  OUTCOMES,
  type Outcome,
  type RecordedCaller,
  type RecordedCoordinates,
  type RecordedLsn,
  type RecordedPadding,
  type RecordedServer,
  type Requested,
  type RunningJobRecord,
} from './job-record.ts'
export {
  type Compaction,
  type EndedEvent,
  Journal,
  type JournalEvent,
  type JournalOptions,
  type StartedEvent,
  WISH_SIGNAL,
} from './journal.ts'
export { type ProcessIdentity, ProcessTable, type Told } from './process-identity.ts'
export { type History, readHistory } from './read-history.ts'
export { type ChangedSetting, type FoundDebt, type ServerDebt, ServerDebts } from './server-debts.ts'
export { DEFAULT_RETENTION, type Retention } from './retention.ts'

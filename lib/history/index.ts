/** Door of the room `history`: what the agent remembers of its jobs. */

export {
  type EndedJobRecord,
  type JobBeginning,
  type JobEnd,
  type JobRecord,
  OUTCOMES,
  type Outcome,
  type RecordedCoordinates,
  type RecordedLsn,
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
} from './journal.ts'
export { type ProcessIdentity, ProcessTable } from './process-identity.ts'
export { type History, readHistory } from './read-history.ts'
export { DEFAULT_RETENTION, type Retention } from './retention.ts'

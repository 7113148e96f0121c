/** Door of the room `jobs`: admission, one job, its verdict. */

export { Admission, type Lease } from './admission.ts'
export { type BinaryLogPlan, planBinaryLogs } from './binary-log-plan.ts'
export { BackupJob, type BackupOrder, type BackupResult, type JobProgress } from './backup-job.ts'
export { JobMemory, type MemoryState, type RememberedJob } from './job-memory.ts'
export { isFinal, type JobState } from './job-state.ts'
export type { ArchiveFormat } from './pipeline.ts'
export { payLeftDebts } from './left-debts.ts'
export { NO_TIMEOUTS, type TimeoutWishes } from './server-timeouts.ts'
export { FullBackupServerSide, type ServerSide } from './server-side.ts'
export { type BackupFacts, decideVerdict, type Verdict } from './verdict.ts'
export type { WatchLimits } from './watchdogs.ts'

/** Door of the room `jobs`: admission, one job, its verdict. */

export { Admission, type Lease } from './admission.ts'
export { BackupJob, type BackupOrder, type JobProgress } from './backup-job.ts'
export { isFinal, type JobState } from './job-state.ts'
export { type BackupFacts, decideVerdict, type Verdict } from './verdict.ts'

/** Door of the room `client`: fetch, verify, restore. */

export {
  type BackupFetch,
  DEFAULT_SILENCE_SECONDS,
  fetchBackup,
  type FetchOptions,
  type FetchProgress,
  type FetchTarget,
} from './fetch.ts'
export type { Receipt } from './receipt.ts'
export { type Restoration, type RestoreOptions, restoreBackup } from './restore.ts'
export { type Verification, type VerifyOptions, verifyBackup } from './verify.ts'

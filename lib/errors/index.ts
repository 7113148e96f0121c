/** Door of the room `errors`: one class, one catalogue of codes. */

export { BackupError, type BackupErrorOptions, type Facts } from './backup-error.ts'
export { CATALOGUE, EXIT, EXIT_MEANING, type ErrorCode, type ExitStatus } from './catalogue.ts'

/** Door of the room `log`: pino with our fields and redaction, and where its lines go. */

export { descriptorDestination } from './descriptor-destination.ts'
export { type LogDestination, noDestination } from './destination.ts'
export { fileDestination, patientFileDestination } from './file-destination.ts'
export { journalDestination } from './journal-destination.ts'
export type { LinePipe } from './line-pipe.ts'
export { LOG_TARGET_FORM, type LogTarget, readLogTarget, showLogTarget } from './log-target.ts'
export { createLogger, LOG_LEVELS, type Logger, type LoggerOptions, type LogLevel, silentLogger } from './logger.ts'
export { syslogDestination } from './syslog-destination.ts'
export { uptimeMs } from './uptime.ts'

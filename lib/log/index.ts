/** Door of the room `log`: pino with our fields and redaction. */

export { createLogger, LOG_LEVELS, type Logger, type LoggerOptions, type LogLevel, silentLogger } from './logger.ts'

/**
 * Opens the log that the operator wants.
 *
 * Where the log goes is said once, at the start. Under inetd nobody could be told that it
 * cannot be opened but the client, whose business it is not: then it is tried again later.
 */

import type { Configuration } from '../config/index.ts'
import { loggerStarter } from '../engines/index.ts'
import {
  createLogger,
  descriptorDestination,
  fileDestination,
  journalDestination,
  type LogDestination,
  type Logger,
  type LogTarget,
  noDestination,
  patientFileDestination,
  syslogDestination,
} from '../log/index.ts'

/** As the log calls us, and syslog and the journal too. */
const NAME = 'backup-agent'

export interface OpenLog {
  readonly log: Logger
  readonly destination: LogDestination
}

/**
 * @param usual where it goes when nobody says where
 * @param patient whether a file that cannot be opened is tried again later, and is no error
 * @throws BackupError `LOG_DESTINATION`
 */
export const openLog = async ({ settings }: Configuration, usual: LogTarget, patient = false): Promise<OpenLog> => {
  const target = settings.log.value ?? usual
  const level = settings['log-level'].value ?? 'info'
  const destination = await open(target, patient)
  const pretty = target.kind === 'stderr' && process.stderr.isTTY
  return { log: await createLogger({ level, name: NAME, pretty, destination }), destination }
}

const open = async (target: LogTarget, patient: boolean): Promise<LogDestination> => {
  switch (target.kind) {
    case 'stderr':
      return descriptorDestination(process.stderr.fd)
    case 'none':
      return noDestination
    case 'journal':
      return journalDestination(NAME)
    case 'syslog':
      return syslogDestination(await loggerStarter(NAME))
    case 'file':
      return patient ? patientFileDestination(target.path) : fileDestination(target.path)
  }
}

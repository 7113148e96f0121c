/**
 * Ctrl-C, SIGTERM and a terminal that goes away as an AbortSignal, so that whatever runs can tidy up first.
 *
 * The exit status is the shell's own: 130, and 143 for the others.
 */

import { BackupError, EXIT } from '../errors/index.ts'

/** Runs `work` with a signal that aborts on the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once. */
export const withStopSignals = async <Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> => {
  const controller = new AbortController()
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(name === 'SIGINT' ? EXIT.interrupted : EXIT.terminated)
    const code = name === 'SIGINT' ? 'CLIENT_INTERRUPTED' : 'CLIENT_TERMINATED'
    controller.abort(new BackupError(code, `stopped by ${name}`))
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal)
  try {
    return await work(controller.signal)
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onSignal)
  }
}

/**
 * Signals as orders to an agent: the first one stops it gently, the next one at once.
 */

import type { Logger } from '../log/index.ts'

/** What can be told to stop. */
export interface Stoppable {
  stop(): Promise<void>
  cancel(reason: string): void
}

const ALL_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

/**
 * The first signal stops gently, the next one cancels. Rejects, unheard, when the agent has never started.
 *
 * @param onStop called with the first one
 */
export const untilStopped = (
  starting: Promise<Stoppable>,
  log: Logger,
  { signals = ALL_SIGNALS, onStop }: { readonly signals?: readonly NodeJS.Signals[]; onStop?(): void } = {},
): Promise<void> => {
  const stopped = new Promise<void>((resolve, reject) => {
    let heard = 0
    const onSignal = (name: NodeJS.Signals): void => {
      heard += 1
      log.info({ signal: name }, heard === 1 ? 'told to stop' : 'told to stop at once')
      const isFirst = heard === 1
      if (isFirst) onStop?.()
      const obeyed = starting.then((agent) =>
        isFirst ? agent.stop() : agent.cancel(`the agent was told to stop at once (${name})`),
      )
      if (isFirst) obeyed.then(resolve, reject)
      else obeyed.catch(() => undefined) // the first one says why
    }
    for (const name of signals) process.on(name, onSignal)
  })
  stopped.catch(() => undefined)
  return stopped
}

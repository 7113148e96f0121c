/**
 * The process groups our children lead, so that none outlives the agent.
 *
 * A child gets a group of its own: a signal meant for it reaches its children too, and
 * Ctrl-C on the agent's terminal does not reach it behind our back. The price is that
 * nobody else ends it: so all groups still alive are killed when this process exits. For
 * an agent that is itself killed there is `setpriv --pdeathsig`, see `child.ts`.
 */

const living = new Set<number>()

const killAll = (): void => {
  for (const group of living) signalGroup(group, 'SIGKILL')
}

/** @param pid leader of the group. Forget it once it is reaped: the number may then be someone else's */
export const rememberGroup = (pid: number): void => {
  if (living.size === 0) process.on('exit', killAll)
  living.add(pid)
}

export const forgetGroup = (pid: number): void => {
  living.delete(pid)
  if (living.size === 0) process.off('exit', killAll)
}

/** Sends a signal to every process of the group. @returns false when there is none left */
export const signalGroup = (group: number, signal: NodeJS.Signals): boolean => {
  try {
    return process.kill(-group, signal)
  } catch (error) {
    // ESRCH: nobody there. EPERM: only processes that took another user's identity; nothing we could do.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ESRCH' || code === 'EPERM') return false
    throw error
  }
}

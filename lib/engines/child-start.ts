/**
 * Starts a process by a function that starts one, where also a system without a free descriptor is an error to be caught.
 *
 * Node hands a process that could not even be given its pipes back unfinished (EMFILE, ENFILE). `execa` throws at the
 * sight of it, and the event with the reason comes later, when nobody can listen to it any more: an agent would die of it,
 * with every backup that it makes. So each process is listened to from the moment when it is made.
 */

import type { ChildProcess } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'

/** Node tells of every process here, before it starts it. Source: Node's documentation, "Built-in Channels". */
const CHANNEL = 'child_process'

/**
 * @param start synchronous: starts one process at most
 * @throws the system's error, in place of what `start` throws when there was no descriptor for the process
 */
export const startProcess = async <Started>(start: () => Started): Promise<{ readonly started: Started }> => {
  let failed: Promise<Error> | undefined
  const onProcess = (message: unknown): void => {
    const { process } = message as { readonly process: ChildProcess }
    failed = once(process, 'error').then(([error]) => error as Error)
    failed.catch(() => {}) // it is only looked at below
  }
  subscribe(CHANNEL, onProcess)
  try {
    return { started: start() } // not by itself: `execa` gives a promise
  } catch (error) {
    throw failed === undefined ? error : await Promise.race([failed, nextTurn(error)]) // it comes before the next turn
  } finally {
    unsubscribe(CHANNEL, onProcess)
  }
}

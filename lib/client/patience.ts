/**
 * A limit on waiting for the other side that does not blame it for our own absence.
 *
 *     limit over ─▶ one more look at what has come ─┬▶ something: stopped by whoever it was for
 *                                                   └▶ nothing: it has really run out
 *
 * A process that was stopped (SIGSTOP, a debugger, a host that slept) wakes up with its
 * timers over and with everything that came meanwhile still in its sockets. The timers run
 * first, so what is due is said only after the sockets were read.
 */

/** @returns what calls it off */
export const runsOutAfter = (milliseconds: number, onRunOut: () => void): (() => void) => {
  let look: NodeJS.Immediate | undefined
  const timer = setTimeout(() => {
    // Immediates come behind the phase in which sockets are read. Source: Node.js, "The event loop", "poll".
    look = setImmediate(onRunOut)
  }, milliseconds)
  return () => {
    clearTimeout(timer)
    clearImmediate(look)
  }
}

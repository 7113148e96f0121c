/** Whether a test may make users of this system, and become them. */

import { accessSync, constants } from 'node:fs'

export const canBecomeUser = (): boolean =>
  process.geteuid?.() === 0 && ['useradd', 'userdel', 'setpriv'].every(isThere)

const isThere = (program: string): boolean =>
  ['/usr/sbin', '/usr/bin'].some((directory) => {
    try {
      accessSync(`${directory}/${program}`, constants.X_OK)
      return true
    } catch {
      return false
    }
  })

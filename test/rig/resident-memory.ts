/** How much memory a process of this host takes. Source: VmHWM and VmRSS of proc(5). */

import { readFileSync } from 'node:fs'

const MIB = 1024 * 1024

const bytesOf = (pid: number, field: 'VmHWM' | 'VmRSS'): number => {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]
  if (kilobytes === undefined) throw new Error(`no ${field} of process ${pid}`)
  return Number(kilobytes) * 1024
}

/** The most that a process has ever taken, resident. */
export const peakMebibytes = (pid: number): number => bytesOf(pid, 'VmHWM') / MIB

/** What it takes now. */
export const residentMebibytes = (pid: number): number => bytesOf(pid, 'VmRSS') / MIB

/**
 * Lines on a descriptor that is open already: standard error.
 *
 * Written synchronously, so that the last line before a crash is not lost. A reader that
 * went away, or a full disk behind it, loses lines and nothing else.
 */

import { writeSync } from 'node:fs'

import { type LogDestination, lostLine, safeLine } from './destination.ts'

export const descriptorDestination = (descriptor: number): LogDestination => {
  let lost = 0
  return {
    write: (line) => {
      const text = lost === 0 ? safeLine(line) : lostLine(lost) + safeLine(line)
      if (writeWhole(descriptor, Buffer.from(text))) lost = 0
      else lost += 1
    },
    reopen: () => {},
    close: async () => {},
  }
}

/** A pipe that is full, and never blocks, gets so many tries: its reader is slow, or stopped. */
const TRIES_AGAIN = 100

/** @returns false when the line, or its end, could not be written */
export const writeWhole = (descriptor: number, bytes: Buffer): boolean => {
  let at = 0
  for (let again = 0; at < bytes.length && again < TRIES_AGAIN; ) {
    try {
      at += writeSync(descriptor, bytes, at)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return false
      again += 1
    }
  }
  return at === bytes.length
}

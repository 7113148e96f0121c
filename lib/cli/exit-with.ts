/**
 * Hands the exit status of a program to the process; a process that ends before there is one has not done its work.
 *
 * Node ends, with status 0, when nothing is left that could happen: also in the middle of something that was
 * forgotten. A backup that was never proved must not look like one that was.
 */

import { EXIT } from '../errors/index.ts'

export const exitWith = async (work: Promise<number>): Promise<void> => {
  let isOver = false
  process.once('exit', (status) => {
    if (!isOver && status === EXIT.ok) process.exitCode = EXIT.bug
  })
  process.exitCode = await work
  isOver = true
}

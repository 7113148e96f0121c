/**
 * Makes sure that nothing a test or the demo started outlives it, whatever ends it.
 *
 * Exit handlers are not enough: Jest gives tests a copy of `process` whose `exit` never
 * comes, and nobody handles `kill -9`. So a second process (`guard-process.ts`) holds the
 * other end of a pipe, and when the pipe closes it tidies up what is still registered.
 * It is started with the first registration and ends with the last one.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** One line on the guard's standard input. */
export type GuardOrder =
  | { readonly order: 'watch process'; readonly pid: number; readonly word: string }
  | { readonly order: 'forget process'; readonly pid: number }
  | { readonly order: 'watch directory' | 'forget directory'; readonly path: string }

const PROGRAM = fileURLToPath(new URL('./guard-process.js', import.meta.url))

let guard: ChildProcess | undefined
let watched = 0

/** Kills the process if we end before `forgetProcess`. `word` must stand in its command line. */
export const watchProcess = (pid: number, word: string): void => {
  tell({ order: 'watch process', pid, word }, +1)
}

export const forgetProcess = (pid: number): void => {
  tell({ order: 'forget process', pid }, -1)
}

/**
 * Makes a private directory (mode 0700) which is removed at the latest when this process ends.
 *
 * @param parent where to make it; the system's directory for temporary files by default
 */
export const makeGuardedDirectory = (purpose: string, parent: string = tmpdir()): string => {
  const path = mkdtempSync(join(parent, `kv-${purpose}-`))
  watchDirectory(path)
  return path
}

export const watchDirectory = (path: string): void => {
  tell({ order: 'watch directory', path }, +1)
}

/** Removes the directory now. */
export const removeGuardedDirectory = async (path: string): Promise<void> => {
  await rm(path, { recursive: true, force: true, maxRetries: 3 })
  forgetDirectory(path)
}

/** The directory was removed, or renamed to something that stays. */
export const forgetDirectory = (path: string): void => {
  tell({ order: 'forget directory', path }, -1)
}

const tell = (order: GuardOrder, change: 1 | -1): void => {
  watched += change
  guard ??= startGuard()
  guard.stdin?.write(`${JSON.stringify(order)}\n`)
  if (watched > 0) return
  guard.stdin?.end()
  guard = undefined
}

const startGuard = (): ChildProcess => {
  // Its standard error is ours: whoever waits for the end of our output waits for the tidying too.
  const child = spawn(process.execPath, [PROGRAM], { detached: true, stdio: ['pipe', 'ignore', 'inherit'], env: {} })
  child.stdin.on('error', () => {}) // somebody killed the guard: then it cannot help
  child.on('error', () => {})
  child.unref()
  ;(child.stdin as Socket).unref() // must not keep a process alive that is done
  return child
}

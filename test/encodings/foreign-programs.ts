/**
 * Runs other people's encoders and decoders, and opens the fixtures they made.
 */

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const fixturePath = (name: string): string =>
  fileURLToPath(new URL(`../../../fixtures/encodings/${name}`, import.meta.url))

export const fixture = (name: string): Buffer => readFileSync(fixturePath(name))

/** What the fixtures `…-N` are made of. */
export const RAW = fixture('raw.bin')

/** Runs a program to its end. Anything but exit status 0 is the test's failure, in the program's own words. */
export const run = (program: string, args: readonly string[], input: Buffer): Buffer => {
  const { error, status, signal, stdout, stderr } = spawnSync(program, args, { input, maxBuffer: 256 * 1024 * 1024 })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${program} ended with ${status ?? signal}: ${stderr}`)
  return stdout
}

/** Whether the program is installed at all; a test that needs it says so in its name when it is skipped. */
export const isInstalled = (program: string): boolean => spawnSync(program, ['--version']).error === undefined

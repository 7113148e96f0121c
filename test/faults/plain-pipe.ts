/**
 * The peer: `mariadb-backup --stream=xbstream | reader`, as a script has it, without an agent.
 *
 * The reader takes what comes, at a rate if it must, and pauses when it is told to.
 */

import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

import { forgetProcess, watchProcess } from '../rig/guard.ts'
import { plainEnvironment } from '../rig/run-program.ts'
import type { TestedServer } from './tested-server.ts'

export interface PlainPipeEnd {
  readonly exitCode: number | null
  readonly saidOk: boolean
  readonly bytes: number
  /** What it complained about last, without its stamp. */
  readonly complaint: string
  readonly seconds: number
}

export interface PlainPipeOptions {
  readonly bytesPerSecond?: number
  /** Pauses the reader for so long, when the program has said this, or when so many bytes were read. */
  readonly pause?: { readonly at: RegExp | number; readonly ms: number }
}

/** Small pieces, so that a slow reader is slow all the time. */
const PIECE_BYTES = 256 * 1024

export const plainPipe = async (
  tested: TestedServer,
  directory: string,
  { bytesPerSecond, pause }: PlainPipeOptions,
): Promise<PlainPipeEnd> => {
  const optionFile = join(directory, 'login.cnf')
  const { user, password } = tested.login
  const quoted = (text: string): string => `"${text.replace(/[\\"]/g, '\\$&')}"`
  writeFileSync(optionFile, `[mariadb-backup]\nuser=${quoted(user)}\npassword=${quoted(password)}\n`, { mode: 0o600 })
  const started = performance.now()
  const words = [`--defaults-file=${optionFile}`, '--backup', '--stream=xbstream', `--socket=${tested.server.socket}`]
  const child = spawn('mariadb-backup', words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: plainEnvironment(),
    cwd: directory,
    detached: true,
  })
  const { pid = 0 } = child
  watchProcess(pid, 'mariadb-backup')
  let lastLine = ''
  let complaint = ''
  let resumeAtMs = 0
  let hasPaused = false
  const pauseNow = (): void => {
    if (hasPaused || pause === undefined) return
    hasPaused = true
    resumeAtMs = performance.now() + pause.ms
  }
  createInterface({ input: child.stderr }).on('line', (line) => {
    lastLine = line
    if (/error|only able/i.test(line)) complaint = line.replace(/^\[\d+\] (FATAL ERROR: )?[\d: -]+/, '')
    if (pause?.at instanceof RegExp && pause.at.test(line)) pauseNow()
  })
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
  let bytes = 0
  for await (const chunk of child.stdout) {
    for (let rest = chunk as Buffer; rest.length > 0; rest = rest.subarray(PIECE_BYTES)) {
      const piece = Math.min(rest.length, PIECE_BYTES)
      bytes += piece
      if (typeof pause?.at === 'number' && bytes >= pause.at) pauseNow()
      const rateMs = bytesPerSecond === undefined ? 0 : (piece / bytesPerSecond) * 1000
      if (rateMs > 0) await delay(rateMs)
      while (performance.now() < resumeAtMs) await delay(20)
    }
  }
  const exitCode = await closed
  forgetProcess(pid)
  const seconds = (performance.now() - started) / 1000
  return { exitCode, saidOk: lastLine.endsWith('completed OK!'), bytes, complaint, seconds }
}

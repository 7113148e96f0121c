/**
 * The program that tidies up after a test process which cannot do so itself.
 *
 * It is told on standard input what exists, one JSON line each. When its input ends and
 * something is still registered, then whoever started it is gone (it returned early, was
 * interrupted, was killed with `kill -9`): it kills the processes and removes the directories.
 *
 * Runs in a session of its own, so that Ctrl-C in a terminal does not reach it. A process is
 * killed only while its command line holds the word it was registered with: a number that
 * the system has given to somebody else in the meantime is left alone.
 */

import { readFileSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'

import type { GuardOrder } from './guard.ts'

/** How long a process that got SIGKILL may take to disappear; it may have to finish a write. */
const GONE_WITHIN_MS = 10_000

const processes = new Map<number, string>()
const directories = new Set<string>()

const obey = (order: GuardOrder): void => {
  switch (order.order) {
    case 'watch process':
      processes.set(order.pid, order.word)
      return
    case 'forget process':
      processes.delete(order.pid)
      return
    case 'watch directory':
      directories.add(order.path)
      return
    case 'forget directory':
      directories.delete(order.path)
  }
}

/** Whether the process runs, and is still the one that was registered. A zombie has no command line. */
const isAlive = (pid: number, word: string): boolean => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(word)
  } catch {
    return false
  }
}

const kill = async (pid: number, word: string): Promise<void> => {
  if (!isAlive(pid, word)) return
  process.kill(pid, 'SIGKILL')
  const end = performance.now() + GONE_WITHIN_MS
  while (isAlive(pid, word) && performance.now() < end) await wait(5)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

for await (const line of createInterface({ input: process.stdin })) obey(JSON.parse(line) as GuardOrder)
await Promise.allSettled([...processes].map(([pid, word]) => kill(pid, word)))
for (const path of directories) rmSync(path, { recursive: true, force: true, maxRetries: 3 })

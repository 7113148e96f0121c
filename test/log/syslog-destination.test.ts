/** Syslog through util-linux' own `logger`, against a datagram socket; and what happens when `logger` is killed. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { loggerStarter } from '../../lib/engines/index.ts'
import { createLogger, type LinePipe, syslogDestination } from '../../lib/log/index.ts'
import { DatagramReceiver } from '../rig/datagrams.ts'

let scratch: string
let receiver: DatagramReceiver
let path: string
beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'syslog-'))
  path = join(scratch, 'log')
  receiver = await DatagramReceiver.start(path)
})
afterEach(async () => {
  await receiver.stop()
  rmSync(scratch, { recursive: true })
})

const children = (): number[] =>
  readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .map(Number)
    .filter((pid) => {
      try {
        return /\0--tag\0.*\0--socket\0/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
      } catch {
        return false
      }
    })

test('each line is a message of its own, with priority, name and process id, by one program for all', async () => {
  const destination = syslogDestination(await loggerStarter('backup-agent', path))
  const log = await createLogger({ level: 'info', name: 'test', destination })

  log.info('one')
  log.warn('two')
  log.fatal('three')
  await receiver.received((text) => text.includes('"three"'))
  const programs = children()
  await destination.close()

  // daemon is 3, eight priorities each: info 6, warning 4, critical 2. Source: RFC 3164, 4.1.1.
  expect(receiver.datagrams.map((text) => /^<(\d+)>/.exec(text)?.[1])).toEqual(['30', '28', '26'])
  for (const text of receiver.datagrams) expect(text).toContain(`backup-agent[${process.pid}]: {"level":`)
  expect(programs).toHaveLength(1)
  expect(children()).toEqual([])
})

test('a long line is cut, and is still one message below 2 kB', async () => {
  const destination = syslogDestination(await loggerStarter('backup-agent', path))

  destination.write(`{"level":"info","msg":"${'é'.repeat(5000)}"}\n`)
  destination.write('{"level":"info","msg":"the next"}\n')
  await receiver.received((text) => text.includes('the next'))
  await destination.close()

  expect(receiver.datagrams).toHaveLength(2)
  expect(Buffer.byteLength(receiver.datagrams[0] ?? '')).toBeLessThan(2048)
  expect(receiver.datagrams[0]).toMatch(/é…$/)
})

test('killed, it is started again a while later, and the log says how much was lost', async () => {
  let nowMs = 0
  const pipes: LinePipe[] = []
  const start = await loggerStarter('backup-agent', path)
  const destination = syslogDestination(
    () => {
      const pipe = start()
      if (pipe !== undefined) pipes.push(pipe)
      return pipe
    },
    () => nowMs,
  )
  destination.write('{"level":"info","msg":"one"}\n')
  await receiver.received((text) => text.includes('"one"'))
  for (const pid of children()) process.kill(pid, 'SIGKILL')
  while (pipes[0]?.isDead() === false) await new Promise((resolve) => setImmediate(resolve))

  destination.write('{"level":"info","msg":"lost"}\n')
  nowMs += 1000
  destination.write('{"level":"info","msg":"two"}\n')
  await receiver.received((text) => text.includes('"two"'))
  await destination.close()

  expect(receiver.datagrams.join('\n')).toContain('1 log lines before this one were lost')
  expect(pipes).toHaveLength(2)
})

test('a socket that nobody listens on ends `logger`, and nothing else', async () => {
  const destination = syslogDestination(await loggerStarter('backup-agent', join(scratch, 'nobody')))

  destination.write('{"level":"info","msg":"one"}\n')

  await expect(destination.close()).resolves.toBeUndefined()
})

/** A crash leaves no core: it would hold passwords and rows. */

import { readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { expect, test } from '@jest/globals'

import { untilNone } from '../faults/host-look.ts'
import { AgentProcess } from '../rig/agent-process.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'

const LONG_ENOUGH_MS = 60_000

const coreLimitOf = (pid: number): string =>
  /^Max core file size +(\S+ +\S+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))?.[1]?.replace(/ +/, ' ') ?? ''

/** A hard limit of 0 cannot be raised again, not even for a test, except by root. */
const mayRaise = spawnSync('prlimit', ['--core=unlimited', 'true']).status === 0

;(mayRaise ? test : test.skip)(
  'an agent that was started with cores allowed forbids them to itself and its programs',
  async () => {
    const source = makeGuardedDirectory('core')
    const options = ['--engine', 'directory', '--directory', source]
    const agent = await AgentProcess.start(options, { launcher: ['prlimit', '--core=unlimited:unlimited'] })

    const { left } = await untilNone(
      () => (coreLimitOf(agent.pid) === '0 0' ? [] : [coreLimitOf(agent.pid)]),
      LONG_ENOUGH_MS,
    )
    await agent.stop()
    await removeGuardedDirectory(source)

    expect(left).toEqual([])
    expect(agent.stderr).not.toContain('core file')
  },
)

test('an agent that was started without them starts nothing for it', async () => {
  const source = makeGuardedDirectory('core')
  const options = ['--engine', 'directory', '--directory', source]

  const agent = await AgentProcess.start(options, { launcher: ['prlimit', '--core=0:0'] })
  const limit = coreLimitOf(agent.pid)
  await agent.stop()
  await removeGuardedDirectory(source)

  expect(limit).toBe('0 0')
  expect(agent.stderr).not.toContain('core file')
})

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { pingAgent } from '../../lib/client/index.ts'
import { AgentProcess } from '../rig/agent-process.ts'

let source: string
let agent: AgentProcess

beforeAll(async () => {
  source = mkdtempSync(join(tmpdir(), 'strangers-'))
  writeFileSync(join(source, 'ibdata1'), 'a tablespace')
  agent = await AgentProcess.start(['--directory', source])
})
afterAll(() => rmSync(source, { recursive: true }))

test('says nothing outside of its log, however many connections wait at the same time', async () => {
  const strangers: Socket[] = []
  for (let i = 0; i < 40; i += 1) strangers.push(connect(agent.port, agent.host))
  await pingAgent({ host: agent.host, port: agent.port }) // behind all of them in the queue

  for (const stranger of strangers) stranger.destroy()
  await agent.stop()

  const others = agent.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'))
  expect(others).toEqual([])
})

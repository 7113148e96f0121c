/**
 * The real agent and a thousand connections that want nothing: what they cost, and whether a real client notices.
 *
 * Verdicts are counts and whole backups, never times; those are in `npm run faults -- --only strangers`.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { agentStatus, fetchBackup, pingAgent } from '../../lib/client/index.ts'
import { holdBackup } from '../faults/held-backup.ts'
import { AgentProcess } from '../rig/agent-process.ts'
import { peakMebibytes } from '../rig/resident-memory.ts'
import { Strangers } from '../rig/strangers.ts'

/** Source: goal 7 of the fault matrix. */
const MOST_MEBIBYTES = 100
/** What has been said is in memory, too: 64 kB at most of each who waits, and of those who came in the same moment. */
const MOST_MEBIBYTES_SAID = 160

let scratch: string
let source: string

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'strangers-'))
  source = mkdtempSync(join(scratch, 'source-'))
  writeFileSync(join(source, 'ibdata1'), Buffer.alloc(3_000_000, 'a tablespace'))
})
afterAll(() => rmSync(scratch, { recursive: true }))

const start = (...options: string[]): Promise<AgentProcess> => AgentProcess.start(['--directory', source, ...options])

/** A whole backup with the agent's verdict, or thrown. */
const fetchWhole = async ({ host, port }: AgentProcess): Promise<string> => {
  const file = join(mkdtempSync(join(scratch, 'fetched-')), 'backup.tar')
  return (await fetchBackup({ host, port, target: { file }, requireVerdict: true }).receipt).proof
}

/** As much of a request as an agent takes before it is whole. */
const FAT = `0.77.0\n200\n${Array.from({ length: 7 }, (_, at) => `key${at}=${'x'.repeat(8000)}\n`).join('')}`

describe('says nothing outside of its log', () => {
  test('however many connections wait at the same time', async () => {
    const agent = await start()
    const strangers: Socket[] = []
    for (let i = 0; i < 40; i += 1) strangers.push(connect(agent.port, agent.host))
    await pingAgent({ host: agent.host, port: agent.port }) // behind all of them in the queue

    for (const stranger of strangers) stranger.destroy()
    await agent.stop()

    const others = agent.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'))
    expect(others).toEqual([])
  })
})

describe.each([
  ['one address', 1],
  ['four addresses', 4],
  ['five hundred addresses', 500],
])('a thousand strangers from %s', (_, sources) => {
  test.each<[string, string | undefined, number]>([
    ['say nothing', undefined, MOST_MEBIBYTES],
    ['begin a request', '0.77.0\n20\naction=', MOST_MEBIBYTES],
    ['say almost all of the largest request there is', FAT, MOST_MEBIBYTES_SAID],
  ])('that %s: backups are made behind them, memory and log stay small', async (_says, saying, mostMebibytes) => {
    const agent = await start()
    const strangers = await Strangers.come({
      port: agent.port,
      count: 1000,
      sources,
      ...(saying === undefined ? {} : { saying }),
    })

    const proofs = [await fetchWhole(agent), await fetchWhole(agent)]
    const peak = peakMebibytes(agent.pid)
    const line = await agent.logged(({ code }) => code === 'AGENT_CONNECTIONS')
    await strangers.leave()
    const { exitCode } = await agent.stop()

    expect(proofs).toEqual(['agent-verdict', 'agent-verdict'])
    expect(peak).toBeLessThan(mostMebibytes)
    expect(line).toMatchObject({ level: 'warn', msg: expect.stringContaining('dropped') })
    expect(agent.logs.length).toBeLessThan(150)
    expect(exitCode).toBe(0)
  })
})

test('a thousand strangers that are all let in cost as little, and a backup is made beside them', async () => {
  const room = ['--connections', '1200', '--connections-per-source', '1200', '--connections-unknown', '1200']
  const agent = await start(...room, '--request-seconds', '3600')
  const strangers = await Strangers.come({ port: agent.port, count: 1000, sources: 4, saying: '0.77.0\n' })

  const proof = await fetchWhole(agent)
  const { jobs } = await agentStatus({ host: agent.host, port: agent.port })
  const peak = peakMebibytes(agent.pid)

  expect(proof).toBe('agent-verdict')
  expect(jobs).toEqual([])
  expect(strangers.open).toHaveLength(1000)
  expect(peak).toBeLessThan(MOST_MEBIBYTES)
  await strangers.leave()
  await agent.stop()
})

test('a flood of five thousand connections while a backup runs does not touch it', async () => {
  const agent = await start('--spill-bytes', '0')
  const directory = mkdtempSync(join(scratch, 'held-'))
  const held = await holdBackup({ agent, directory, encoding: 'framed', sid: 'held', at: 500_000 })

  let came = 0
  for (let wave = 0; wave < 10; wave += 1) {
    const strangers = await Strangers.come({ port: agent.port, count: 500, sources: 100 })
    came += strangers.all.length
    await strangers.leave()
  }
  const { jobs } = await agentStatus({ host: agent.host, port: agent.port })
  const { exitCode, hasFinal, report } = await held.release()

  expect(came).toBe(5000)
  expect(jobs.map(({ sid }) => sid)).toEqual(['held'])
  expect({ exitCode, hasFinal, status: report?.status }).toEqual({ exitCode: 0, hasFinal: true, status: 'COMPLETE' })
  await agent.stop()
})

test('requests that are answered and never read leave when others come', async () => {
  const agent = await start()
  const ping = '0.77.0\n1\naction=ping\n\n'
  const strangers = await Strangers.come({ port: agent.port, count: 1000, sources: 250, saying: ping })

  await expect(fetchWhole(agent)).resolves.toBe('agent-verdict')

  await strangers.leave()
  await agent.stop()
})

test('limits that are read again hold from then on', async () => {
  const file = join(scratch, 'agent.toml')
  writeFileSync(file, '')
  const agent = await start('--config', file)
  const before = await Strangers.come({ port: agent.port, count: 50, sources: 1 })
  await pingAgent({ host: agent.host, port: agent.port })
  expect(before.open).toHaveLength(50)

  writeFileSync(file, 'connections-per-source = 5\n')
  agent.signal('SIGHUP')
  await agent.logged('configuration taken over')
  const after = await Strangers.come({ port: agent.port, count: 1, sources: 1 })
  await Promise.all(before.all.slice(0, 46).map(({ closed }) => closed))
  await pingAgent({ host: agent.host, port: agent.port })

  expect([...before.open, ...after.open]).toHaveLength(5)
  await before.leave()
  await after.leave()
  await agent.stop()
})

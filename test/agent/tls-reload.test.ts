/** New certificates are taken over while the agent runs, and bad ones are not. */

import { randomBytes } from 'node:crypto'
import { copyFileSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { SecureDoor } from '../../lib/agent/secure-door.ts'
import { fetchBackup, pingAgent } from '../../lib/client/index.ts'
import type { Logger } from '../../lib/log/index.ts'
import { type Fault, FaultProxy } from '../faults/fault-proxy.ts'
import { AgentProcess } from '../rig/agent-process.ts'
import { daysFromNow, TestAuthority, type TestIdentity } from '../rig/certificates.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'

const MB = 1_000_000

let scratch: string
let old: TestAuthority
let young: TestAuthority
beforeAll(() => {
  scratch = makeGuardedDirectory('tls-reload')
  old = TestAuthority.make(scratch, 'old')
  young = TestAuthority.make(scratch, 'young')
})
afterAll(() => removeGuardedDirectory(scratch))

let files: TestIdentity
let names = 0
beforeEach(() => {
  const home = join(scratch, `files-${++names}`)
  mkdirSync(home)
  files = { certificate: join(home, 'agent.crt'), key: join(home, 'agent.key') }
  put(old.issue(`localhost-${names}`, { names: ['DNS:localhost', 'IP:127.0.0.1'] }))
})

/** As certbot and others do: a new file takes the name. */
const put = ({ certificate, key }: TestIdentity): void => {
  for (const [from, to] of [
    [certificate, files.certificate],
    [key, files.key],
  ] as const) {
    copyFileSync(from, `${to}.new`)
    renameSync(`${to}.new`, to)
  }
}

interface Line {
  readonly level: string
  readonly text: string
  readonly facts: Record<string, unknown>
}

describe('a door', () => {
  let lines: Line[]
  let nowMs: number
  const at = (level: string) => (facts: Record<string, unknown>, text: string) => lines.push({ level, text, facts })
  const log = { info: at('info'), error: at('error') } as unknown as Logger
  const open = (more: object = {}) =>
    SecureDoor.open({ ...files, ...more }, log, { wallClockMs: Date.now, nowMs: () => nowMs })
  beforeEach(() => {
    lines = []
    nowMs = 0
  })

  test('looks at its files again after some seconds, and not before', async () => {
    const door = await open()
    const first = await door.current()
    put(young.issue('localhost-next'))

    nowMs = 1_999
    expect(await door.current()).toBe(first)
    nowMs = 2_000
    expect(await door.current()).not.toBe(first)
    expect(lines).toEqual([
      { level: 'info', text: 'certificate taken over', facts: expect.objectContaining({ names: ['localhost-next'] }) },
    ])
  })

  test('is asked by many at once, and looks once', async () => {
    const door = await open()
    put(young.issue('localhost-once'))
    nowMs = 10_000

    const servers = await Promise.all(Array.from({ length: 20 }, () => door.current()))

    expect(new Set(servers).size).toBe(1)
    expect(lines.length).toBe(1)
  })

  test('notices that a link leads elsewhere now', async () => {
    const [one, two] = [files, young.issue('localhost-linked')]
    const certificate = join(scratch, `link-${names}`)
    symlinkSync(one.certificate, certificate)
    const key = join(scratch, `key-${names}`)
    copyFileSync(one.key, key)
    files = { certificate, key }
    const door = await open()
    symlinkSync(two.certificate, `${certificate}.new`)
    renameSync(`${certificate}.new`, certificate)
    copyFileSync(two.key, `${key}.new`)
    renameSync(`${key}.new`, key)
    nowMs = 5_000

    await door.current()

    expect(lines).toMatchObject([{ level: 'info', facts: { names: ['localhost-linked'] } }])
  })

  test.each<[string, () => void, string]>([
    ['a key that does not fit', () => copyFileSync(young.issue('localhost-alien').key, files.key), 'AGENT_TLS_KEY'],
    [
      'a certificate that has expired',
      () => put(old.issue('localhost-gone', { from: daysFromNow(-9), until: daysFromNow(-1) })),
      'AGENT_TLS_EXPIRED',
    ],
    ['half a file', () => writeFileSync(files.certificate, '-----BEGIN CERT'), 'AGENT_TLS_FILE'],
    ['no file', () => renameSync(files.key, `${files.key}.away`), 'AGENT_TLS_FILE'],
  ])('keeps what it has where it finds %s, says so once, and takes the next good one', async (_, spoil, code) => {
    const door = await open()
    const first = await door.current()
    spoil()

    for (nowMs = 2_000; nowMs < 20_000; nowMs += 2_000) expect(await door.current()).toBe(first)
    expect(lines).toEqual([
      {
        level: 'error',
        text: expect.stringMatching(/^the new certificate is not taken over, the old one stays: ./),
        facts: expect.objectContaining({ code }),
      },
    ])

    put(young.issue(`localhost-mended-${names}`))
    nowMs += 2_000
    expect(await door.current()).not.toBe(first)
  })

  test('tells of certificates that are about to expire, its own and those of authorities', async () => {
    put(old.issue('localhost-soon', { until: daysFromNow(10.5) }))
    const door = await open({ clientAuthorities: young.certificate })

    expect(door.warnings(Date.now())).toEqual([
      expect.stringMatching(/agent\.crt: the certificate of the agent expires in 10 days, on \d{4}-\d\d-\d\d$/),
      expect.stringMatching(/young\/ca\.crt: an authority of clients expires in 29 days/),
    ])
    expect(door.warnings(daysFromNow(11).getTime())[0]).toMatch(/has expired on/)
    expect(door.warnings(daysFromNow(-5).getTime())).toEqual([expect.stringContaining('agent.crt')])
  })
})

describe('an agent', () => {
  let source: string
  beforeAll(() => {
    source = join(scratch, 'source')
    mkdirSync(source)
    writeFileSync(join(source, 'ibdata1'), randomBytes(48 * MB))
  })
  const start = () =>
    AgentProcess.start([
      '--directory',
      source,
      '--spool-dir',
      scratch,
      '--tls-cert',
      files.certificate,
      '--tls-key',
      files.key,
    ])
  const ping = (port: number, ca: string) => pingAgent({ host: '127.0.0.1', port, tls: { ca } })

  test('shows its new certificate by itself, and a backup that runs goes on', async () => {
    const agent = await start()
    const { port } = agent
    const hold: Fault = { at: 2 * MB, do: 'hold' }
    const proxy = await FaultProxy.start(port, { toClient: { faults: [hold] } })
    const file = join(scratch, `backup-${names}.tar`)
    const address = { host: '127.0.0.1', port: proxy.port }
    const { receipt } = fetchBackup({ ...address, tls: { ca: old.certificate }, target: { file } })
    const connection = await proxy.next()
    await connection.toClient.happened(hold)
    put(young.issue(`localhost-running-${names}`, { names: ['IP:127.0.0.1'] }))
    // It looks every two seconds at most.
    const isTakenOver = () =>
      ping(port, young.certificate).then(
        () => true,
        () => delay(100, false),
      )
    while (!(await isTakenOver())) {}
    connection.toClient.resume()

    expect(await receipt).toMatchObject({ proof: 'agent-verdict' })
    expect(agent.logs.filter(({ msg }) => msg === 'certificate taken over').length).toBeLessThanOrEqual(2)
    await expect(ping(port, old.certificate)).rejects.toMatchObject({ code: 'CLIENT_TLS_UNTRUSTED' })
    await proxy.close()
    await agent.stop()
  })

  test('takes it over at once when it is told to, and says why it does not', async () => {
    const agent = await start()
    put(young.issue(`localhost-told-${names}`, { names: ['IP:127.0.0.1'] }))
    agent.signal('SIGHUP')
    await agent.logged('configuration taken over')
    await expect(ping(agent.port, young.certificate)).resolves.toBeDefined()

    copyFileSync(old.issue(`localhost-wrong-${names}`).key, files.key)
    agent.signal('SIGHUP')
    const refused = await agent.logged((line) => line.msg.includes('is not taken over'))

    expect(refused['code']).toBe('AGENT_TLS_KEY')
    await expect(ping(agent.port, young.certificate)).resolves.toBeDefined()
    await agent.stop()
  })

  test('does not start with a bad one, and says why', async () => {
    copyFileSync(young.issue(`localhost-bad-${names}`).key, files.key)

    await expect(start()).rejects.toThrow(/status 2[\s\S]*does not belong to the certificate[\s\S]*AGENT_TLS_KEY/)
  })

  test('warns when it starts of a certificate that is about to expire', async () => {
    put(old.issue(`localhost-soon-${names}`, { until: daysFromNow(3) }))

    const agent = await start()

    await agent.logged((line) => /expires in [23] days/.test(line.msg))
    await agent.stop()
  })
})

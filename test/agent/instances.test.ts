import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { agentStatus, backupVerdict, fetchBackup } from '../../lib/client/index.ts'
import type { AgentSettings } from '../../lib/config/index.ts'
import { readHistory } from '../../lib/history/index.ts'
import { type RawClient, rawClient } from '../rig/raw-client.ts'

let scratch: string
let agent: RunningAgent | undefined
const clients: RawClient[] = []

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'instances-'))
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy()
  await agent?.stop()
  agent = undefined
  rmSync(scratch, { recursive: true })
})

/** Larger than all buffers between two sockets: its backup cannot end while its client does not read. */
const BIG = 64 * 1024 * 1024

/** A stopped server's directory that can be told from all others. */
const server = (name: string, bytes?: number): string => {
  const directory = join(scratch, name)
  mkdirSync(directory)
  writeFileSync(join(directory, 'ibdata1'), randomBytes(10_000))
  writeFileSync(join(directory, `${name}.frm`), name)
  if (bytes !== undefined) truncateSync(join(directory, 'ibdata1'), bytes)
  return directory
}

const start = async (settings: Partial<AgentSettings>): Promise<RunningAgent> => {
  agent = await startAgent({ port: 0, engine: 'directory', ...settings })
  return agent
}

let fetched = 0
/** Whose backup it is. */
const fetch = async ({ host, port }: RunningAgent, instance?: string, sid?: string): Promise<string> => {
  fetched += 1
  const target = join(scratch, `fetched-${fetched}`)
  await fetchBackup({ host, port, target: { directory: target }, instance, sid }).receipt
  for (const name of ['shop', 'crm', 'top', 'other']) {
    try {
      return readFileSync(join(target, `${name}.frm`), 'utf8')
    } catch {
      // another one's
    }
  }
  throw new Error('a backup of nobody')
}

/** A client of 0.76 whose backup has begun, and that does not read on. */
const slow = async ({ port }: RunningAgent, pair: string): Promise<RawClient> => {
  const client = await rawClient(port)
  clients.push(client)
  const pairs = [
    'action=copy from',
    'backup-level=0',
    'file=x/ZRM_LINKS/.',
    'agent-stream-encoding=application/octet-stream',
    pair,
  ]
  client.socket.write(`0.76.1\n${pairs.length}\n${pairs.join('\n')}\n\n`)
  await client.hasReceived(1)
  client.socket.pause()
  return client
}

describe('an agent with several servers', () => {
  test('sends the backup of the one that was asked for, and says whose it is wherever it speaks of it', async () => {
    const stateDirectory = join(scratch, 'state')
    const running = await start({
      directory: server('top'),
      stateDirectory,
      instances: { shop: { directory: server('shop') }, crm: { directory: server('crm') } },
    })

    expect(await fetch(running, 'crm', 'crm 1')).toBe('crm')
    expect(await fetch(running, 'shop', 'shop 1')).toBe('shop')
    expect(await fetch(running, undefined, 'top 1')).toBe('top')

    const { jobs } = await readHistory(stateDirectory)
    expect(jobs.map(({ sid, instance }) => [sid, instance])).toEqual([
      ['crm 1', 'crm'],
      ['shop 1', 'shop'],
      ['top 1', undefined],
    ])
    expect(await backupVerdict('crm 1', { host: running.host, port: running.port })).toMatchObject({
      instance: 'crm',
    })
    expect((await agentStatus({ host: running.host, port: running.port })).instances).toEqual(['shop', 'crm'])
  })

  test('is found by the socket that a deployed client of 0.76 sends', async () => {
    const running = await start({
      instances: {
        shop: { directory: server('shop'), socket: '/run/shop.sock' },
        crm: { directory: server('crm'), knownAs: ['/var/lib/crm/mysql.sock'] },
      },
    })

    const found = async (path: string): Promise<string> => {
      const client = await slow(running, `xtrabackup-agent:socket=${path}`)
      client.socket.resume()
      return (await client.ended()).bytes.toString('latin1')
    }

    expect(await found('/run/shop.sock')).toMatch(/^READY\n.*shop\.frm/s)
    expect(await found('/var/lib/crm/mysql.sock')).toMatch(/^READY\n.*crm\.frm/s)
    expect(await found('/var/lib/mysql/mysql.sock')).toContain('code=AGENT_INSTANCE\n')
  })

  test('makes a backup of each at the same time, and one of each at a time', async () => {
    const running = await start({
      instances: { shop: { directory: server('shop', BIG) }, crm: { directory: server('crm', BIG) } },
    })

    await slow(running, 'instance=shop')
    await slow(running, 'instance=crm')

    const { jobs } = await agentStatus({ host: running.host, port: running.port })
    expect(jobs.map(({ instance, state }) => [instance, state])).toEqual([
      ['shop', 'streaming'],
      ['crm', 'streaming'],
    ])
    const second = await slow(running, 'instance=shop')
    second.socket.resume()
    expect((await second.ended()).bytes.toString()).toContain('code=JOB_BUSY\n')
  })

  test('does not start when one of them cannot be, and says which', async () => {
    await expect(start({ instances: { shop: { directory: join(scratch, 'nowhere') } } })).rejects.toMatchObject({
      code: 'ENGINE_DIRECTORY',
      message: expect.stringMatching(/^instance shop: /),
    })
  })
})

describe('a client that asks for an instance', () => {
  const refusedBy = async (answer: string): Promise<unknown> => {
    const { createServer } = await import('node:net')
    const old = createServer((socket) => socket.once('data', () => socket.end(answer)))
    old.listen(0, '127.0.0.1')
    await once(old, 'listening')
    const { port } = old.address() as { port: number }
    try {
      const target = { file: join(scratch, 'x.tar') }
      return await fetchBackup({ host: '127.0.0.1', port, target, instance: 'shop' }).receipt.catch(
        (error: unknown) => error,
      )
    } finally {
      old.close()
    }
  }

  test('asks no older agent instead: that one would send whichever server it has', async () => {
    expect(await refusedBy('2\nstatus=FAILED\nmsg=Incompatible client version 0.77.0.\n\n')).toMatchObject({
      code: 'CLIENT_REFUSED',
      message: expect.stringContaining('older than protocol 0.77'),
    })
  })

  test.each([
    ['does not say which server it has accepted', ''],
    ['has accepted another server', 'instance=crm\n'],
  ])('takes nothing from an agent that %s', async (_, pair) => {
    const pairs = [
      'status=ACCEPTED',
      'msg=m',
      'sid=s',
      'agent=a/1',
      'protocol=0.77.0',
      'engine=directory',
      'engine-version=1',
      'format=tar',
    ]
    const more = ['encoding=application/x-framed-stream', 'compression=none']
    const count = pairs.length + more.length + (pair === '' ? 0 : 1)

    const refusal = await refusedBy(`READY\n${count}\n${[...pairs, ...more].join('\n')}\n${pair}\n`)

    expect(refusal).toMatchObject({ code: 'PROTOCOL_ANSWER_INVALID', message: expect.stringContaining('instance') })
  })
})

describe('settings that are read again', () => {
  test('are for new connections; a backup that runs goes on, and its server is still busy', async () => {
    const shop = { directory: server('shop', BIG) }
    const running = await start({ instances: { shop } })
    const first = await slow(running, 'instance=shop')
    const { port } = running

    await running.reload({
      port: 0,
      engine: 'directory',
      instances: { store: shop, crm: { directory: server('crm') } },
    })

    expect(running.port).toBe(port)
    expect(await fetch(running, 'crm')).toBe('crm')
    await expect(fetch(running, 'shop')).rejects.toMatchObject({
      message: expect.stringContaining('there is no instance "shop"'),
    })
    await expect(fetch(running, 'store')).rejects.toMatchObject({ message: expect.stringContaining('busy') })
    first.socket.resume()
    expect((await first.ended()).ended).toBe('fin')
    expect(await fetch(running, 'store')).toBe('shop')
  })

  test('that cannot be change nothing', async () => {
    const running = await start({ directory: server('top') })

    await expect(
      running.reload({ port: 0, engine: 'directory', directory: join(scratch, 'nowhere') }),
    ).rejects.toMatchObject({
      code: 'ENGINE_DIRECTORY',
    })
    // An address that this machine does not have (RFC 5737).
    await expect(
      running.reload({ host: '192.0.2.1', port: 1, insecure: true, engine: 'directory', directory: server('other') }),
    ).rejects.toMatchObject({ code: 'AGENT_LISTEN' })

    expect(await fetch(running)).toBe('top')
  })

  test('open the new address before they close the old one', async () => {
    const running = await start({ directory: server('top') })
    const { port } = running

    await running.reload({ host: '127.0.0.2', port: 0, engine: 'directory', directory: server('other') })

    expect(running.host).toBe('127.0.0.2')
    expect(await fetch(running)).toBe('other')
    const late = connect({ host: '127.0.0.1', port })
    const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException]
    expect(error.code).toBe('ECONNREFUSED')
  })

  test('are forgotten by an agent that is told to stop meanwhile', async () => {
    const running = await start({ directory: server('top') })
    const { port } = running

    const reloaded = running.reload({ host: '127.0.0.2', port: 0, engine: 'directory', directory: server('other') })
    const stopped = running.stop()

    await expect(reloaded).rejects.toMatchObject({ code: 'JOB_DRAINING' }) // and whoever asked does not call it taken over
    await stopped
    expect(running.port).toBe(port)
  })
})

/** Roles and tokens as clients meet them: a real agent, the real command that makes tokens, the real client. */

import { appendFileSync, chmodSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { agentStatus, backupVerdict, cancelBackup, fetchBackup, pingAgent } from '../../lib/client/index.ts'
import { type JobRecord, readHistory } from '../../lib/history/index.ts'
import { AGENT_PROGRAM, AgentProcess, CLIENT_PROGRAM } from '../rig/agent-process.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { converse, type RawClient, rawClient } from '../rig/raw-client.ts'
import { plainEnvironment, type ProgramRun, runProgram } from '../rig/run-program.ts'

/** Larger than all buffers between two sockets: its backup cannot end while its client does not read. */
const BIG = 64 * 1024 * 1024

let scratch: string
let agent: AgentProcess
const tokens = { shop: '', crm: '', watcher: '', everything: '' }
const others: RawClient[] = []

const inScratch = (name: string): string => join(scratch, name)

/** A stopped server's directory that can be told from all others. */
const server = (name: string): string => {
  mkdirSync(inScratch(name))
  writeFileSync(join(inScratch(name), 'ibdata1'), name)
  return inScratch(name)
}

const configuration = (more = ''): string => `
tokens-file = "${inScratch('tokens')}"
state-dir = "${inScratch('state')}"
[instance.shop]
directory = "${inScratch('shop')}"
[instance.crm]
directory = "${inScratch('crm')}"
[instance.big]
directory = "${inScratch('big')}"
[role.shop]
instances = ["shop"]
[role.crm]
instances = ["crm", "big"]
[role.watcher]
actions = ["status", "monitor", "verdict"]
[role.everything]
[role.elsewhere]
addresses = ["192.0.2.0/24"]
${more}`

const token = (...words: string[]): Promise<ProgramRun> =>
  runProgram(process.execPath, [AGENT_PROGRAM, 'token', ...words, '--config', inScratch('agent.toml')])

const makeToken = async (name: string, role: string, ...options: string[]): Promise<string> => {
  const run = await token('add', name, '--role', role, ...options)
  expect([run.exitCode, run.stderr]).toEqual([0, expect.stringContaining(`${name}: role ${role}, until`)])
  return run.stdout.toString().trimEnd()
}

beforeAll(async () => {
  scratch = makeGuardedDirectory('who')
  for (const name of ['shop', 'crm', 'big']) server(name)
  truncateSync(join(inScratch('big'), 'ibdata1'), BIG)
  writeFileSync(inScratch('agent.toml'), configuration(), { mode: 0o640 })
  for (const role of Object.keys(tokens) as (keyof typeof tokens)[]) tokens[role] = await makeToken(`${role}-1`, role)
  agent = await AgentProcess.start(['--config', inScratch('agent.toml'), '--state-dir', inScratch('state')])
})
afterAll(async () => {
  for (const { socket } of others) socket.destroy()
  await agent.stop()
  await removeGuardedDirectory(scratch)
})

const as = (role: keyof typeof tokens) => ({ host: agent.host, port: agent.port, token: tokens[role] })

let fetched = 0
const fetch = async (role: keyof typeof tokens, instance: string | undefined, sid: string) => {
  fetched += 1
  return fetchBackup({ ...as(role), instance, sid, target: { file: inScratch(`fetched-${fetched}.tar`) } }).receipt
}

const request = (pairs: Readonly<Record<string, string>>): string => {
  const all = Object.entries(pairs).map(([key, value]) => `${key}=${value}\n`)
  return `0.77.0\n${all.length}\n${all.join('')}\n`
}
const answer = async (pairs: Readonly<Record<string, string>>, from = '127.0.0.1', asked = agent): Promise<string> =>
  (await converse(asked.port, request(pairs), { from })).bytes.toString()

const history = async (): Promise<readonly JobRecord[]> => (await readHistory(inScratch('state'))).jobs

/** They share an address. */
const NEIGHBOURS = '127.0.0.9'

describe('a client that shows nothing good', () => {
  test('gets one and the same answer, whatever it lacks, and nothing has happened', async () => {
    const revoked = await makeToken('revoked', 'shop')
    await token('revoke', 'revoked')
    const elsewhere = await makeToken('elsewhere', 'elsewhere')
    const before = (await history()).length

    const answers = await Promise.all(
      [
        {},
        { 'agent-token': '' },
        { 'agent-token': 'kvb_nonsense' },
        { 'agent-token': tokens.shop.slice(0, -1) },
        { 'agent-token': tokens.shop.toLowerCase() },
        { 'agent-token': revoked },
        { 'agent-token': elsewhere },
      ].map((shown, at) =>
        // Each from another address: after three the next ones wait.
        answer({ action: 'copy from', instance: 'shop', sid: 'no', ...shown }, `127.0.0.${10 + at}`),
      ),
    )

    expect(new Set(answers).size).toBe(1)
    expect(answers[0]).toMatch(/^3\nstatus=FAILED\nmsg=[^\n]+\ncode=AGENT_ACCESS_DENIED\n\n$/)
    expect(await history()).toHaveLength(before)
    const reasons = agent.logs.flatMap(({ facts }) => (facts as { why?: string } | undefined)?.why ?? [])
    expect(new Set(reasons)).toEqual(
      new Set([
        'no token, no certificate with a role, no role for the address',
        'the token is not known',
        'the token was revoked',
        'the role is not for this address',
      ]),
    )
  })

  test('waits for its answer when it has asked often, and nobody behind the same address waits with it', async () => {
    const own = await AgentProcess.start(['--config', inScratch('agent.toml')]) // the log has so many lines for strangers
    let told = 0
    const asked = Array.from({ length: 8 }, async () => {
      await answer({ action: 'status', 'agent-token': tokens.shop.toLowerCase() }, NEIGHBOURS, own)
      told += 1
    })
    await own.logged(({ code, penalised }) => code === 'AGENT_CONNECTIONS' && penalised === 1)

    const good = await answer({ action: 'status', 'agent-token': tokens.shop }, NEIGHBOURS, own)

    expect(good).toMatch(/^READY\n/)
    expect(told).toBeLessThan(asked.length)
    await Promise.all(asked)
    await own.stop()
  })

  test('may ping', async () => {
    await expect(pingAgent({ host: agent.host, port: agent.port })).resolves.toMatchObject({
      agent: expect.stringMatching(/^kv-backup-agent/),
    })
  })
})

describe('a client with a role', () => {
  test('gets what the role allows, and the history says who asked', async () => {
    await fetch('shop', 'shop', 'night')
    await fetch('crm', 'crm', 'night')

    expect((await history()).slice(-2).map(({ instance, caller }) => [instance, caller])).toEqual([
      ['shop', { role: 'shop', tokenName: 'shop-1' }],
      ['crm', { role: 'crm', tokenName: 'crm-1' }],
    ])
    const list = await runProgram(process.execPath, [AGENT_PROGRAM, 'history', '--state-dir', inScratch('state')])
    expect(list.stdout.toString()).toMatch(/^STARTED .* CODE +BY\n/)
    expect(list.stdout.toString()).toMatch(/ shop \(token shop-1\)\n/)
    expect(agent.logs).toContainEqual(
      expect.objectContaining({ msg: 'backup starting', caller: { role: 'shop', tokenName: 'shop-1' } }),
    )
  })

  test.each([
    ['of another server', { action: 'copy from', instance: 'crm' }],
    ['of a server that is not there', { action: 'copy from', instance: 'warehouse' }],
  ])('does not get a backup %s, in the same words', async (_, pairs) => {
    expect(await answer({ ...pairs, 'agent-token': tokens.shop })).toBe(
      '3\nstatus=FAILED\nmsg=the role shop does not allow this server; it allows instance=shop\ncode=AGENT_ACCESS_ROLE\n\n',
    )
  })

  test('does not do what its role does not allow', async () => {
    await expect(cancelBackup('night', as('watcher'))).rejects.toMatchObject({
      code: 'CLIENT_REFUSED',
      message: expect.stringMatching(/the role watcher does not allow cancel; it allows status, monitor, verdict$/),
      facts: { agentCode: 'AGENT_ACCESS_ROLE' },
    })
  })
})

describe('backups of other servers', () => {
  beforeAll(async () => {
    await fetch('crm', 'crm', 'both')
    await fetch('shop', 'shop', 'both')
    await fetch('crm', 'crm', 'theirs')
    const client = await rawClient(agent.port, agent.host)
    others.push(client)
    client.socket.write(
      request({
        action: 'copy from',
        instance: 'big',
        sid: 'running',
        'agent-token': tokens.crm,
        'agent-stream-encoding': 'application/octet-stream',
      }),
    )
    await client.hasReceived(1)
    client.socket.pause()
  })

  test('are not in status, and neither are the servers', async () => {
    const [own, theirs, all] = await Promise.all([
      agentStatus(as('shop')),
      agentStatus(as('crm')),
      agentStatus(as('everything')),
    ])

    expect([own.instances, own.jobs]).toEqual([['shop'], []])
    expect([theirs.instances, theirs.jobs.map(({ sid }) => sid)]).toEqual([['crm', 'big'], ['running']])
    expect([all.instances, all.jobs.length]).toEqual([['shop', 'crm', 'big'], 1])
  })

  test('are not cancelled, and go on', async () => {
    await expect(cancelBackup('running', as('shop'))).rejects.toMatchObject({ code: 'JOB_UNKNOWN' })

    expect((await agentStatus(as('crm'))).jobs).toHaveLength(1)
  })

  test('have no verdict, whether they run or have ended', async () => {
    for (const sid of ['theirs', 'running', 'never']) {
      const theirs = await answer({ action: 'verdict', sid, 'agent-token': tokens.shop })
      const never = await answer({ action: 'verdict', sid: 'never', 'agent-token': tokens.shop })
      expect(theirs).toBe(never)
    }
    expect((await backupVerdict('theirs', as('everything'))).status).toBe('COMPLETE')
  })

  test('of the same session do not hide one’s own', async () => {
    const [own, theirs] = await Promise.all([backupVerdict('both', as('shop')), backupVerdict('both', as('crm'))])

    expect([own.instance, theirs.instance]).toEqual(['shop', 'crm'])
    expect((await backupVerdict('both', as('everything'))).instance).toBe('shop')
  })

  test('are not in monitor', async () => {
    const sids = async (role: keyof typeof tokens): Promise<string[]> =>
      [...(await answer({ action: 'monitor', 'agent-token': tokens[role] })).matchAll(/^sid=(.*)$/gm)].map(
        ([, sid = '']) => sid,
      )

    expect(new Set(await sids('shop'))).toEqual(new Set(['night', 'both']))
    expect(new Set(await sids('crm'))).toEqual(new Set(['night', 'both', 'theirs', 'running']))
    expect(new Set(await sids('watcher'))).toEqual(new Set(['night', 'both', 'theirs', 'running']))
  })

  test('are cancelled by who may, and the others are told nothing', async () => {
    expect(await cancelBackup('running', as('crm'))).toBe(1)
    expect((await agentStatus(as('everything'))).jobs).toEqual([])
  })
})

describe('without a restart', () => {
  const isServed = async (secret: string): Promise<boolean> =>
    (await answer({ action: 'status', 'agent-token': secret })).startsWith('READY\n')

  test('a new token counts, a revoked one does not, and a file that cannot be believed lets nobody in', async () => {
    const file = inScratch('tokens')
    const made = await makeToken('short-lived', 'watcher', '--never-expires')
    const added = await isServed(made)
    await token('revoke', 'short-lived')
    const revoked = await isServed(made)
    const good = readFileSync(file)
    appendFileSync(file, 'rubbish\n')
    const broken = await isServed(tokens.shop)
    writeFileSync(file, good)
    chmodSync(file, 0o664)
    const lax = await isServed(tokens.shop)
    chmodSync(file, 0o640)

    expect({ added, revoked, broken, lax, mended: await isServed(tokens.shop) }).toEqual({
      added: true,
      revoked: false,
      broken: false,
      lax: false,
      mended: true,
    })
    const said = agent.logs.map(({ facts }) => String((facts as { why?: string } | undefined)?.why))
    expect(said).toContainEqual(expect.stringMatching(/tokens file .* cannot be used: line \d+: expected 6 fields/))
    expect(said).toContainEqual(expect.stringMatching(/mode 0664/))
  })

  test('a role is taken over with the configuration, by SIGHUP', async () => {
    writeFileSync(inScratch('agent.toml'), configuration('[role.later]\nactions = ["status"]\n'))
    const later = await makeToken('later-1', 'later')
    const before = await isServed(later)
    const taken = agent.logged('configuration taken over')
    const said = agent.logged(({ roles = [] }) => (roles as string[]).includes('later'))
    agent.signal('SIGHUP')
    await taken
    await said

    expect([before, await isServed(later)]).toEqual([false, true])
  })
})

describe('the client', () => {
  const client = (words: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<ProgramRun> =>
    runProgram(process.execPath, [CLIENT_PROGRAM, ...words], { environment: { ...plainEnvironment(), ...environment } })
  const file = (text: string, mode = 0o600): string => {
    const path = inScratch('client-token')
    writeFileSync(path, text)
    chmodSync(path, mode)
    return path
  }

  test.each(['status', 'verdict', 'cancel', 'fetch'])(
    'shows its token with %s, from a file or the environment',
    async (verb) => {
      const words = {
        status: ['status', agent.address],
        verdict: ['verdict', agent.address, 'both'],
        cancel: ['cancel', agent.address, 'both'],
        fetch: ['fetch', agent.address, '--instance', 'shop', '--out', inScratch(`by-${verb}.tar`)],
      }[verb as 'status']
      const refused = await client(words)
      const byFile = await client([...words, '--token-file', file(`${tokens.shop}\nfor db1, until spring\n`)])
      const again = verb === 'fetch' ? [...words.slice(0, -1), inScratch('again.tar')] : words
      const byEnvironment = await client(again, { KV_BACKUP_TOKEN: tokens.shop })

      expect(refused.stderr).toMatch(/this agent serves only clients that it knows/)
      for (const run of [byFile, byEnvironment]) {
        expect(run.stderr).not.toMatch(/only clients that it knows|kvb_/)
        expect(run.exitCode).toBe(verb === 'cancel' ? 3 : 0) // nothing of that session runs
      }
    },
  )

  test.each<[string, () => string[], number, RegExp]>([
    ['one that the world can read', () => ['--token-file', file(tokens.shop, 0o644)], 2, /mode 0644.*\[CLI_FILE\]/],
    ['one without a first line', () => ['--token-file', file('\n')], 2, /first line is empty \[CLI_FILE\]/],
    ['one that is not there', () => ['--token-file', '/nowhere'], 2, /ENOENT \[CLI_FILE\]/],
    ['a directory', () => ['--token-file', scratch], 2, /\[CLI_FILE\]/],
    ['a typing mistake', () => ['--token-file', file(mistyped(tokens.shop))], 2, /was mistyped \[CLIENT_TOKEN\]/],
    ['a password', () => ['--token-file', file('secret')], 2, /does not begin with kvb_ \[CLIENT_TOKEN\]/],
  ])('does not take %s, and asks nobody', async (_, options, status, said) => {
    const { exitCode, stderr } = await client(['status', '127.0.0.1:1', ...options()])

    expect([exitCode, stderr]).toEqual([status, expect.stringMatching(said)])
  })

  const mistyped = (text: string): string => text.slice(0, -1) + (text.endsWith('0') ? '1' : '0')
})

test('nowhere in log, history or tokens file is a token, and the log names whom it meant', async () => {
  const secrets = [...Object.values(tokens)]
  const places = [agent.stderr, readFileSync(inScratch('tokens'), 'latin1'), JSON.stringify(await history())]

  for (const place of places) for (const secret of secrets) expect(place).not.toContain(secret.slice(4, 30))
  expect(agent.stderr).toContain('"tokenName":"shop-1"')
})

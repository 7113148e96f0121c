/** Every look of the doctor that needs no server: when it is well, and each way in which it is not. */

import { chmodSync, mkdirSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { startAgent } from '../../lib/agent/index.ts'
import { pingAgent } from '../../lib/client/index.ts'
import { checkAccess } from '../../lib/doctor/access.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { checkPort, type Ping } from '../../lib/doctor/agent-port.ts'
import { checkClock } from '../../lib/doctor/clock.ts'
import { checkDataDirectory, surveyDataDirectory } from '../../lib/doctor/data-directory.ts'
import { checkVersions } from '../../lib/doctor/engine.ts'
import { checkCompressors, checkGuards } from '../../lib/doctor/host-programs.ts'
import { checkNode } from '../../lib/doctor/node-version.ts'
import { checkOpenFiles } from '../../lib/doctor/open-files.ts'
import { checkUser } from '../../lib/doctor/own-user.ts'
import { checkRedoLog } from '../../lib/doctor/redo-log.ts'
import { checkState } from '../../lib/doctor/state-directory.ts'
import { readHistory } from '../../lib/history/index.ts'
import type { ServerFacts } from '../../lib/server/index.ts'
import { addToken, hashOf, type TokenEntry } from '../../lib/tokens/index.ts'
import { ended, NOON, openJournal, scratchDirectory, started } from '../history/journals.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'

const MIB = 1024 * 1024

let scratch: string
beforeAll(() => {
  scratch = makeGuardedDirectory('doctor')
})
afterAll(() => removeGuardedDirectory(scratch))

test.each([
  ['20.15.0', 'ok'],
  ['24.1.0', 'ok'],
  ['20.14.1', 'fail'],
  ['18.20.4', 'fail'],
])('Node %s is %s', (version, result) => {
  expect(checkNode(version)).toMatchObject({ check: 'node', result })
})

test.each([
  [{ pdeathsig: true, lock: true }, 'ok', /setpriv and flock/],
  [{ pdeathsig: false, lock: true }, 'warn', /setpriv is missing: a killed agent leaves/],
  [{ pdeathsig: true, lock: false }, 'warn', /flock is missing: two backups/],
])('of the lock helpers %j it says %s', (guards, result, found) => {
  expect(checkGuards(guards)).toMatchObject({ result, found: expect.stringMatching(found) })
})

test('names the compressors that are missing, and the packages that bring them', async () => {
  const directory = join(scratch, 'programs')
  mkdirSync(directory)
  for (const name of ['gzip', 'zstd']) writeFileSync(join(directory, name), '', { mode: 0o755 })

  const finding = await checkCompressors(`relative:${directory}`)

  expect(finding).toMatchObject({ result: 'warn', todo: 'apt-get install pigz lz4 xz-utils' })
  expect(finding.found).toMatch(/^gzip, zstd; /)
})

test.each([
  ['Max open files            1024                 4096                 files', 3996, 'ok'],
  ['Max open files            1024                 4096                 files', 3997, 'fail'],
  ['Max open files            unlimited            unlimited            files', 1e6, 'ok'],
])('with the limit "%s", %i tables are %s', (limits, tables, result) => {
  expect(checkOpenFiles(tables, `Limit  Soft Limit  Hard Limit  Units\n${limits}\n`)).toMatchObject({ result })
})

const MARIADB = { name: 'mariadb-backup', version: '10.11.19', program: '/usr/bin/mariadb-backup' } as const
const server = (version: string, isMariaDb = true): ServerFacts => ({ version, isMariaDb }) as ServerFacts

test.each([
  ['the same series', MARIADB, server('10.11.6'), 'ok'],
  ['another series', MARIADB, server('11.4.2'), 'fail'],
  ['a server of the other family', MARIADB, server('8.0.36', false), 'fail'],
  [
    'a program of the other family',
    { ...MARIADB, name: 'xtrabackup', version: '8.0.35-31' } as const,
    server('10.11.6'),
    'fail',
  ],
  [
    'XtraBackup for its MySQL',
    { ...MARIADB, name: 'xtrabackup', version: '8.0.35-31' } as const,
    server('8.0.36', false),
    'ok',
  ],
])('%s: the versions are judged', (_, identity, facts, result) => {
  expect(checkVersions(identity, facts)).toMatchObject({ check: 'versions', result })
})

describe('the redo log', () => {
  const facts = { capacityBytes: 96 * MIB, dataBytes: 10_000 * MIB, jobs: [] }

  test('is large enough for a server that writes little', () => {
    expect(checkRedoLog({ ...facts, writtenPerSecond: 0.5 * MIB })).toMatchObject({ result: 'ok' })
  })

  test('may be overrun by one that writes much, and the size that would do is named', () => {
    const finding = checkRedoLog({ ...facts, writtenPerSecond: 2 * MIB })

    // 100 s at the assumed speed, 200 MiB written, half as much again, in steps of 16 MiB
    expect(finding).toMatchObject({ result: 'warn', facts: { neededBytes: 300 * MIB } })
    expect(finding.todo).toContain(`innodb_log_file_size=${304 * MIB}`)
  })

  test('is judged by the speed of the last backup that came through', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('fast'))
    await journal.append(ended('fast', { bytes: 10_000 * MIB, seconds: 10 }))
    await journal.append(started('failed'))
    await journal.append(ended('failed', { outcome: 'failed', bytes: 1, seconds: 1000 }))
    const { jobs } = await readHistory(directory)

    expect(checkRedoLog({ ...facts, jobs, writtenPerSecond: 2 * MIB })).toMatchObject({
      result: 'ok',
      facts: { seconds: 10 },
    })
  })
})

describe('the data directory', () => {
  test('is summed up as a backup would copy it', async () => {
    const data = join(scratch, 'data')
    mkdirSync(join(data, 'shop'), { recursive: true })
    for (const [name, bytes] of [
      ['ibdata1', 12 * MIB],
      ['ib_logfile0', 96 * MIB],
      ['shop/orders.ibd', 40 * MIB],
      ['shop/notes.txt', 500 * MIB],
      ['binlog.000001', 700 * MIB],
    ] as const) {
      writeFileSync(join(data, name), '')
      truncateSync(join(data, name), bytes)
    }

    const survey = await surveyDataDirectory(data)

    expect(survey).toMatchObject({
      bytes: 52 * MIB,
      redoBytes: 96 * MIB,
      tables: 2,
      largest: { path: join(data, 'shop/orders.ibd') },
      unreadableCount: 0,
    })
    expect(checkDataDirectory(survey)).toMatchObject({ result: 'ok' })
  })

  ;(mayBeSomebodyElse() ? test : test.skip)('that may not be read is named, file by file', async () => {
    const data = join(scratch, 'closed')
    mkdirSync(join(data, 'shop'), { recursive: true })
    writeFileSync(join(data, 'ibdata1'), 'x')
    chmodSync(join(data, 'ibdata1'), 0o600)
    chmodSync(join(data, 'shop'), 0o700)
    chmodSync(scratch, 0o755)

    const survey = await asSomebodyElse(() => surveyDataDirectory(data), [join(data, 'ibdata1'), join(data, 'shop')])

    expect(survey.unreadableCount).toBe(2)
    expect(checkDataDirectory(survey)).toMatchObject({ result: 'fail', facts: { unreadable: 2 } })
    expect(checkDataDirectory(survey).found).toContain(join(data, 'shop'))
  })

  test('that is empty is doubted', async () => {
    expect(checkDataDirectory(await surveyDataDirectory(makeEmpty('empty')))).toMatchObject({ result: 'warn' })
  })
})

describe('the port', () => {
  const ping: Ping = (address) => pingAgent({ ...address, silenceSeconds: 20 })

  test('is well when nobody has it, and when an agent answers', async () => {
    const agent = await startAgent({ port: 0, engine: 'directory', directory: makeEmpty('source') })
    const { host, port } = agent

    expect(await checkPort({ host, port }, ping)).toMatchObject({
      result: 'ok',
      found: expect.stringMatching(/answers/),
    })
    expect(await checkPort({ host: '0.0.0.0', port }, ping)).toMatchObject({
      result: 'ok',
      found: expect.stringMatching(/answers/),
    })
    await agent.stop()
    expect(await checkPort({ host, port }, ping)).toMatchObject({ result: 'ok', found: expect.stringMatching(/free/) })
  })

  test('is not when something else has it', async () => {
    const other = createServer((socket) => socket.end('220 mail.example.com ESMTP\r\n')).listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }

    const finding = await checkPort({ host: '127.0.0.1', port }, ping)
    other.close()

    expect(finding).toMatchObject({ result: 'fail', todo: expect.stringContaining(`sport = :${port}`) })
  })

  test('is not when the address is somebody else’s', async () => {
    expect(await checkPort({ host: '192.0.2.1', port: 25_300 }, ping)).toMatchObject({ result: 'fail' })
  })

  test('a name that means this host alone is warned about: nobody else would reach the agent', async () => {
    const answers: Ping = async () => ({ agent: 'an agent' })
    const debians = async () => ({ address: '127.0.1.1' })
    const warned = { result: 'warn', found: expect.stringContaining('but the name db1 means 127.0.1.1 here') }

    expect(await checkPort({ host: 'db1', port: 25_300 }, answers, debians)).toMatchObject(warned)
    const taken: Ping = async () => {
      throw new BackupError('PROTOCOL_ANSWER_INVALID', 'no agent')
    }
    expect(await checkPort({ host: 'db1', port: 25_300 }, taken, debians)).toMatchObject({ result: 'fail' })
    const other = async () => ({ address: '192.0.2.1' })
    expect((await checkPort({ host: 'db1', port: 25_300 }, answers, other)).found).not.toContain('means')
    expect((await checkPort({ host: 'LocalHost', port: 25_300 }, answers, debians)).found).not.toContain('means')
  })
})

describe('what is remembered', () => {
  test('is well, and so is what will be made', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    await journal.append(ended('a'))

    const { findings } = await checkState(directory)

    expect(findings.map(({ check, result }) => [check, result])).toEqual([
      ['state', 'ok'],
      ['history', 'ok'],
    ])
    expect((await checkState(join(scratch, 'state', 'of-tomorrow'))).findings).toMatchObject([{ result: 'ok' }])
  })

  test('open to others is refused, as the agent would', async () => {
    const directory = scratchDirectory()
    chmodSync(directory, 0o755)

    expect((await checkState(directory)).findings).toMatchObject([
      { result: 'fail', facts: { code: 'HISTORY_UNSAFE' } },
    ])
  })

  test('that cannot be made is said', async () => {
    writeFileSync(join(scratch, 'file'), '')
    const directory = join(scratch, 'file', 'state')

    expect((await checkState(directory)).findings).toMatchObject([{ check: 'state', result: 'fail' }])
  })

  test.each(['/proc/of-tomorrow', '/sys/of-tomorrow/state'])(
    'that nothing can be made for is said, root or not: %s',
    async (directory) => {
      expect((await checkState(directory)).findings).toMatchObject([{ check: 'state', result: 'fail' }])
    },
  )

  test('with damaged lines, or a failed backup at its end, is worth a word', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    await journal.append(ended('a', { outcome: 'failed', code: 'ENGINE_LOGIN' }))

    expect((await checkState(directory)).findings).toMatchObject([{}, { check: 'history', result: 'warn' }])
    writeFileSync(join(directory, 'history-000001.jsonl'), 'no line of ours\n', { flag: 'a' })
    expect((await checkState(directory)).findings).toMatchObject([{}, { result: 'warn', facts: { damagedLines: 1 } }])
  })

  test('that nothing is, is worth a word', async () => {
    expect((await checkState(undefined)).findings).toMatchObject([{ check: 'state', result: 'warn' }])
  })
})

describe('the clock', () => {
  test('is well when nothing was written later', () => {
    expect(checkClock({ nowMs: NOON, jobs: [], newestFileMs: NOON + 60_000 })).toMatchObject({ result: 'ok' })
  })

  test('is behind when the history is ahead of it', async () => {
    const directory = scratchDirectory()
    const journal = await openJournal(directory)
    await journal.append(started('a'))
    await journal.append(ended('a'))
    const { jobs } = await readHistory(directory)

    expect(checkClock({ nowMs: NOON - 3_600_000, jobs, newestFileMs: undefined })).toMatchObject({
      result: 'warn',
      facts: { seconds: 3600 },
    })
  })

  test("is behind when the server's files are ahead of it", async () => {
    const data = makeEmpty('future')
    writeFileSync(join(data, 'ibdata1'), 'x')
    utimesSync(join(data, 'ibdata1'), 4e9, 4e9)

    const { newestMs } = await surveyDataDirectory(data)

    expect(checkClock({ nowMs: NOON, jobs: [], newestFileMs: newestMs })).toMatchObject({ result: 'warn' })
  })

  test('is behind when it stands before this program was written', () => {
    expect(checkClock({ nowMs: 0, jobs: [], newestFileMs: undefined })).toMatchObject({ result: 'warn' })
  })
})

;(process.geteuid?.() === 0 ? test : test.skip)('root is told to ask as the user whose agent it is', async () => {
  const state = makeEmpty('state-of-another')
  const { chownSync } = await import('node:fs')
  expect(checkUser(state)).toMatchObject({ result: 'ok' })
  chownSync(state, NOBODY, NOBODY)

  expect(checkUser(state)).toMatchObject({ result: 'warn', todo: expect.stringContaining(`runuser -u '#${NOBODY}'`) })
})

const makeEmpty = (name: string): string => {
  const directory = join(scratch, name)
  mkdirSync(directory)
  return directory
}

const NOBODY = 65_534

/** Some builds of Node (Debian 13's) do not let root become somebody else. */
function mayBeSomebodyElse(): boolean {
  if (process.geteuid?.() !== 0) return true
  try {
    process.seteuid?.(0)
    return true
  } catch {
    return false
  }
}

/** Root reads everything: becomes somebody else meanwhile. Others take their own right away. */
const asSomebodyElse = async <Value>(work: () => Promise<Value>, closed: readonly string[]): Promise<Value> => {
  if (process.geteuid?.() !== 0) {
    for (const path of closed) chmodSync(path, 0)
    return work().finally(() => {
      for (const path of closed) chmodSync(path, 0o700)
    })
  }
  process.setegid?.(NOBODY)
  process.seteuid?.(NOBODY)
  try {
    return await work()
  } finally {
    process.seteuid?.(0)
    process.setegid?.(0)
  }
}

describe('of who may ask it says', () => {
  const NOW = Date.parse('2026-03-01T00:00:00Z')
  const DAY_MS = 24 * 3_600_000
  let made = 0
  const tokensWith = async (...entries: Partial<TokenEntry>[]): Promise<string> => {
    made += 1
    const path = join(scratch, `tokens-${made}`)
    for (const [at, entry] of entries.entries()) {
      const usual = { role: 'nightly', createdMs: 0, expiresMs: NOW + 100 * DAY_MS, revokedMs: undefined }
      await addToken(path, { ...usual, name: `token-${at}`, hash: hashOf(String(at)), ...entry })
    }
    return path
  }
  const found = async ([settings, nowMs]: Parameters<typeof checkAccess>) =>
    (await checkAccess(settings, nowMs)).map(({ check, result, found }) => [check, result, found])
  const roles = { nightly: {} }
  const host = '127.0.0.1'

  test('who may, where there is no role', async () => {
    const tokensFile = join(scratch, 'no-tokens')
    expect(await found([{ host, tokensFile }, NOW])).toEqual([
      ['access', 'ok', expect.stringContaining('from this host')],
    ])
    expect(await found([{ host: '0.0.0.0', tokensFile }, NOW])).toEqual([['access', 'warn', expect.any(String)]])
    expect(await found([{ host, tokensFile: await tokensWith({}) }, NOW])).toEqual([
      ['access', 'warn', expect.stringMatching(/tokens in .*, and no role/)],
    ])
  })

  test.each<[string, Partial<TokenEntry>[], string, RegExp]>([
    ['how many are valid', [{}, { expiresMs: undefined }, { revokedMs: NOW }], 'ok', /^2 valid/],
    ['which will expire soon', [{ expiresMs: NOW + 29 * DAY_MS }, {}], 'warn', /^token-0: will expire within 30 days$/],
    ['which has expired', [{ expiresMs: NOW }, {}], 'warn', /^token-0: expired$/],
    ['which has a role that is not there', [{}, { role: 'nihgtly' }], 'warn', /^token-1: the role is not in/],
    ['that none is left', [{ expiresMs: NOW }, { revokedMs: NOW }, { role: 'gone' }], 'fail', /nobody may ask$/],
    ['that there is none', [], 'fail', /nobody may ask$/],
  ])('of tokens, %s', async (_, entries, result, text) => {
    const [, tokens] = await found([{ host, roles, tokensFile: await tokensWith(...entries) }, NOW])

    expect(tokens).toEqual(['tokens', result, expect.stringMatching(text)])
  })

  test('nothing bad of no tokens, where another way gives a role', async () => {
    const tokensFile = await tokensWith()
    for (const other of [{ certificates: ['a.example.org'] }, { withoutToken: true, addresses: ['192.0.2.1'] }]) {
      expect((await found([{ host, roles: { other }, tokensFile }, NOW]))[1]?.[1]).toBe('ok')
    }
  })

  test('that a file which cannot be believed keeps everybody out', async () => {
    const tokensFile = await tokensWith({})
    chmodSync(tokensFile, 0o664)

    expect((await found([{ host, roles, tokensFile }, NOW]))[1]).toEqual([
      'tokens',
      'fail',
      expect.stringContaining('0664'),
    ])
  })
})

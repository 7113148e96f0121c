import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { type FetchOptions, fetchBackup, type Receipt } from '../../lib/client/index.ts'
import { parseReceipt } from '../../lib/client/receipt.ts'
import { accepted, framed, ScriptedAgent, type Script, SENDING, SMALL_ARCHIVE } from './scripted-agent.ts'

let directory: string
let out: string
let agent: ScriptedAgent

/** Delivers the small backup; `before` happens when the client waits for its last byte. */
const delivering =
  (before: () => void = () => undefined): Script =>
  async (caller) => {
    await caller.request()
    caller.say(accepted(), SENDING, framed(SMALL_ARCHIVE).subarray(0, -1))
    before()
    caller.say(framed(SMALL_ARCHIVE).subarray(-1))
    await caller.lastWords()
    caller.socket.end()
  }

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'receipt-'))
  out = join(directory, 'backup.tar')
})
afterEach(async () => {
  await agent.close()
  rmSync(directory, { recursive: true })
})

const fetchIt = (options: Partial<FetchOptions> = {}): Promise<Receipt> =>
  fetchBackup({ host: agent.host, port: agent.port, target: { file: out }, ...options }).receipt

const devNull = (): Writable => new Writable({ write: (_, __, done) => done() })

test('lies beside the archive, says what the fetch said, and is readable by its owner alone', async () => {
  agent = await ScriptedAgent.start(delivering())

  const receipt = await fetchIt()

  expect(readdirSync(directory)).toEqual(['backup.tar', 'backup.tar.receipt'])
  expect(lstatSync(`${out}.receipt`).mode & 0o777).toBe(0o600)
  expect(parseReceipt(readFileSync(`${out}.receipt`, 'utf8'), 'f')).toEqual(receipt)
  expect(readFileSync(`${out}.receipt`, 'utf8')).not.toContain(directory)
})

test('replaces one that a killed run left without its archive', async () => {
  writeFileSync(`${out}.receipt`, 'left behind')
  writeFileSync(`${out}.receipt.part`, 'left behind too')
  agent = await ScriptedAgent.start(delivering())

  const receipt = await fetchIt()

  expect(readdirSync(directory)).toEqual(['backup.tar', 'backup.tar.receipt'])
  expect(parseReceipt(readFileSync(`${out}.receipt`, 'utf8'), 'f')).toEqual(receipt)
})

test('is not written where somebody says so', async () => {
  agent = await ScriptedAgent.start(delivering())

  await fetchIt({ receiptFile: false })

  expect(readdirSync(directory)).toEqual(['backup.tar'])
})

test.each<[string, () => FetchOptions['target']]>([
  ['a directory', () => ({ directory: join(directory, 'unpacked') })],
  ['a stream', () => ({ stream: devNull() })],
])('is not written for %s, unless somebody says where', async (_, target) => {
  agent = await ScriptedAgent.start(delivering())
  const named = join(directory, 'its.receipt')

  await fetchIt({ target: target() })
  const without = existsSync(named) || readdirSync(directory).some((name) => name.endsWith('.receipt'))
  rmSync(join(directory, 'unpacked'), { recursive: true, force: true })
  const receipt = await fetchIt({ target: target(), receiptFile: named })

  expect(without).toBe(false)
  expect(parseReceipt(readFileSync(named, 'utf8'), 'f')).toEqual(receipt)
})

test('never replaces a file that somebody has named', async () => {
  const named = join(directory, 'precious')
  writeFileSync(named, 'precious')
  agent = await ScriptedAgent.start(delivering())

  await expect(fetchIt({ receiptFile: named })).rejects.toMatchObject({ code: 'CLIENT_TARGET' })

  expect(agent.connections).toBe(0)
  expect(readdirSync(directory)).toEqual(['precious'])
})

test.each<[string, () => void]>([
  ['its name is a directory', () => mkdirSync(`${out}.receipt`)],
  ['its directory is not there', () => undefined],
])('is tried before a backup is asked for: %s', async (why, given) => {
  given()
  const before = readdirSync(directory)
  agent = await ScriptedAgent.start(delivering())
  const options = why.startsWith('its directory') ? { receiptFile: join(directory, 'no', 'receipt') } : {}

  await expect(fetchIt(options)).rejects.toMatchObject({ exitStatus: 7 })

  expect(agent.connections).toBe(0)
  expect(readdirSync(directory)).toEqual(before)
})

test.each<[string, () => void]>([
  ['another run was faster', () => writeFileSync(out, 'faster')],
  [
    'another run has taken its place',
    () => {
      rmSync(`${out}.part`)
      writeFileSync(`${out}.part`, 'another')
    },
  ],
])('is not there when the archive does not get its name: %s', async (_, before) => {
  agent = await ScriptedAgent.start(delivering(before))

  await expect(fetchIt()).rejects.toMatchObject({ code: 'CLIENT_TARGET' })

  expect(readdirSync(directory).filter((name) => name.includes('receipt'))).toEqual([])
})

test('does not touch the receipt of a run that was faster', async () => {
  const faster = (): void => {
    writeFileSync(out, 'faster')
    writeFileSync(`${out}.receipt`, 'its receipt')
  }
  agent = await ScriptedAgent.start(delivering(faster))

  await expect(fetchIt()).rejects.toMatchObject({ code: 'CLIENT_TARGET' })

  expect(readFileSync(`${out}.receipt`, 'utf8')).toBe('its receipt')
})

test('that cannot be kept leaves no archive either', async () => {
  // A directory takes the receipt's name at the last moment: the rename fails.
  agent = await ScriptedAgent.start(delivering(() => mkdirSync(`${out}.receipt`)))

  await expect(fetchIt()).rejects.toMatchObject({ code: 'CLIENT_TARGET' })

  expect(readdirSync(directory)).toEqual(['backup.tar.receipt'])
})

test('has its name before the archive has: whoever sees the archive sees the receipt', async () => {
  const seen: string[] = []
  agent = await ScriptedAgent.start(delivering())
  let running = true
  const receipt = fetchIt().finally(() => {
    running = false
  })
  while (running) {
    const [archive, receiptThere] = [existsSync(out), existsSync(`${out}.receipt`)]
    if (archive && !receiptThere) seen.push('an archive without its receipt')
    await new Promise((resolve) => setImmediate(resolve))
  }
  await receipt
  expect(seen).toEqual([])
})

test('is taken away again when the archive does not get its name behind it', async () => {
  agent = await ScriptedAgent.start(delivering())
  let running = true
  const receipt = fetchIt().finally(() => {
    running = false
  })
  // Between two steps of the fetch this runs at least once.
  const taking = async (): Promise<void> => {
    while (running && !existsSync(`${out}.receipt`)) await new Promise((resolve) => setImmediate(resolve))
    rmSync(`${out}.part`)
  }

  const [fetched] = await Promise.allSettled([receipt, taking()])

  expect(fetched).toMatchObject({ status: 'rejected', reason: { code: 'CLIENT_WRITE', facts: { errno: 'ENOENT' } } })
  expect(readdirSync(directory)).toEqual([])
})

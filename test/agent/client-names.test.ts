import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { DECIDE_NOTHING } from '../../lib/agent/ignored-keys.ts'
import { AnswerReader, type KvBlock, writeRequest } from '../../lib/protocol/index.ts'
import { converse } from '../rig/raw-client.ts'

const PROTOCOL = readFileSync(fileURLToPath(new URL('../../../PROTOCOL.md', import.meta.url)), 'utf8')

let scratch: string
let agent: RunningAgent
/** A program that a client would have run if it were obeyed: it leaves a trace. */
let evil: string
let trace: string

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'client-names-'))
  const source = join(scratch, 'source')
  mkdirSync(source)
  writeFileSync(join(source, 'ibdata1'), 'data')
  trace = join(scratch, 'trace')
  evil = join(scratch, 'evil')
  writeFileSync(evil, `#!/bin/sh\ntouch ${trace}\n`)
  chmodSync(evil, 0o755)
  agent = await startAgent({
    port: 0,
    engine: 'directory',
    directory: source,
    optionSets: { replica: { args: ['--slave-info'], match: '--slave-info --parallel=4' } },
  })
})
afterAll(async () => {
  await agent.stop()
  rmSync(scratch, { recursive: true })
})

const ask = async (key: string, value: string): Promise<KvBlock> => {
  const pairs: [string, string][] = [
    ['action', 'copy from'],
    ['user', 'u'],
    ['password', 'p'],
    ['backup-level', '0'],
    ['file', 'x/ZRM_LINKS/.'],
    [key, value],
  ]
  const { bytes } = await converse(agent.port, writeRequest('0.76.1', pairs).toString())
  const answer = new AnswerReader().push(bytes)
  if (answer === undefined) throw new Error('no answer')
  return answer.block
}

/** What deployed clients name, with values that would do harm if they were obeyed. */
const NAMED: readonly (readonly [key: string, value: () => string])[] = [
  ['xtrabackup-agent:innobackupex-path', () => evil],
  ['xtrabackup-agent:mysql-install-path', () => scratch],
  ['xtrabackup-agent:perl-lib-extra', () => scratch],
  ['tmpdir', () => join(scratch, 'client-tmpdir')],
  ['xtrabackup-agent:clean-tmpdir', () => '1'],
  ['xtrabackup-agent:stats-db-path', () => join(scratch, 'stats.db')],
  ['xtrabackup-agent:stats-history', () => '1'],
  ['xtrabackup-client:send_nsca-path', () => evil],
  ['xtrabackup-client:send_nsca-config', () => '/etc/shadow'],
  ['xtrabackup-client:nagios-host', () => 'db1'],
  ['xtrabackup-client:nagios-service', () => 'MySQL Backups'],
  ['copy-plugin', () => evil],
  ['mysql-binlog-path', () => '/etc'],
  ['xtrabackup-agent:socket', () => '/tmp/evil.sock'],
  ['xtrabackup-agent:my.cnf-path', () => '/etc/shadow'],
]

describe('what a client names on an agent with one server', () => {
  test.each(NAMED)('%s is neither obeyed nor refused', async (key, value) => {
    const block = await ask(key, value())

    expect(block.get('status')).toBe('SENDING')
    for (const name of ['trace', 'client-tmpdir', 'stats.db']) {
      expect(() => statSync(join(scratch, name))).toThrow('ENOENT')
    }
  })

  test('stands in the table of the protocol, each key with what becomes of it', () => {
    const [, table = ''] = /### What a client may name\n(.*?)\n```/s.exec(PROTOCOL) ?? []

    for (const key of [...NAMED.map(([named]) => named), ...DECIDE_NOTHING]) expect(table).toContain(`\`${key}\``)
    for (const key of DECIDE_NOTHING) expect(NAMED.map(([named]) => named)).toContain(key)
  })
})

describe('options for the backup program', () => {
  const OPTIONS = 'xtrabackup-agent:innobackupex-opts'

  test.each(['', ' '])('are none when the value is "%s"', async (value) => {
    expect((await ask(OPTIONS, value)).get('status')).toBe('SENDING')
  })

  test.each([
    '--slave-info',
    '--slave-info --parallel=5',
    '--stream=tar',
    '--tables=x; id',
    'Replica',
    'replica --no-lock',
    '__proto__',
    'constructor',
  ])('that the operator has not written are refused: %s', async (value) => {
    const block = await ask(OPTIONS, value)

    expect(block.get('status')).toBe('FAILED')
    expect(block.get('code')).toBe('AGENT_NOT_ALLOWED')
    expect(block.get('msg')).toContain('(configured: replica)')
    expect(block.get('msg')).toContain('[options.NAME]')
  })

  test.each(['replica', '--slave-info --parallel=4'])(
    'of a set are for a program, which a directory has not: %s',
    async (value) => {
      expect((await ask(OPTIONS, value)).get('code')).toBe('AGENT_NOT_SUPPORTED')
    },
  )

  test('are not repeated where they hold what looks like a login', async () => {
    const block = await ask(OPTIONS, '--password=s3cUre')

    expect(block.get('code')).toBe('AGENT_NOT_ALLOWED')
    expect(block.get('msg')).not.toContain('s3cUre')
  })
})

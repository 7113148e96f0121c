/**
 * Under a real xinetd the client's socket is descriptors 0, 1 and 2: it gets the protocol and nothing else.
 */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { AnswerReader } from '../../lib/protocol/index.ts'
import { readHostFile } from '../packaging/host-files.ts'
import { AGENT_PROGRAM } from '../rig/agent-process.ts'
import { converse, rawClient } from '../rig/raw-client.ts'
import { runProgram } from '../rig/run-program.ts'
import { Xinetd } from '../rig/xinetd.ts'

const PING = '0.77.0\n1\naction=ping\n\n'
const OLD_BACKUP =
  '0.76.1\n4\naction=copy from\nbackup-level=0\nfile=ZRM_LINKS/.\nagent-stream-encoding=application/octet-stream\n\n'

/**
 * Loaded into the agent before its own code: once the client's socket is out of the way, it says all that a
 * program can say; and it dies of a bug when it is told to.
 */
const NOISY = `
import { fstatSync } from 'node:fs'
const isQuiet = () => [1, 2].every((n) => fstatSync(n).ino !== fstatSync(0).ino)
const timer = setInterval(() => {
  if (!isQuiet()) return
  console.log('NOISE'); console.error('NOISE'); process._rawDebug('NOISE')
  process.emitWarning('NOISE ' + Math.random())
}, 1)
timer.unref()
process.on('SIGVTALRM', () => { throw new Error('NOISE: a bug') })
`

let scratch: string
let xinetd: Xinetd

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'inetd-noise-'))
  const source = join(scratch, 'source')
  mkdirSync(join(source, 'shop'), { recursive: true })
  writeFileSync(join(source, 'shop', 'orders.ibd'), Buffer.alloc(48 * 1024 * 1024, 'x'))
  const noisy = join(scratch, 'noisy.mjs')
  writeFileSync(noisy, NOISY)
  const args = ['inetd', '--engine', 'directory', '--directory', source, '--no-history', '--spill-bytes', '0']
  const log = ['--log', `file:${join(scratch, 'agent.log')}`]
  const roles = join(scratch, 'roles.toml')
  const secret = join(scratch, 'secret-customer')
  writeFileSync(roles, `engine = "directory"\ndirectory = "${secret}"\n\n[role.nightly]\n`, { mode: 0o640 })
  xinetd = await Xinetd.start([
    { name: 'quiet', args: [...args, ...log] },
    {
      name: 'noisy',
      args: [...args, ...log],
      environment: { NODE_OPTIONS: `--import=${noisy}`, NODE_DEBUG: 'net,stream,child_process,fs' },
    },
    { name: 'syslog', args },
    { name: 'no-log', args: [...args, '--log', 'file:/proc/no/such/place'] },
    { name: 'full-log', args: [...args, '--log', 'file:/dev/full'] },
    { name: 'misspelt', args: ['inetd', '--enginge', 'directory'] },
    { name: 'help', args: ['inetd', '--help'] },
    { name: 'no-engine', args: ['inetd', '--engine', 'directory', '--no-history', ...log] },
    { name: 'no-engine-roles', args: ['inetd', '--config', roles, '--no-history', ...log] },
    { name: 'wait-confused', args: [...args, '--wait', ...log] },
  ])
})
afterAll(async () => {
  await xinetd.stop()
  rmSync(scratch, { recursive: true })
})

const PONG = /^READY\n4\nstatus=OK\nmsg=pong\nagent=kv-backup-agent\/[^\n]+\nprotocol=0\.77\.0\n\n$/

test.each(['quiet', 'noisy', 'syslog', 'no-log', 'full-log'])('%s: the answer is all there is', async (service) => {
  const { bytes, ended } = await converse(xinetd.port(service), PING)

  expect(bytes.toString()).toMatch(PONG)
  expect(ended).toBe('fin')
})

test('a client that closes its half after the request gets its answer', async () => {
  const { bytes } = await converse(xinetd.port('quiet'), PING, { halfClose: true })

  expect(bytes.toString()).toMatch(PONG)
})

test.each([
  ['misspelt', /^msg=the agent cannot start: unknown option '--enginge'/m, 'CLI_USAGE'],
  ['help', /^msg=/m, 'CLI_USAGE'],
  ['no-engine', /^msg=the agent cannot start: /m, 'ENGINE_'],
  ['no-engine-roles', /^msg=the agent cannot start: its log says why$/m, 'ENGINE_'],
  ['wait-confused', /^msg=the agent cannot start: expected a socket that listens on descriptor 0/m, 'AGENT_DESCRIPTOR'],
])('%s: the client is told in place of READY, in one block', async (service, message, code) => {
  const { bytes, ended } = await converse(xinetd.port(service), PING)

  expect(bytes.toString()).toMatch(/^3\nstatus=FAILED\n/)
  expect(bytes.toString()).toMatch(message)
  expect(bytes.toString()).toContain(`code=${code}`)
  expect(ended).toBe('fin')
})

/** The servers of our xinetd: its children. */
const servers = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.split(' ')[1] === `${xinetd.pid}`
      } catch {
        return false
      }
    })
    .map(Number)

test('a bug in the middle of a backup: a reset, and not one byte of the crash', async () => {
  const client = await rawClient(xinetd.port('noisy'))
  client.socket.write(OLD_BACKUP)
  await client.hasReceived(1)
  client.socket.pause() // without a spill the agent has to wait

  for (const pid of servers()) process.kill(pid, 'SIGVTALRM')
  client.socket.resume()
  const { bytes, ended } = await client.ended()

  expect(ended).toBe('reset')
  const answer = new AnswerReader().push(bytes)
  expect(answer?.block.get('status')).toBe('SENDING')
  expect(bytes.includes('NOISE')).toBe(false)
  expect(readFileSync(join(scratch, 'agent.log'), 'utf8')).toMatch(/"level":"fatal".*NOISE: a bug/)
})

test.each(['pipe', 'nothing'])('by hand, with a %s on descriptor 0: a clear error on standard error', async (kind) => {
  const launcher = kind === 'pipe' ? 'cat /dev/null |' : ''
  const redirect = kind === 'pipe' ? '' : '<&-'
  const run = await runProgram('sh', [
    '-c',
    `${launcher} "${process.execPath}" "${AGENT_PROGRAM}" inetd --log none ${redirect}`,
  ])

  expect(run.exitCode).toBe(2)
  expect(run.stdout.toString()).toBe('')
  expect(run.stderr).toMatch(/expected a socket on descriptor 0, found .*\[AGENT_DESCRIPTOR\]/)
  expect(run.stderr).toContain('hint: xinetd, inetd or systemd start this command')
})

test('the file that the package brings serves, once it is switched on', async () => {
  const { username, gid } = userInfo()
  const args = `inetd --engine directory --directory ${join(scratch, 'source')} --state-dir ${join(scratch, 'state')}`
  const shipped = await Xinetd.startOn('kv-backup-agent', (port) =>
    readHostFile('xinetd.conf')
      .replace(/(disable += )yes/, '$1no')
      .replace(/(port += )25300/, `$1${port}`)
      .replace(/(user += )mysql/, `$1${username}`)
      .replace(/(group += )mysql/, `$1${gid}`)
      .replace('/usr/bin/backup-agent', process.execPath)
      .replace(/(server_args += )inetd/, `$1${AGENT_PROGRAM} ${args}`),
  )

  const { bytes, ended } = await converse(shipped.port('kv-backup-agent'), PING)
  await shipped.stop()

  expect(bytes.toString()).toMatch(PONG)
  expect(ended).toBe('fin')
})

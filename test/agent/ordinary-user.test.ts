/**
 * An agent of an ordinary user of the system, with a user of the database that has the documented grants and nothing
 * else, and no password: the server knows it by the socket (unix_socket).
 *
 * Needs root, to make the user and to become it.
 */

import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { type AgentProcess, AgentProcess as Agent, CLIENT_PROGRAM } from '../rig/agent-process.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { mustRun, plainEnvironment, runProgram } from '../rig/run-program.ts'
import { canBecomeUser } from '../rig/system-user.ts'

const USER = `kvbackup${process.pid}`
const README = new URL('../../../README.md', import.meta.url)

/** As README says it: `GRANT RELOAD, PROCESS, BINLOG MONITOR ON *.* TO backup@localhost;` */
const DOCUMENTED = (
  /^GRANT ([A-Z, ]+) ON \*\.\* TO backup@localhost;$/m.exec(readFileSync(README, 'utf8'))?.[1] ?? ''
).split(', ')

let scratch: string
let server: ThrowawayServer
let agent: AgentProcess

const onlyAsRoot = canBecomeUser() ? describe : describe.skip

onlyAsRoot('an agent of an ordinary user', () => {
  beforeAll(async () => {
    await mustRun('useradd', ['--system', '--no-create-home', '--user-group', '--shell', '/usr/sbin/nologin', USER])
    const [uid, gid] = ['-u', '-g'].map((which) => Number(execFileSync('id', [which, USER], { encoding: 'utf8' })))
    scratch = makeGuardedDirectory('ordinary', '/var/tmp')
    chmodSync(scratch, 0o755)
    // The files of a server belong to its user, and the backup program reads them itself.
    server = await ThrowawayServer.start({ directory: '/var/tmp', binaryLog: true, owner: uid as number })
    await server.query(`
      CREATE USER ${USER}@localhost IDENTIFIED VIA unix_socket;
      GRANT ${DOCUMENTED.join(', ')} ON *.* TO ${USER}@localhost;
      CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY); INSERT INTO shop.orders VALUES (1), (2), (3);`)
    for (const name of ['state', 'spool', 'temporary']) {
      mkdirSync(join(scratch, name), { mode: 0o700 })
      await mustRun('chown', [USER, join(scratch, name)])
    }
    // As /etc/kv-backup-agent/login.cnf: root's, for the agent's group. No password is in it, for there is none.
    const login = join(scratch, 'login.cnf')
    writeFileSync(login, `[client]\nuser=${USER}\nsocket=${server.socket}\n`)
    await mustRun('chown', [`root:${USER}`, login])
    chmodSync(login, 0o640)
    agent = await Agent.start(
      [
        ...['--engine', 'mariadb-backup', '--defaults-file', login],
        ...['--state-dir', join(scratch, 'state'), '--spool-dir', join(scratch, 'spool')],
      ],
      {
        environment: { ...plainEnvironment(), TMPDIR: join(scratch, 'temporary') },
        launcher: ['setpriv', '--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups', '--no-new-privs'],
      },
    )
  })
  afterAll(async () => {
    await agent?.stop()
    await server?.discard()
    if (scratch !== undefined) await removeGuardedDirectory(scratch)
    await runProgram('userdel', [USER])
  })

  const fetch = (out: string) =>
    runProgram(process.execPath, [CLIENT_PROGRAM, 'fetch', agent.address, '--out', out, '--json', '--require-verdict'])

  test('reads from README which grants those are', () => {
    expect(DOCUMENTED).toEqual(['RELOAD', 'PROCESS', 'BINLOG MONITOR'])
  })

  test('makes a backup with the documented grants alone, which is proven and restored', async () => {
    const out = join(scratch, 'backup.tar')

    const fetched = await fetch(out)
    const verified = await runProgram(process.execPath, [CLIENT_PROGRAM, 'verify', out, '--require-verdict', '--json'])
    const target = join(scratch, 'restored')
    await mustRun(process.execPath, [CLIENT_PROGRAM, 'restore', out, '--target', target])

    expect([fetched.exitCode, fetched.stderr]).toEqual([0, ''])
    expect(JSON.parse(verified.stdout.toString())).toMatchObject({ status: 'COMPLETE', proof: 'agent-verdict' })
    const restored = await ThrowawayServer.startOn(target, { directory: '/var/tmp' })
    const rows = await restored.query('SELECT id FROM shop.orders ORDER BY id')
    await restored.discard()
    expect(rows).toEqual([['1'], ['2'], ['3']])
    expect(
      await server.queryValue(
        `SELECT COUNT(*) FROM information_schema.user_privileges WHERE grantee LIKE "'${USER}'%"`,
      ),
    ).toBe(`${DOCUMENTED.length}`)
  })

  test.each(DOCUMENTED.map((grant) => [grant]))(
    'without %s is refused clearly, and what to grant is named',
    async (grant) => {
      await server.query(`REVOKE ${grant} ON *.* FROM ${USER}@localhost`)
      const out = join(scratch, `without-${grant.replace(' ', '-')}.tar`)

      const { exitCode, stdout } = await fetch(out)
      await server.query(`GRANT ${grant} ON *.* TO ${USER}@localhost`)

      expect(JSON.parse(stdout.toString())).toMatchObject({
        status: 'FAILED',
        facts: { agentCode: 'ENGINE_PRIVILEGE' },
        message: expect.stringContaining(`lacks ${grant}`),
      })
      expect(JSON.parse(stdout.toString())).toMatchObject({
        message: expect.stringContaining(`GRANT ${grant} ON *.* TO`),
      })
      expect(exitCode).toBe(4)
    },
  )

  test('with a table of MyISAM it needs SELECT as well, to be told whether the table is in use', async () => {
    await server.query('CREATE TABLE shop.notes (id INT) ENGINE=MyISAM')
    const refused = await fetch(join(scratch, 'unseen.tar'))
    await server.query(`GRANT SELECT ON *.* TO ${USER}@localhost`)
    const fetched = await fetch(join(scratch, 'seen.tar'))
    await server.query(`REVOKE SELECT ON *.* FROM ${USER}@localhost; DROP TABLE shop.notes`)

    expect(JSON.parse(refused.stdout.toString())).toMatchObject({
      status: 'FAILED',
      facts: { agentCode: 'ENGINE_PRIVILEGE' },
      message: expect.stringMatching(
        /lacks SELECT, needed to see whether shop\/notes\.MYD is in use.*GRANT SELECT ON \*\.\* TO/s,
      ),
    })
    expect([refused.exitCode, fetched.exitCode]).toEqual([4, 0])
  })

  test('keeps everything that it writes to itself', async () => {
    const { stdout } = await mustRun('find', [scratch, '-user', USER, '-perm', '/077', '-printf', '%P\n'])
    const foreign = await mustRun('find', [join(scratch, 'state'), '!', '-user', USER])

    expect(stdout.toString()).toBe('')
    expect(foreign.stdout.toString()).toBe('')
  })
})

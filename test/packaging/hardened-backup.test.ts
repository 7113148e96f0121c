/** A whole backup by the agent under the directives of its unit, of a server that belongs to the same user. */

import { chmodSync, chownSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { fetchBackup, restoreBackup, verifyBackup } from '../../lib/client/index.ts'
import { AgentProcess } from '../rig/agent-process.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'
import { plainEnvironment, runProgram } from '../rig/run-program.ts'
import { likeSystemd, NOBODY, whyNotLikeSystemd } from './like-systemd.ts'

/** The rights that README documents for a server with a binary log, and no other. */
const DOCUMENTED_GRANTS = ['RELOAD', 'PROCESS', 'BINLOG MONITOR']

// Not below /tmp and /var/tmp, which are private to the service.
const scratch = process.geteuid?.() === 0 ? makeGuardedDirectory('hardened', '/srv') : undefined
const whyNot = scratch === undefined ? 'it needs root' : await whyNotLikeSystemd(scratch)
if (whyNot !== undefined) {
  process.stderr.write(`hardened-backup.test: NOT TRIED: a backup under the directives of the unit: ${whyNot}\n`)
}
const whereHardened = whyNot === undefined ? test : test.skip
const home = scratch ?? ''

let server: ThrowawayServer | undefined
beforeAll(async () => {
  if (whyNot !== undefined) return
  chmodSync(home, 0o755)
  for (const name of ['state', 'run']) {
    mkdirSync(join(home, name), { mode: 0o700 })
    chownSync(join(home, name), NOBODY, NOBODY)
  }
  server = await ThrowawayServer.start({ directory: home, binaryLog: true, owner: NOBODY })
  await server.createBackupUser('backup', 'secret', DOCUMENTED_GRANTS)
  await server.query(
    'CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY); INSERT shop.orders VALUES (7)',
  )
})
afterAll(async () => {
  await server?.discard()
  if (scratch !== undefined) await removeGuardedDirectory(scratch)
})

const launcher = (): Promise<string[]> =>
  likeSystemd(NOBODY, { writable: [join(home, 'state'), join(home, 'run')], scratch: home })

whereHardened('the directives are in force: nothing can be written, mounted or become root', async () => {
  const inside = async (script: string): Promise<string> => {
    const [program = '', ...words] = [...(await launcher()), '/bin/sh', '-c', script]
    const { stdout, stderr } = await runProgram(program, words)
    return stdout.toString() + stderr
  }

  expect(await inside('id -u; id -G; ulimit -c')).toBe(`${NOBODY}\n${NOBODY}\n0\n`)
  expect(await inside(`touch ${home}/x`)).toMatch(/Read-only file system|Permission denied/)
  expect(await inside('mount -t tmpfs tmpfs /mnt')).toMatch(/permitted|denied|superuser/)
  expect(await inside('unshare --user true')).toMatch(/Operation not permitted/)
  expect(
    await inside('grep -E "^(NoNewPrivs|Seccomp|Cap(Eff|Prm|Bnd|Amb)):" /proc/self/status | tr "\\n\\t" " "'),
  ).toMatch(/^CapPrm: 0+ CapEff: 0+ CapBnd: 0+ CapAmb: 0+ NoNewPrivs: 1 Seccomp: 2 $/)
  expect(await inside('ls /tmp /var/tmp; ls /proc/1 || true')).toMatch(/No such file/)
})

whereHardened(
  'a full backup comes through, is remembered, and can be prepared',
  async () => {
    const agent = await AgentProcess.start(['--socket', server?.socket ?? '', '--state-dir', join(home, 'state')], {
      launcher: await launcher(),
      environment: { ...plainEnvironment(), TMPDIR: join(home, 'run') },
    })
    const archive = join(home, 'backup.tar')

    const fetching = fetchBackup({
      host: agent.host,
      port: agent.port,
      user: 'backup',
      password: 'secret',
      target: { file: archive },
      requireVerdict: true,
    })
    // It is stopped whatever comes: the last word on what was wrong is in its log.
    const arrived = await Promise.allSettled([fetching.receipt])
    const status = readFileSync(`/proc/${agent.pid}/status`, 'utf8')
    const end = await agent.stop()
    if (arrived[0].status === 'rejected') throw new Error(agent.logTail, { cause: arrived[0].reason })
    const receipt = arrived[0].value

    expect(status).toMatch(/^Seccomp:\t2$/m)
    expect(status).toMatch(new RegExp(`^Uid:\t${NOBODY}\t`, 'm'))
    expect(receipt).toMatchObject({ proof: 'agent-verdict' })
    await expect(verifyBackup(archive, { requireVerdict: true })).resolves.toMatchObject({ sha256: receipt.sha256 })
    await restoreBackup({ file: archive, target: join(home, 'restored') })
    expect(end).toEqual({ exitCode: 0, killedBy: null })
    expect(agent.logs.filter(({ level }) => Number(level) > 30 || ['warn', 'error'].includes(String(level)))).toEqual(
      [],
    )
  },
  300_000,
)

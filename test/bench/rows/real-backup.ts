/**
 * The whole way of a real backup: mariadb-backup reads two gigabytes of a real server from the cache of files.
 *
 *     ours   mariadb-backup ─▶ agent ─▶ loopback ─▶ a client that counts
 *     peer   mariadb-backup ─▶ socat ─▶ loopback ─▶ the same client
 */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { Encoding } from '../../faults/product.ts'
import { AgentProcess } from '../../rig/agent-process.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../../rig/guard.ts'
import { ThrowawayServer } from '../../rig/mariadb-server.ts'
import type { Contest, Contestant, Row, Size } from '../row.ts'
import { ALL_ENCODINGS, type Login, throughAgent, throughSocat } from '../ways.ts'

const MIB = 1024 * 1024
const LOGIN: Login = { user: 'backup', password: 'secret' }
const ROW_BYTES = 8000
const TABLES = 4
const PEER = 'mariadb-backup --stream=xbstream | socat'

/** Not the usual temporary directory: that one may be memory itself, and the data is in the cache all the same. */
const PLACE = '/var/tmp'

const fill = async (server: ThrowawayServer, bytes: number): Promise<void> => {
  const rows = Math.ceil(bytes / TABLES / ROW_BYTES)
  await server.query('CREATE DATABASE bench')
  for (let table = 0; table < TABLES; table += 1) {
    await server.query(`
      CREATE TABLE bench.t${table} (id INT PRIMARY KEY, body VARBINARY(${ROW_BYTES})) ENGINE=InnoDB;
      INSERT INTO bench.t${table} SELECT seq, REPEAT(RANDOM_BYTES(100), ${ROW_BYTES / 100 - 10}) FROM bench.seq_1_to_${rows};`)
  }
  // All of it is in the files, and in the cache, before anything is measured.
  await server.stop()
  await server.restart()
}

const prepare = async (size: Size): Promise<Contest> => {
  const contentBytes = size === 'full' ? 2048 * MIB : 8 * MIB
  const work = makeGuardedDirectory('bench', PLACE)
  const server = await ThrowawayServer.start({ directory: PLACE, redoLogBytes: 256 * MIB })
  await server.createBackupUser(LOGIN.user, LOGIN.password)
  await fill(server, contentBytes)
  const agent = await AgentProcess.start(['--engine', 'mariadb-backup', '--socket', server.socket, '--spool-dir', work])
  const optionFile = join(work, 'login.cnf')
  writeFileSync(optionFile, `[mariadb-backup]\nuser=${LOGIN.user}\npassword=${LOGIN.password}\n`, { mode: 0o600 })
  const program = ['mariadb-backup', `--defaults-file=${optionFile}`, '--backup', '--stream=xbstream'] as const
  const words = [...program, `--socket=${server.socket}`, `--target-dir=${work}`] as const
  const speed = ({ seconds }: { readonly seconds: number }): number => contentBytes / 1e9 / seconds
  const goal = (encoding: Encoding): number => (encoding === 'octet' || encoding === 'framed' ? 0.9 : 0.8)
  const ours = (encoding: Encoding, at: number): Contestant => ({
    name: `agent, ${encoding}`,
    is: at === 0 ? 'ours' : 'ours too',
    ...(at === 0 ? {} : { against: PEER, goal: goal(encoding) }),
    run: async () => speed(await throughAgent(agent, encoding, { contentBytes }, LOGIN)),
  })
  return {
    contestants: [
      ...ALL_ENCODINGS.map(ours),
      {
        name: PEER,
        is: 'peer',
        goal: goal('octet'),
        run: async () => speed(await throughSocat(words, { contentBytes })),
      },
    ],
    close: async () => {
      await agent.stop()
      await server.discard()
      await removeGuardedDirectory(work)
    },
  }
}

export const rows: readonly Row[] = [
  {
    name: 'real-backup',
    chapter: 'The whole way',
    does: 'backs up 2 GiB of a real MariaDB, from the cache of files to a client on loopback',
    unit: 'GB/s',
    better: 'more',
    turns: 5,
    limit:
      'On two processors the backup program, the agent, the server and the client share what there is: the agent takes it from the others, as the row whole-way-processor shows. It reads in larger pieces than socat, so the backup program waits less often for it.',
    prepare,
  },
]

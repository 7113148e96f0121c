/**
 * `npm run measure:memory`: how much memory agent and client take for a large backup.
 *
 * Fills a throw-away server with 3 GB, one table of them 1 GB, fetches it once in each
 * encoding, and once with a client that stands still until the backup program is done; prints
 * the peak of each process (VmHWM of proc(5)). Fails when the agent takes more than the README
 * promises. Not a test: it takes minutes and 15 GB of disk.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'

import { AgentProcess, CLIENT_PROGRAM } from '../rig/agent-process.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { ThrowawayServer } from '../rig/mariadb-server.ts'

const MIB = 1024 * 1024
const PROMISED_BYTES = 200 * MIB
const ROW_BYTES = 8000
/** The tables, in MiB: 3 GB in all. */
const TABLES = [1024, 512, 512, 256, 256, 256, 128, 128]

/** Not the usual temporary directory: that one may be memory itself. */
const PLACE = '/var/tmp'

/** Peak resident memory of a process, bytes; undefined when it is gone. */
const peakBytes = (pid: number): number | undefined => {
  try {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
  } catch {
    return undefined
  }
}

interface Way {
  readonly name: string
  readonly options: readonly string[]
  /** The client is stopped until the backup program is done: everything waits in the spill. */
  readonly standsStill?: true
}

const WAYS: readonly Way[] = [
  { name: 'framed', options: [] },
  { name: 'standing still', options: [], standsStill: true },
  ...['octet', 'base64', 'uuencode'].map((name) => ({ name, options: ['--encoding', name] })),
]

/** Fetches one backup. The client's peak is looked at every 20 ms: it is lost with the process. */
const fetch = async (agent: AgentProcess, out: string, { options, standsStill }: Way): Promise<number> => {
  const args = ['fetch', agent.address, '--user', 'backup', '--out', out, ...options, '--json']
  const env = { ...process.env, BACKUP_PASSWORD: 'secret' }
  const client = spawn(process.execPath, [CLIENT_PROGRAM, ...args], { env, stdio: ['ignore', 'ignore', 'inherit'] })
  let peak = 0
  const watch = setInterval(() => {
    peak = Math.max(peak, peakBytes(client.pid ?? 0) ?? 0)
  }, 20)
  const closed = once(client, 'close')
  if (standsStill) {
    await agent.logged('engine stage')
    client.kill('SIGSTOP')
    await agent.logged(({ msg, stage }) => msg === 'engine stage' && stage === 'done')
    client.kill('SIGCONT')
  }
  const [status] = (await closed) as [number]
  clearInterval(watch)
  if (status !== 0) throw new Error(`the client ended with ${status}`)
  return peak
}

const work = makeGuardedDirectory('memory', PLACE)
const server = await ThrowawayServer.start({ directory: PLACE, bufferPoolBytes: 512 * MIB, redoLogBytes: 256 * MIB })
await server.createBackupUser('backup', 'secret')
await server.query('CREATE DATABASE big')
for (const [index, mebibytes] of TABLES.entries()) {
  const rows = Math.round((mebibytes * MIB) / ROW_BYTES)
  await server.query(`
    CREATE TABLE big.t${index} (id INT PRIMARY KEY, body VARBINARY(${ROW_BYTES})) ENGINE=InnoDB;
    INSERT INTO big.t${index} SELECT seq, REPEAT(RANDOM_BYTES(100), ${ROW_BYTES / 100 - 10}) FROM big.seq_1_to_${rows};`)
}

let promiseKept = true
for (const way of WAYS) {
  const agent = await AgentProcess.start(['--engine', 'mariadb-backup', '--socket', server.socket, '--spool-dir', work])
  const out = join(work, 'backup.tar')
  const clientPeak = await fetch(agent, out, way)
  const agentPeak = peakBytes(agent.pid) ?? 0
  const gigabytes = (statSync(out).size / 1e9).toFixed(2)
  const [inAgent, inClient] = [agentPeak, clientPeak].map((bytes) => `${Math.round(bytes / MIB)} MiB`)
  process.stdout.write(`${way.name.padEnd(15)} archive ${gigabytes} GB   agent ${inAgent}   client ${inClient}\n`)
  promiseKept &&= agentPeak < PROMISED_BYTES
  rmSync(out)
  rmSync(`${out}.receipt`)
  await agent.stop()
}
await server.discard()
await removeGuardedDirectory(work)
process.exitCode = promiseKept ? 0 : 1

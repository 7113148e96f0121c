/**
 * How much memory an agent takes: for backups of any size, and with any number of clients that are connected.
 *
 * Each figure is of a new process. The most it has ever taken counts for a backup (VmHWM), what it takes while they are
 * there for connections (VmRSS).
 */

import { AgentProcess } from '../../rig/agent-process.ts'
import { peakMebibytes, residentMebibytes } from '../../rig/resident-memory.ts'
import { plainEnvironment } from '../../rig/run-program.ts'
import { Strangers } from '../../rig/strangers.ts'
import { generatingEngine } from '../generating-engine.ts'
import { makeMemoryDirectory } from '../memory-directory.ts'
import type { Contest, Contestant, Row, Size } from '../row.ts'
import { throughAgent } from '../ways.ts'

const GB = 1_000_000_000

const forBackup = (gigabytes: number, at: number, size: Size): Contestant => ({
  name: `${gigabytes} GB`,
  is: at === 0 ? 'ours' : 'ours too',
  run: async () => {
    const { path: directory, remove } = makeMemoryDirectory()
    const { path, contentBytes } = generatingEngine(directory, size === 'full' ? gigabytes * GB : gigabytes * 1_000_000)
    const environment = { ...plainEnvironment(), PATH: path, TMPDIR: directory }
    const agent = await AgentProcess.start(['--engine', 'mariadb-backup', '--spool-dir', directory], { environment })
    try {
      await throughAgent(agent, 'framed', { contentBytes })
      return peakMebibytes(agent.pid)
    } finally {
      await agent.stop()
      await remove()
    }
  },
})

const withConnections = (count: number, at: number, size: Size): Contestant => ({
  name: `${count} ${count === 1 ? 'connection' : 'connections'}`,
  is: at === 0 ? 'ours' : 'ours too',
  run: async () => {
    const { path: directory, remove } = makeMemoryDirectory()
    const room = String(count + 10)
    const options = ['--connections', room, '--connections-per-source', room, '--connections-unknown', room]
    const agent = await AgentProcess.start(['--directory', directory, '--no-history', ...options])
    try {
      const strangers = await Strangers.come({
        port: agent.port,
        count: size === 'full' ? count : Math.min(count, 20),
        sources: 4,
        saying: '0.77.0\n', // and wait
      })
      await untilStill(() => residentMebibytes(agent.pid))
      const taken = residentMebibytes(agent.pid)
      if (strangers.open.length < strangers.all.length) throw new Error('some connections were dropped')
      await strangers.leave()
      return taken
    } finally {
      await agent.stop()
      await remove()
    }
  },
})

/** All have been looked at when a tenth of a second changes nothing. */
const untilStill = async (look: () => number): Promise<void> => {
  for (let last = -1, now = look(); Math.abs(now - last) > 0.1; ) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    last = now
    now = look()
  }
}

const contest =
  (make: (of: number, at: number, size: Size) => Contestant, all: readonly number[]) =>
  (size: Size): Contest => ({ contestants: all.map((of, at) => make(of, at, size)) })

export const BACKUP_GIGABYTES = [1, 4, 16]
export const CONNECTIONS = [1, 100, 1000]

const CHAPTER = 'Memory'

export const rows: readonly Row[] = [
  {
    name: 'memory-by-size',
    chapter: CHAPTER,
    does: 'takes so much memory at most for one framed backup of that size',
    unit: 'MiB',
    better: 'less',
    wanted: 200,
    turns: 3,
    limit:
      'Node and the program take some 60 MiB before anything is asked. The rest are the spill’s share of memory (`--memory-bytes`) and buffers that are on their way, which do not depend on the size.',
    prepare: contest(forBackup, BACKUP_GIGABYTES),
  },
  {
    name: 'memory-by-connections',
    chapter: CHAPTER,
    does: 'takes so much memory with so many connections whose request is not whole',
    unit: 'MiB',
    better: 'less',
    wanted: 100,
    turns: 3,
    limit: 'Node’s own objects of a socket with its timer, some 15 kB a connection.',
    prepare: contest(withConnections, CONNECTIONS),
  },
]

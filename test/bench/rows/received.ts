/**
 * The other end: a backup is fetched, proven and written to a file, from a real agent by the real client.
 *
 *     ours   program ─▶ agent ─▶ loopback ─▶ backup-client fetch ─▶ a file in memory, with its digest and proof
 *     peer   program ─▶ socat ─▶ loopback ─▶ socat ─▶ a file in memory, with its digest or without
 *
 * The program is a stand-in, `replaying-engine.ts`.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'

import { CLIENT_PROGRAM } from '../../rig/agent-process.ts'
import { freePort } from '../../rig/free-port.ts'
import { mustRun, plainEnvironment } from '../../rig/run-program.ts'
import { replayingEngine, type Stage } from '../replaying-engine.ts'
import type { Contest, Contestant, Row, Runner, Size } from '../row.ts'

const MIB = 1024 * 1024

const prepare = async (size: Size): Promise<Contest> => {
  const stage = await replayingEngine({ files: 4, fileBytes: size === 'full' ? 256 * MIB : 4 * MIB })
  const target = join(stage.directory, 'received')
  const seconds = async (work: () => Promise<void>): Promise<number> => {
    const began = performance.now()
    await work()
    return (performance.now() - began) / 1000
  }
  const speed =
    (work: () => Promise<void>): Runner =>
    async () => {
      try {
        return stage.contentBytes / 1e9 / (await seconds(work))
      } finally {
        rmSync(target, { recursive: true, force: true })
        rmSync(`${target}.receipt`, { force: true })
      }
    }
  const fetched = (name: string, words: readonly string[], is: Contestant['is'] = 'ours too'): Contestant => ({
    name,
    is,
    run: speed(async () => {
      await mustRun(process.execPath, [CLIENT_PROGRAM, 'fetch', stage.agent.address, '--user', 'backup', ...words])
    }),
  })
  const piped = (name: string, into: string): Contestant => ({
    name,
    is: 'peer',
    run: speed(() => throughSocat(stage, target, into)),
  })
  return {
    contestants: [
      fetched('framed, to a file', ['--out', target], 'ours'),
      fetched('octet, to a file', ['--out', target, '--encoding', 'octet']),
      fetched('base64, to a file', ['--out', target, '--encoding', 'base64']),
      fetched('framed, unpacked into a directory', ['--extract', target]),
      piped('socat, to a file', 'cat > "$1"'),
      piped('socat, to a file, and sha256sum', 'tee "$1" | sha256sum > /dev/null'),
    ],
    close: () => stage.close(),
  }
}

const throughSocat = async ({ program, contentBytes }: Stage, target: string, into: string): Promise<void> => {
  const port = await freePort()
  const line = `"$0" 2>/dev/null | socat -u - TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr &
socat -u TCP:127.0.0.1:${port},retry=100,interval=0.01 - | ${into}; wait`
  const pipe = spawn('sh', ['-c', line, program, target], { stdio: 'ignore', env: plainEnvironment() })
  const [status] = (await once(pipe, 'close')) as [number]
  const { size } = statSync(target)
  if (status !== 0 || size < contentBytes) throw new Error(`socat wrote ${size} bytes and ended with ${status}`)
}

export const rows: readonly Row[] = [
  {
    name: 'received',
    chapter: 'The whole way',
    does: 'fetches what a program writes from memory into a file in memory, proven, four files of 256 MiB',
    unit: 'GB/s',
    better: 'more',
    limit:
      'Two processors for the program, the agent, the client, the two threads that make the digest at either end and the kernel between them; socat has half of that to do, and proves nothing. The client reads a socket 256 KiB at a time into memory that is used again and writes a mebibyte at a time: with 64 KiB each it took 5.5 s of a processor for a gigabyte, now 3.',
    prepare,
  },
]

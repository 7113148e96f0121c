/**
 * The two ways from a backup program to a client: through an agent, and through socat. Each checks that all has come.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { ENCODINGS, FRAMED_MIME } from '../../lib/encodings/index.ts'
import type { Encoding } from '../faults/product.ts'
import type { AgentProcess } from '../rig/agent-process.ts'
import { freePort } from '../rig/free-port.ts'
import { plainEnvironment } from '../rig/run-program.ts'
import { type Counted, countBytes } from './counting-client.ts'

export const ALL_ENCODINGS: readonly Encoding[] = ['octet', 'framed', 'base64', 'uuencode']

export interface Wanted {
  /** What the archive holds at least, in bytes. */
  readonly contentBytes: number
  readonly bytesPerSecond?: number | undefined
  readonly compression?: Compression | undefined
}

/** As it is called in a shell, and in a request. */
export interface Compression {
  readonly words: string
  readonly command: string
}

export interface Login {
  readonly user: string
  readonly password: string
}

/** Least bytes on the wire for a byte of the archive. */
const WIRE_PER_RAW: Readonly<Record<Encoding, number>> = { octet: 1, framed: 1, base64: 77 / 57, uuencode: 62 / 45 }

/** A stand-in asks nobody for a password, but the agent does not know that. */
const NOBODY: Login = { user: 'backup', password: 'secret' }

const requestFor = (encoding: Encoding, compression: Compression | undefined, { user, password }: Login): string => {
  sessions += 1
  const pairs = [
    'action=copy from',
    `sid=bench-${sessions}`,
    `user=${user}`,
    `password=${password}`,
    'backup-level=0',
    'file=/srv/ZRM_LINKS/.',
    `agent-stream-encoding=${encoding === 'framed' ? FRAMED_MIME : ENCODINGS[encoding]}`,
    ...(compression === undefined ? [] : [`xtrabackup-agent:inline-compress=${compression.words}`]),
  ]
  return [encoding === 'framed' ? '0.77.0' : '0.76.1', pairs.length, ...pairs, '', ''].join('\n')
}

let sessions = 0

/** User and system time of one process, without its children: fields 14 and 15 of proc(5), in hundredths. */
const processorSecondsOf = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** @returns seconds by the wall, and of the processors that the agent used, its children not counted */
export const throughAgent = async (
  agent: AgentProcess,
  encoding: Encoding,
  { contentBytes, bytesPerSecond, compression }: Wanted,
  login = NOBODY,
): Promise<{ readonly seconds: number; readonly processorSeconds: number }> => {
  const before = processorSecondsOf(agent.pid)
  const request = requestFor(encoding, compression, login)
  const { bytes, tail, seconds } = await countBytes({ port: agent.port, request, bytesPerSecond })
  const isWhole =
    encoding === 'framed'
      ? tail.includes('status=COMPLETE')
      : encoding !== 'octet' || compression !== undefined || tail.endsWith('\0'.repeat(1024))
  const least = compression === undefined ? contentBytes * WIRE_PER_RAW[encoding] : contentBytes / 4
  if (!isWhole || bytes < least) throw new Error(`${bytes} bytes of ${encoding} for ${contentBytes}: ${agent.logTail}`)
  return { seconds, processorSeconds: processorSecondsOf(agent.pid) - before }
}

/** By a program of Node that does nothing else: see `bare-forwarder.ts`. */
export const throughBareNode = async (
  way: 'blind' | 'summing',
  program: readonly [string, ...string[]],
  { contentBytes }: Wanted,
): Promise<{ readonly seconds: number }> => {
  const forwarder = spawn(process.execPath, [FORWARDER, way, ...program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: plainEnvironment(),
  })
  const ended = once(forwarder, 'close')
  const [said] = (await once(forwarder.stdout, 'data')) as [Buffer]
  const { bytes, seconds } = await countBytes({ port: Number(said.toString()) })
  const [status] = (await ended) as [number]
  if (status !== 0 || bytes < contentBytes)
    throw new Error(`${bytes} bytes were forwarded by Node, which ended with ${status}`)
  return { seconds }
}

const FORWARDER = fileURLToPath(new URL('bare-forwarder.js', import.meta.url))

/** @param program started by a shell, which finds its words in `"$@"` */
export const throughSocat = async (
  [program, ...words]: readonly [string, ...string[]],
  { contentBytes, bytesPerSecond, compression }: Wanted,
): Promise<{ readonly seconds: number }> => {
  const port = await freePort()
  const between = compression === undefined ? '' : `| ${compression.command} `
  const line = `"$@" 2>/dev/null ${between}| socat -u - TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr`
  const began = performance.now()
  const pipe = spawn('sh', ['-c', line, 'sh', program, ...words], { stdio: 'ignore', env: plainEnvironment() })
  const [counted, [status]] = (await Promise.all([countBytes({ port, bytesPerSecond }), once(pipe, 'close')])) as [
    Counted,
    [number],
  ]
  if (status !== 0 || counted.bytes < (compression === undefined ? contentBytes : contentBytes / 4)) {
    throw new Error(`${counted.bytes} bytes came through socat, which ended with ${status}`)
  }
  return { seconds: (performance.now() - began) / 1000 }
}

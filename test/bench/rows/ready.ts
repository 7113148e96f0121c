/**
 * From connecting to the first answer, and what a process for each client costs.
 *
 * `ping` is the shortest question. An answer that is not exactly the right one fails the row.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, cpSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'

import { PRODUCT } from '../../../lib/config/index.ts'
import { AGENT_PROGRAM, AgentProcess } from '../../rig/agent-process.ts'
import { mustRun, plainEnvironment } from '../../rig/run-program.ts'
import { ask } from '../ask.ts'
import { makeMemoryDirectory } from '../memory-directory.ts'
import type { Contest, Row, Runner, Size } from '../row.ts'
import { LikeInetd, processMs } from '../started-like-inetd.ts'

const PING = '0.77.0\n1\naction=ping\n\n'
const PONG = `READY\n4\nstatus=OK\nmsg=pong\nagent=${PRODUCT}\nprotocol=0.77.0\n\n`

const rightly = <Result extends { readonly answer: string }>(result: Result): Result => {
  if (result.answer !== PONG) throw new Error(`expected a pong, found ${JSON.stringify(result.answer)}`)
  return result
}

const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((one, other) => one - other)[Math.min(values.length - 1, Math.floor(values.length * share))] ??
  Number.NaN

/** Processes of one turn, and connections of one. */
const PROCESSES: Readonly<Record<Size, number>> = { full: 20, quick: 1 }
const CONNECTIONS: Readonly<Record<Size, number>> = { full: 2000, quick: 5 }

/** A Perl program such as deployed agents are: it loads DBI, reads a request, answers. */
const PERL = `
use strict; use warnings; use DBI;
local $/ = "\\n\\n"; my $request = <STDIN>;
syswrite STDOUT, $ARGV[0];
`

/** What no agent of Node can be without: the client's socket, as a stream. */
const SOCKET = `
const { Socket } = require('node:net')
const client = new Socket({ fd: 0, readable: true, writable: true, allowHalfOpen: true })
client.once('data', () => client.end(process.argv[1]))
`

const medianOf = async (count: number, once: () => Promise<number>): Promise<number> => {
  const values: number[] = []
  for (let at = 0; at < count; at += 1) values.push(await once())
  return quantile(values, 0.5)
}

/** What an operator's host has: a directory in place of a server, no history, a log in a file. */
const agentOptions = (directory: string): string[] => {
  writeFileSync(join(directory, 'ibdata1'), 'a tablespace')
  return ['--engine', 'directory', '--directory', directory, '--no-history']
}

const loggingOptions = (directory: string): string[] => ['--log', `file:${join(directory, 'agent.log')}`]

/** The programs as the Debian package installs them: with the core compiled. */
const compiledProgram = async (home: string): Promise<string> => {
  const programs = join(home, 'dist/programs')
  cpSync(dirname(AGENT_PROGRAM), programs, { recursive: true })
  copyFileSync(join(dirname(AGENT_PROGRAM), '../../package.json'), join(home, 'package.json'))
  await mustRun(process.execPath, [join(programs, 'code-cache.cjs')])
  return join(programs, 'backup-agent.cjs')
}

const underInetd = async (size: Size, figure: 'processMs' | 'answerMs'): Promise<Contest> => {
  const place = makeMemoryDirectory()
  const installed = makeMemoryDirectory()
  const options = ['inetd', ...agentOptions(place.path), ...loggingOptions(place.path)]
  const own = await LikeInetd.listen([process.execPath, await compiledProgram(installed.path), ...options])
  const uncompiled = await LikeInetd.listen([process.execPath, AGENT_PROGRAM, ...options])
  const perl = await LikeInetd.listen(['perl', '-e', PERL, PONG])
  const socket = await LikeInetd.listen([process.execPath, '-e', SOCKET, PONG])
  const served =
    (program: LikeInetd): Runner =>
    () =>
      medianOf(PROCESSES[size], async () => rightly(await program.serve(PING))[figure])
  const node: Runner = () => medianOf(PROCESSES[size], () => processMs([process.execPath, '-e', '0']))
  return {
    contestants: [
      { name: 'backup-agent inetd', is: 'ours', run: served(own) },
      { name: 'backup-agent inetd, not compiled', is: 'ours too', run: served(uncompiled) },
      ...(figure === 'processMs' ? ([{ name: 'node -e 0', is: 'peer', run: node, goal: 0.8 }] as const) : []),
      { name: 'Perl with DBI loaded', is: 'peer', run: served(perl) },
      { name: 'Node with the socket alone', is: 'limit', run: served(socket) },
    ],
    close: async () => {
      for (const program of [own, uncompiled, perl, socket]) program.close()
      await place.remove()
      await installed.remove()
    },
  }
}

/** Answers as fast as Node can: what connecting, one packet each way and closing take by themselves. */
const BARE = `
const server = require('node:net').createServer({ noDelay: true }, (socket) => {
  socket.once('data', () => socket.end(process.argv[1]))
  socket.on('error', () => socket.destroy())
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
`

/** In a process of its own, as an agent is. */
const bareServer = async (): Promise<Listening> => {
  const child = spawn(process.execPath, ['-e', BARE, PONG], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: plainEnvironment(),
  })
  const exited = once(child, 'exit')
  const [port] = (await once(child.stdout, 'data')) as [Buffer]
  return {
    port: Number(port.toString()),
    stop: () => {
      child.kill('SIGTERM')
      return exited
    },
  }
}

/** A process that accepts connections itself, and where. */
interface Listening {
  readonly port: number
  stop(): Promise<unknown>
}

const serving = async (directory: string): Promise<Listening> => {
  const agent = await AgentProcess.start(agentOptions(directory), { environment: plainEnvironment() })
  return { port: agent.port, stop: () => agent.stop() }
}

/** As xinetd with `wait = yes`: the process gets the socket that listens. */
const waiting = async (directory: string): Promise<Listening> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const { fd: descriptor } = (server as unknown as { _handle: { fd: number } })._handle // Node tells it nowhere else
  const child = spawn(
    process.execPath,
    [AGENT_PROGRAM, 'inetd', '--wait', ...agentOptions(directory), ...loggingOptions(directory)],
    {
      stdio: [descriptor, 'ignore', 'ignore'],
      env: plainEnvironment(),
    },
  )
  const exited = once(child, 'exit')
  server.close() // the child has it, and accepts
  return {
    port,
    stop: () => {
      child.kill('SIGTERM')
      return exited
    },
  }
}

/**
 * Asks all of them in turn, one connection after the other: whatever else the machine does meets each of them as often.
 * Whoever of them is run first in a turn asks for all.
 */
const askedInTurn = (all: readonly Listening[], size: Size, share: number): Runner[] => {
  const found = new Map<Listening, number>()
  const askAll = async (): Promise<void> => {
    const times = new Map<Listening, number[]>(all.map((one) => [one, []]))
    for (let at = 0; at < CONNECTIONS[size]; at += 1) {
      for (const one of all) times.get(one)?.push(rightly(await ask(one.port, PING)).answerMs)
    }
    for (const [one, values] of times) found.set(one, quantile(values, share))
  }
  return all.map((one) => async () => {
    if (!found.has(one)) await askAll()
    const figure = found.get(one) ?? Number.NaN
    found.delete(one)
    return figure
  })
}

const standAlone = async (size: Size, share: number): Promise<Contest> => {
  const place = makeMemoryDirectory()
  const [serve, wait, bare] = [await serving(place.path), await waiting(place.path), await bareServer()]
  const [askServe, askWait, askBare] = askedInTurn([serve, wait, bare], size, share) as [Runner, Runner, Runner]
  return {
    contestants: [
      { name: 'backup-agent serve', is: 'ours', run: askServe },
      { name: 'backup-agent inetd --wait', is: 'ours too', run: askWait },
      { name: 'a bare server of Node', is: 'peer', run: askBare },
    ],
    close: async () => {
      await Promise.all([serve.stop(), wait.stop(), bare.stop()])
      await place.remove()
    },
  }
}

const CHAPTER = 'From connecting to the first answer'

const UNDER_INETD =
  'The start of Node itself, and its socket: `node:net` and the functions of streams that Node compiles when they are ' +
  'first called take a fifth to two fifths of `node -e 0` once more, before an agent has done anything (`Node with ' +
  'the socket alone`). Of what is ours, most is code that runs for the first and only time: reading 0.4 MB of compiled ' +
  'code, pino and commander made ready, some 900 more pages of memory. Tried without avail: a snapshot of V8 with the ' +
  'whole core in it (74 ms against 73: an empty one takes 4 ms longer than Node’s own, and nearly 4,000 pages), flags ' +
  'of V8 (each makes Node refuse its own compiled code, too: 104 ms against 57), `process.exit` in place of waiting for ' +
  'the end (the 5 to 7 ms after it are Node’s own, and the same). The environment is that of the package’s file for ' +
  'xinetd: with NODE_EXTRA_CA_CERTS Node reads all certificates of a host first, some 65 ms in each figure.'

const SLOWEST =
  'The scheduler of the system, which meets a bare server as well: each is asked in its turn, and the ratio counts. What ' +
  'is left to ours is the collector of garbage, once in 25 connections, 0.4 to 0.5 ms; with one thread for it the ' +
  'slowest of a hundred waited a third less on a busy machine (5.7 ms against 8.7, 2.8 against 3.9) than with V8’s own, ' +
  'which it has to wait for.'

export const rows: readonly Row[] = [
  {
    name: 'inetd-process',
    chapter: CHAPTER,
    does: 'a process that inetd starts for one client answers `ping` and ends, from its start to its end',
    unit: 'ms',
    better: 'less',
    limit: UNDER_INETD,
    prepare: (size) => underInetd(size, 'processMs'),
  },
  {
    name: 'inetd-answer',
    chapter: CHAPTER,
    does: 'the same, as the client sees it: from connecting to the first byte of the answer',
    unit: 'ms',
    better: 'less',
    limit: UNDER_INETD,
    prepare: (size) => underInetd(size, 'answerMs'),
  },
  {
    name: 'ready-half',
    chapter: CHAPTER,
    does: 'an agent that listens answers `ping`: the middle of 2,000 connections, one after the other, each server in its turn',
    unit: 'ms',
    better: 'less',
    wanted: 2,
    limit: 'connecting and a packet each way between two processes, with an event loop at each end',
    prepare: (size) => standAlone(size, 0.5),
  },
  {
    name: 'ready-slowest',
    chapter: CHAPTER,
    does: 'the same: 99 of 100 connections are answered sooner',
    unit: 'ms',
    better: 'less',
    wanted: 2,
    limit: SLOWEST,
    prepare: (size) => standAlone(size, 0.99),
  },
]

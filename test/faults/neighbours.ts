/**
 * More than one at a time: clients, agents, strangers, and a client that leaves.
 */

import { connect, type Socket } from 'node:net'

import type { AgentProcess } from '../rig/agent-process.ts'
import { AgentHome } from './agent-home.ts'
import { describeEnd, fetchOnce } from './client-run.ts'
import { bugsIn } from './failing-engines.ts'
import { holdBackup } from './held-backup.ts'
import { auditHistory, type ExpectedJob } from './history-audit.ts'
import { descendantsOf, runs, untilNone } from './host-look.ts'
import { judgeArchive } from './judge-archive.ts'
import type { Encoding } from './product.ts'
import type { Bench, Scenario } from './scenario.ts'
import { spread } from './tally.ts'
import { TestedServer } from './tested-server.ts'

/** Enough of it is still to come when it is held. */
const MEGABYTES = 60
const HOLD_AT = 2_000_000

const COMPLETE = ['delivered', 'sent-unconfirmed']

export const neighbours: Scenario = {
  name: 'neighbours',
  fault: 'Two at once; connection limit; client RST/close',
  does: 'a second client, a second agent, hundreds of strangers and clients that leave, while a backup runs: the backup is not touched, or gone at once',
  run: async (bench) => {
    const tested = await TestedServer.start('neighbours', { megabytes: MEGABYTES })
    try {
      for (const encoding of bench.quick ? bench.product.encodings.slice(-1) : bench.product.encodings) {
        for (const second of SECONDS) await trySecond(bench, tested, encoding, second)
      }
      await tryStrangers(bench, tested)
      await tryLeaving(bench, tested)
    } finally {
      await tested.discard()
    }
  },
}

const SECONDS = ['client', 'agent', 'agent that shares the state directory'] as const
type Second = (typeof SECONDS)[number]

/** The program of the first client stands still while the second one asks. */
const NO_ROOM = ['--spill-bytes', '0', '--memory-bytes', String(1024 * 1024)]

/** The first has its backup, the second is told that the server is busy. */
const trySecond = async (bench: Bench, tested: TestedServer, encoding: Encoding, second: Second): Promise<void> => {
  const { tally, product } = bench
  const context = `a second ${second}, ${encoding}`
  const isShared = second === 'agent that shares the state directory'
  // Agents that remember apart meet at the data directory, if it is named.
  const meeting = second === 'agent' ? ['--datadir', tested.server.dataDirectory] : []
  const options = [...tested.engineOptions, ...NO_ROOM, ...meeting]
  const home = new AgentHome(bench.directory('home'), product)
  const otherHome = new AgentHome(bench.directory('home'), product, isShared ? { state: home.state } : {})
  const agent = await home.start(options)
  const other = second === 'client' ? agent : await otherHome.start(options)
  const order = { encoding, login: tested.login }

  const held = await holdBackup({ ...order, agent, sid: 'first', directory: bench.directory('first'), at: HOLD_AT })
  const busy = await fetchOnce({
    ...order,
    address: other.address,
    sid: 'second',
    directory: bench.directory('second'),
  })
  const end = await held.release()
  await agent.stop()
  if (other !== agent) await other.stop()
  tally.injected(1, { realServer: true })

  const received = await judgeArchive(end, {}, tally, context)
  tally.expect(received !== undefined, `${context}: the first client has no backup (${describeEnd(end)})`)
  const isRefused = busy.exitCode !== 0 && !busy.hasFinal && JSON.stringify(busy.report ?? '').includes('JOB_BUSY')
  tally.expect(isRefused, `${context}: the second client ended with ${describeEnd(busy)}: ${busy.said.slice(0, 200)}`)
  tally.expect(busy.leftBehind.length === 0, `${context}: the second client left ${busy.leftBehind.join()}`)
  const left = [...home.leftovers(), ...otherHome.leftovers()]
  for (const name of left) tally.charge('leftFiles', `${context}: ${name}`)
  if (!product.history) return
  const first: ExpectedJob = { sid: 'first', received, states: COMPLETE }
  const second1: ExpectedJob = { sid: 'second', states: ['failed'], mayBeMissing: true }
  if (second === 'agent') await auditHistory(otherHome, [second1], tally)
  await auditHistory(home, second === 'agent' ? [first] : [first, second1], tally)
}

/** Connections that say nothing, more than the agent takes, while a backup is under way. */
const tryStrangers = async (bench: Bench, tested: TestedServer): Promise<void> => {
  const { tally, product } = bench
  const home = new AgentHome(bench.directory('home'), product)
  const agent = await home.start([...tested.engineOptions, '--request-seconds', '2'])
  const encoding = product.encodings.at(-1) ?? 'octet'
  const directory = bench.directory('first')
  const held = await holdBackup({ agent, encoding, sid: 'first', directory, login: tested.login, at: HOLD_AT })
  const strangers = await Promise.all(Array.from({ length: bench.times(1000, 300) }, () => stranger(agent)))
  tally.injected(1, { realServer: true })
  const end = await held.release()
  const received = await judgeArchive(end, {}, tally, 'hundreds of strangers')
  tally.expect(received !== undefined, `hundreds of strangers: the backup was touched (${describeEnd(end)})`)
  // All of them are sent away in time; then there is room again.
  await Promise.all(strangers.map(untilClosed))
  const after = await fetchOnce({
    ...{ address: agent.address, directory: bench.directory('after') },
    ...{ encoding, sid: 'after', login: tested.login },
  })
  tally.expect(after.hasFinal, `after hundreds of strangers nobody is served: ${describeEnd(after)}`)
  const { exitCode } = await agent.stop()
  tally.expect(exitCode === 0, `after hundreds of strangers the agent ended with ${exitCode}`)
  for (const problem of bugsIn(agent)) tally.charge('surprises', problem)
}

const stranger = (agent: AgentProcess): Promise<Socket> =>
  new Promise((resolve) => {
    const socket = connect(agent.port, agent.host, () => resolve(socket))
    socket.on('error', () => resolve(socket)).resume()
  })

const untilClosed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.closed) resolve()
    else socket.once('close', () => resolve())
  })

/** Clients that break off, wherever the stream is: the backup program is gone within a second. */
const tryLeaving = async (bench: Bench, tested: TestedServer): Promise<void> => {
  const { tally, product } = bench
  const home = new AgentHome(bench.directory('home'), product)
  const agent = await home.start([...tested.engineOptions, ...NO_ROOM])
  const jobs: ExpectedJob[] = []
  const goneMs: number[] = []
  for (let time = 0; time < bench.times(80, 3); time += 1) {
    const encoding = bench.random.pick(product.encodings)
    const sid = `leaving-${time}`
    const at = bench.random.spreadBetween(1, 30_000_000)
    const context = `${sid}, ${encoding}, reset at byte ${at}`
    const directory = bench.directory('leaving')
    const held = await holdBackup({ agent, encoding, sid, directory, login: tested.login, at })
    const children = descendantsOf(agent.pid)
    held.connection.breakOff()
    const { left, ms } = await untilNone(() => children.filter(runs), bench.goneWithinMs)
    goneMs.push(ms)
    tally.injected(1, { realServer: true })
    for (const { command } of left) tally.charge('orphans', `${context}: ${command.slice(0, 80)}`)
    for (const lock of await tested.locksLeft(bench.goneWithinMs)) tally.charge('locks', `${context}: ${lock}`)
    const received = await judgeArchive(await held.release(), {}, tally, context)
    jobs.push({ sid, received, states: ['failed', 'cancelled'] })
  }
  tally.note(`from the reset to the backup program gone: ${spread(goneMs)}`)
  await agent.stop()
  for (const name of home.leftovers()) tally.charge('leftFiles', name)
  if (product.history) await auditHistory(home, jobs, tally)
}

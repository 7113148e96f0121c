/**
 * Programs and networks that do nothing at all, for ever: every wait of the agent has its end.
 *
 * All of them wait side by side, because that is all they do.
 */

import { setTimeout as delay } from 'node:timers/promises'

import { AgentHome } from './agent-home.ts'
import { ClientRun, describeEnd } from './client-run.ts'
import { standInPath } from './failing-engines.ts'
import { FaultProxy } from './fault-proxy.ts'
import { failureOf, holdBackup } from './held-backup.ts'
import { auditHistory } from './history-audit.ts'
import { descendantsOf, processesTouching, runs, untilNone } from './host-look.ts'
import { judgeArchive } from './judge-archive.ts'
import { canUnshare, hasIp, launchInOwnNetwork, PrivateLine } from './namespaces.ts'
import type { Encoding } from './product.ts'
import type { Bench, Scenario } from './scenario.ts'
import { TestedServer } from './tested-server.ts'
import { WriteProbe } from './write-probe.ts'

export const hungPrograms: Scenario = {
  name: 'hung-programs',
  fault: 'Child hangs',
  does: 'backup programs that never begin, stop in the middle, are stopped in a stage with locks, or wait for a lock: given up by the deadline, and the server is free',
  beside: 'waiting',
  run: async (bench) => {
    const encodings = bench.product.encodings
    await Promise.all([
      ...encodings.map((encoding) =>
        hangingStandIn(bench, encoding, 'never-starts-talking', ['--start-seconds', '5'], 'JOB_START_TIMEOUT'),
      ),
      ...encodings.map((encoding) =>
        hangingStandIn(bench, encoding, 'writes-then-hangs', ['--hang-seconds', '5'], 'JOB_NO_PROGRESS'),
      ),
      stoppedInLock(bench, encodings.at(-1) ?? 'octet'),
      waitingForLock(bench, encodings.at(-1) ?? 'octet'),
    ])
  },
}

export const cutNetwork: Scenario = {
  name: 'cut-network',
  fault: 'Network cut, no FIN',
  does: 'the network to the client is unplugged in the middle of a backup: the agent gives up within 75 s, the client too, and nobody has a backup',
  beside: 'waiting',
  run: async (bench) => {
    if (!canUnshare()) {
      bench.tally.skip('only root may make a network')
      return
    }
    if (!hasIp()) {
      bench.tally.skip('the program "ip" is not installed (Debian: iproute2)')
      return
    }
    const encodings = bench.quick ? bench.product.encodings.slice(-1) : bench.product.encodings
    const limit = bench.quick ? ['--network-seconds', '5'] : []
    await Promise.all(encodings.map((encoding, number) => cutOff(bench, encoding, number, limit)))
  },
}

export const blackHole: Scenario = {
  name: 'black-hole',
  fault: 'Stall 10 min',
  does: 'the connection stays and nothing passes any more: the agent gives up when its limit for a client that takes nothing is over, and the client when it hears nothing',
  beside: 'waiting',
  run: async (bench) => {
    await Promise.all(bench.product.encodings.map((encoding) => swallowed(bench, encoding)))
  },
}

const LOGIN = { user: 'backup', password: 'secret' }

const hangingStandIn = async (
  bench: Bench,
  encoding: Encoding,
  name: string,
  options: readonly string[],
  expected: string,
): Promise<void> => {
  const { tally, product } = bench
  const context = `${name}, ${encoding}`
  const home = new AgentHome(bench.directory('home'), product)
  const path = standInPath(bench.directory('engine'), name)
  const agent = await home.start(['--engine', 'mariadb-backup', ...options], { environment: { PATH: path } })
  const directory = bench.directory('run')
  const client = new ClientRun({ address: agent.address, directory, encoding, sid: 'hung', login: LOGIN })
  const { code } = await failureOf(agent, 'hung')
  const end = await client.ended
  tally.injected()
  // A stand-in that writes no xbstream may be found out before it hangs.
  tally.expect([expected, 'XBSTREAM_CORRUPT'].includes(String(code)), `${context}: ${code}, expected ${expected}`)
  const { left } = await untilNone(
    () => processesTouching(home.path).filter(({ pid }) => pid !== agent.pid),
    bench.goneWithinMs,
  )
  for (const { command } of left) tally.charge('orphans', `${context}: ${command}`)
  const received = await judgeArchive(end, {}, tally, context)
  tally.expect(received === undefined && end.leftBehind.length === 0, `${context}: ${describeEnd(end)}`)
  await agent.stop()
  for (const left of home.leftovers()) tally.charge('leftFiles', `${context}: ${left}`)
  if (product.history) await auditHistory(home, [{ sid: 'hung', received, states: ['failed'] }], tally)
}

/** How long users may wait for a program that stands still with the server's locks: 10 s, and the time to stop it. */
const LOCKED_LIMIT_MS = 12_000

/** The real program is stopped (SIGSTOP) while nobody can commit. */
const stoppedInLock = async (bench: Bench, encoding: Encoding): Promise<void> => {
  const { tally, product } = bench
  const context = `stopped in BLOCK_COMMIT, ${encoding}`
  const tested = await TestedServer.start('stopped-in-lock', { megabytes: 4 })
  const home = new AgentHome(bench.directory('home'), product)
  const agent = await home.start(tested.engineOptions)
  try {
    const probe = new WriteProbe(tested.server, () => 'INSERT INTO faults.probe (at) VALUES (NOW(6))', 5)
    const directory = bench.directory('run')
    const client = new ClientRun({ address: agent.address, directory, encoding, sid: 'stopped', login: tested.login })
    await agent.logged(({ msg, stage }) => msg === 'engine stage' && stage === 'BLOCK_COMMIT')
    const children = descendantsOf(agent.pid)
    for (const { pid } of children) process.kill(pid, 'SIGSTOP')
    const end = await client.ended
    const { left } = await untilNone(() => children.filter(runs), bench.goneWithinMs)
    await probe.stop()
    tally.injected(1, { realServer: true })
    for (const { command } of left) tally.charge('orphans', `${context}: ${command.slice(0, 80)}`)
    for (const lock of await tested.locksLeft(bench.goneWithinMs)) tally.charge('locks', `${context}: ${lock}`)
    const received = await judgeArchive(end, {}, tally, context)
    // It may have been past the locks, and done, before the signal was there.
    if (received === undefined) {
      tally.note(`${context}: longest INSERT ${(probe.longestMs / 1000).toFixed(1)} s`)
      tally.expect(
        probe.longestMs < LOCKED_LIMIT_MS + 4000,
        `${context}: an INSERT took ${Math.round(probe.longestMs)} ms`,
      )
    } else tally.note(`${context}: it was too late to stop it`)
    const states = received === undefined ? ['failed'] : ['delivered', 'sent-unconfirmed']
    await agent.stop()
    if (product.history) await auditHistory(home, [{ sid: 'stopped', received, states }], tally)
  } finally {
    await agent.stop()
    await tested.discard()
  }
}

/** Somebody's lock keeps the program from its own. */
const waitingForLock = async (bench: Bench, encoding: Encoding): Promise<void> => {
  const { tally, product } = bench
  const context = `waiting for a lock, ${encoding}`
  const tested = await TestedServer.start('waiting-for-lock', { megabytes: 150 })
  const home = new AgentHome(bench.directory('home'), product)
  const agent = await home.start([...tested.engineOptions, '--lock-wait-seconds', '5'])
  try {
    const directory = bench.directory('run')
    const held = await holdBackup({ agent, encoding, sid: 'waiting', directory, login: tested.login, at: 200_000 })
    // It copies the data now; the locks come after that.
    const lock = (count: number): string => (count === 0 ? 'LOCK TABLES faults.views WRITE' : 'DO 1')
    const holder = new WriteProbe(tested.server, lock, 1000)
    const end = await held.release()
    const { code } = await failureOf(agent, 'waiting')
    tally.injected(1, { realServer: true })
    tally.expect(code === 'JOB_LOCK_WAIT', `${context}: ${code}, expected JOB_LOCK_WAIT`)
    await holder.stop()
    for (const lock of await tested.locksLeft(bench.goneWithinMs)) tally.charge('locks', `${context}: ${lock}`)
    const received = await judgeArchive(end, {}, tally, context)
    tally.expect(received === undefined && end.leftBehind.length === 0, `${context}: ${describeEnd(end)}`)
    await agent.stop()
    if (product.history) await auditHistory(home, [{ sid: 'waiting', received, states: ['failed'] }], tally)
  } finally {
    await agent.stop()
    await tested.discard()
  }
}

/** The kernel notices nothing for a quarter of an hour; the agent does. */
const NETWORK_LIMIT_MS = 75_000

const cutOff = async (bench: Bench, encoding: Encoding, number: number, options: readonly string[]): Promise<void> => {
  const { tally, product } = bench
  const context = `unplugged, ${encoding}`
  const line = new PrivateLine(number)
  const tested = await TestedServer.start(`unplugged-${encoding}`, { megabytes: 60 })
  const home = new AgentHome(bench.directory('home'), product)
  const agent = await home.start([...tested.engineOptions, '--listen', `${line.address}:0`, '--insecure', ...options])
  try {
    const directory = bench.directory('run')
    const launcher = launchInOwnNetwork(line.there)
    const order = { address: agent.address, directory, encoding, sid: 'unplugged', login: tested.login, launcher }
    const client = new ClientRun({ ...order, silenceSeconds: 20 })
    await delay(200) // unshare has become a shell by then, or the next line fails
    line.handTo(client.pid)
    await agent.logged(({ msg }) => msg === 'engine started')
    // A client that does not read keeps the stream from being over before the plug is pulled.
    client.signal('SIGSTOP')
    line.cut(client.pid)
    const cutMs = performance.now()
    const { code } = await failureOf(agent, 'unplugged')
    const tookMs = performance.now() - cutMs
    client.signal('SIGCONT')
    const end = await client.ended
    tally.injected(1, { realServer: true })
    tally.note(`${context}: given up after ${(tookMs / 1000).toFixed(0)} s (${code})`)
    tally.expect(code === 'JOB_CLIENT_UNREACHABLE', `${context}: ${code}, expected JOB_CLIENT_UNREACHABLE`)
    tally.expect(tookMs < NETWORK_LIMIT_MS, `${context}: given up after ${Math.round(tookMs / 1000)} s`)
    const received = await judgeArchive(end, {}, tally, context)
    tally.expect(received === undefined && end.leftBehind.length === 0, `${context}: ${describeEnd(end)}`)
    for (const lock of await tested.locksLeft(bench.goneWithinMs)) tally.charge('locks', `${context}: ${lock}`)
    await agent.stop()
    for (const name of home.leftovers()) tally.charge('leftFiles', `${context}: ${name}`)
    if (product.history) await auditHistory(home, [{ sid: 'unplugged', received, states: ['failed'] }], tally)
  } finally {
    await agent.stop()
    await tested.discard()
    line.remove()
  }
}

/** Both machines are there, and neither hears the other. */
const swallowed = async (bench: Bench, encoding: Encoding): Promise<void> => {
  const { tally, product } = bench
  const context = `a black hole, ${encoding}`
  const tested = await TestedServer.start(`hole-${encoding}`, { megabytes: 60 })
  const home = new AgentHome(bench.directory('home'), product)
  const agent = await home.start([...tested.engineOptions, '--stall-seconds', '15'])
  const proxy = await FaultProxy.start(agent.port, { toClient: { faults: [{ at: 2_000_000, do: 'black hole' }] } })
  try {
    const directory = bench.directory('run')
    const order = { address: proxy.address, directory, encoding, sid: 'hole', login: tested.login }
    const client = new ClientRun({ ...order, silenceSeconds: 10 })
    const [end, { code }] = await Promise.all([client.ended, failureOf(agent, 'hole')])
    tally.injected(1, { realServer: true })
    tally.expect(code === 'FLOW_STALLED', `${context}: ${code}, expected FLOW_STALLED`)
    const received = await judgeArchive(end, {}, tally, context)
    tally.expect(received === undefined && end.said.includes('CLIENT_SILENCE'), `${context}: ${describeEnd(end)}`)
    tally.expect(end.leftBehind.length === 0, `${context}: the client left ${end.leftBehind.join()}`)
    for (const lock of await tested.locksLeft(bench.goneWithinMs)) tally.charge('locks', `${context}: ${lock}`)
    await agent.stop()
    for (const name of home.leftovers()) tally.charge('leftFiles', `${context}: ${name}`)
    if (product.history) await auditHistory(home, [{ sid: 'hole', received, states: ['failed'] }], tally)
  } finally {
    await proxy.close()
    await agent.stop()
    await tested.discard()
  }
}

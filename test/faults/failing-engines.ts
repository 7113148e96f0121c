/**
 * Backup programs that die, lie, hang, flood or ignore: each encoding, real agent, real client.
 */

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { AgentProcess } from '../rig/agent-process.ts'
import { AgentHome } from './agent-home.ts'
import { ClientRun, describeEnd, fetchOnce } from './client-run.ts'
import { fetchWhole } from './cut-streams.ts'
import { FaultProxy } from './fault-proxy.ts'
import { failureOf } from './held-backup.ts'
import { auditHistory, type ExpectedJob } from './history-audit.ts'
import { processesTouching, untilNone } from './host-look.ts'
import { judgeArchive } from './judge-archive.ts'
import { installEngine, MADE_ENGINES, type MadeEngine, WHOLE_XBSTREAM } from './made-engines.ts'
import { type Bench, inLanes, type Scenario } from './scenario.ts'
import { spread } from './tally.ts'

export const failingEngines: Scenario = {
  name: 'failing-engines',
  fault: 'Child crash, stderr flood, exit 0 without `completed OK!`, exit ≠ 0 after all bytes',
  does: 'backup programs that write a whole stream and then lie or die, and stand-ins that die, hang or ignore: never a backup, never an orphan',
  run: async (bench) => {
    const made = bench.quick ? MADE_ENGINES.filter((_, index) => index % 4 === 0) : MADE_ENGINES
    await inLanes(made, 2, (engine) => tryMade(bench, engine))
    await inLanes(ENDING_STAND_INS.slice(0, bench.times(ENDING_STAND_INS.length, 1)), 2, (name) =>
      tryEnding(bench, name),
    )
    await inLanes(HANGING_STAND_INS.slice(0, bench.times(HANGING_STAND_INS.length, 1)), 2, (name) =>
      tryHanging(bench, name),
    )
  },
}

export const cutEngineOutput: Scenario = {
  name: 'cut-engine-output',
  fault: 'Child crash mid-stream',
  does: 'the output of a backup program cut at random bytes, while it exits with 0 and says that all went well: never a backup',
  run: async (bench) => {
    const directory = bench.directory('engine')
    const length = join(directory, 'length')
    const path = installEngine(directory, {
      name: 'cut at a length that is told',
      output: Buffer.alloc(0),
      afterwards: `head -c "$(cat '${length}')" '${join(directory, 'whole')}'; echo '[00] 2026-01-01 00:00:00 completed OK!' >&2; exit 0`,
      code: undefined,
    })
    writeFileSync(join(directory, 'whole'), WHOLE_XBSTREAM)
    const agent = await new AgentHome(bench.directory('home'), bench.product).start(STAND_IN_OPTIONS, {
      environment: { PATH: path },
    })
    const fetched = bench.directory('fetched')
    try {
      const cuts = [
        WHOLE_XBSTREAM.length,
        ...Array.from({ length: bench.times(400, 10) }, () => bench.random.between(0, WHOLE_XBSTREAM.length - 1)),
      ]
      for (const cut of cuts) {
        writeFileSync(length, String(cut))
        const encoding = bench.random.pick(bench.product.encodings)
        const taken = await fetchWhole(agent.port, encoding, fetched, LOGIN)
        if (cut === WHOLE_XBSTREAM.length) {
          bench.tally.expect(taken !== undefined, `the whole output is refused: ${agent.logTail}`)
          continue
        }
        bench.tally.injected()
        if (taken !== undefined)
          bench.tally.charge(
            'falseComplete',
            `the program's output cut at byte ${cut} came out as a backup (${encoding})`,
          )
      }
    } finally {
      await agent.stop()
    }
  },
}

/** Those of `fixtures/engines` that end by themselves. None of them makes a backup. */
const ENDING_STAND_INS = [
  'dies-midway',
  'floods-stderr',
  'says-ok-but-exits-1',
  'exits-0-without-ok',
  'ends-before-its-child',
] as const
/** And those that do not. */
const HANGING_STAND_INS = ['never-starts-talking', 'writes-then-hangs', 'ignores-sigint'] as const

/** Between SIGINT and SIGKILL, for those who ignore the first. */
const GRACE_MS = 3000

const LOGIN = { user: 'backup', password: 'secret' }
/** A job that hangs is a finding, and the run goes on without it. */
const STAND_IN_OPTIONS = ['--engine', 'mariadb-backup', '--drain-seconds', '5']

/** A search path on which a stand-in goes by the name of the real program. */
export const standInPath = (directory: string, name: string): string => {
  const bin = join(directory, 'bin')
  mkdirSync(bin, { recursive: true })
  symlinkSync(fileURLToPath(new URL(`../../../fixtures/engines/${name}`, import.meta.url)), join(bin, 'mariadb-backup'))
  return `${bin}:/usr/bin:/bin`
}

/** An agent with a search path of its own; afterwards nothing is left of it, and its history is right. */
const withAgent = async (
  bench: Bench,
  path: string,
  work: (agent: AgentProcess, home: AgentHome, jobs: ExpectedJob[]) => Promise<void>,
  options: readonly string[] = [],
): Promise<void> => {
  const home = new AgentHome(bench.directory('home'), bench.product)
  const agent = await home.start([...STAND_IN_OPTIONS, ...options], { environment: { PATH: path } })
  const jobs: ExpectedJob[] = []
  try {
    await work(agent, home, jobs)
  } finally {
    const { exitCode } = await agent.stop()
    bench.tally.expect(exitCode === 0, `the agent ended with ${exitCode}: ${agent.logTail}`)
  }
  for (const name of home.leftovers()) bench.tally.charge('leftFiles', name)
  for (const problem of bugsIn(agent)) bench.tally.charge('surprises', problem)
  if (bench.product.history) await auditHistory(home, jobs, bench.tally)
}

/** Words of an agent that has met something it was not made for. */
export const bugsIn = (agent: AgentProcess): string[] => [
  ...agent.logs
    .filter(({ msg, code }) => code === 'BUG' || msg.includes('bug'))
    .map((line) => `the agent logged a bug: ${JSON.stringify(line).slice(0, 300)}`),
  ...agent.stderr
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{'))
    .map((line) => `the agent said outside of its log: ${line.slice(0, 200)}`),
]

const tryMade = async (bench: Bench, engine: MadeEngine): Promise<void> => {
  const { tally, product } = bench
  await withAgent(bench, installEngine(bench.directory('engine'), engine), async (agent, home, jobs) => {
    for (const encoding of product.encodings) {
      const context = `a program that ${engine.name}, ${encoding}`
      const directory = bench.directory('run')
      const end = await fetchOnce({ address: agent.address, directory, encoding, sid: encoding, login: LOGIN })
      if (engine.code !== undefined) tally.injected()
      const received = await judgeArchive(end, {}, tally, context)
      const { left } = await untilNone(
        () => processesTouching(home.path).filter(({ pid }) => pid !== agent.pid),
        bench.goneWithinMs,
      )
      for (const { command } of left) tally.charge('orphans', `${context}: ${command}`)
      jobs.push({
        sid: encoding,
        received,
        states: engine.code === undefined ? ['delivered', 'sent-unconfirmed'] : ['failed'],
      })
      if (engine.code === undefined) {
        tally.expect(received !== undefined, `${context}: refused, ${describeEnd(end)}: ${end.said}`)
        continue
      }
      if (received !== undefined) tally.charge('falseComplete', `${context}: the client has a backup`)
      tally.expect(end.leftBehind.length === 0, `${context}: the client left its part`)
      const { code } = await failureOf(agent, encoding)
      tally.expect(String(code).match(engine.code) !== null, `${context}: ${code}, expected ${engine.code}`)
    }
  })
}

const tryEnding = async (bench: Bench, name: string): Promise<void> => {
  const { tally, product } = bench
  await withAgent(bench, standInPath(bench.directory('engine'), name), async (agent, home, jobs) => {
    for (const encoding of product.encodings) {
      const context = `${name}, ${encoding}`
      const end = await fetchOnce({
        address: agent.address,
        directory: bench.directory('run'),
        encoding,
        sid: encoding,
        login: LOGIN,
      })
      tally.injected()
      const received = await judgeArchive(end, {}, tally, context)
      if (received !== undefined) tally.charge('falseComplete', `${context}: the client has a backup`)
      tally.expect(end.exitCode !== 0 && end.leftBehind.length === 0, `${context}: ${describeEnd(end)}`)
      const { left } = await untilNone(
        () => processesTouching(home.path).filter(({ pid }) => pid !== agent.pid),
        bench.goneWithinMs,
      )
      for (const { command } of left) tally.charge('orphans', `${context}: ${command}`)
      jobs.push({ sid: encoding, received, states: ['failed'] })
    }
  })
}

/** The connection breaks; whatever the program does, it goes with it. */
const tryHanging = async (bench: Bench, name: string): Promise<void> => {
  const { tally, product } = bench
  const goneMs: number[] = []
  const work = async (agent: AgentProcess, home: AgentHome, jobs: ExpectedJob[]): Promise<void> => {
    for (const encoding of product.encodings) {
      const context = `${name}, ${encoding}`
      const proxy = await FaultProxy.start(agent.port)
      const client = new ClientRun({
        address: proxy.address,
        directory: bench.directory('run'),
        encoding,
        sid: encoding,
        login: LOGIN,
      })
      const connection = await proxy.next()
      // Not before it is what it is: a trap that is not set yet catches nothing.
      const sign = name === 'never-starts-talking' ? 'engine started' : 'engine said'
      await agent.logged((line) => line.msg === sign && line['sid'] === encoding)
      tally.injected()
      connection.breakOff()
      const { left, ms } = await untilNone(
        () => processesTouching(home.path).filter(({ pid }) => pid !== agent.pid),
        bench.goneWithinMs + GRACE_MS,
      )
      goneMs.push(ms)
      for (const { command } of left) tally.charge('orphans', `${context}: ${command}`)
      const end = await client.ended
      await proxy.close()
      const received = await judgeArchive(end, {}, tally, context)
      tally.expect(received === undefined && end.leftBehind.length === 0, `${context}: ${describeEnd(end)}`)
      jobs.push({ sid: encoding, received, states: ['failed', 'cancelled'] })
    }
  }
  await withAgent(bench, standInPath(bench.directory('engine'), name), work, ['--log-level', 'debug'])
  tally.note(`${name}: from the connection broken to the program gone: ${spread(goneMs)}`)
  if (name !== 'ignores-sigint') await killAgent(bench, name)
}

/** An agent that is killed can stop nobody: the kernel does, and the program goes although it writes to nobody. */
const killAgent = async (bench: Bench, name: string): Promise<void> => {
  const { tally, product } = bench
  const path = standInPath(bench.directory('engine'), name)
  const home = new AgentHome(bench.directory('home'), product)
  for (const encoding of product.encodings) {
    const context = `${name}, ${encoding}, the agent killed`
    const agent = await home.start(STAND_IN_OPTIONS, { environment: { PATH: path } })
    const order = { address: agent.address, directory: bench.directory('run'), encoding, sid: encoding, login: LOGIN }
    const client = new ClientRun(order)
    await agent.logged('engine started')
    tally.injected()
    await agent.stop('SIGKILL')
    const { left } = await untilNone(() => processesTouching(home.path), bench.goneWithinMs)
    for (const { pid, command } of left) {
      tally.charge('orphans', `${context}: ${command}`)
      process.kill(pid, 'SIGKILL') // found and told; it would outlive us as well
    }
    const end = await client.ended
    const received = await judgeArchive(end, {}, tally, context)
    tally.expect(received === undefined && end.leftBehind.length === 0, `${context}: ${describeEnd(end)}`)
  }
  await (await home.start(STAND_IN_OPTIONS, { environment: { PATH: path } })).stop()
  for (const left of home.leftovers()) tally.charge('leftFiles', `${name}, the agent killed: ${left}`)
  const jobs = product.encodings.map((sid): ExpectedJob => ({ sid, states: ['interrupted'] }))
  if (product.history) await auditHistory(home, jobs, tally)
}

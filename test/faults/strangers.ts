/**
 * Strangers at the port: a thousand that say nothing or a byte a second, from one address and from hundreds; floods;
 * wrong logins. A real backup begins within a second and is whole, the agent stays small, and whoever waits
 * is sent away in time.
 */

import { setTimeout as delay } from 'node:timers/promises'

import type { AgentProcess } from '../rig/agent-process.ts'
import { rawClient } from '../rig/raw-client.ts'
import { peakMebibytes } from '../rig/resident-memory.ts'
import { Siege, sourceAddress, Stranger, Strangers } from '../rig/strangers.ts'
import { AgentHome } from './agent-home.ts'
import { describeEnd, fetchOnce } from './client-run.ts'
import { bugsIn } from './failing-engines.ts'
import { holdBackup } from './held-backup.ts'
import { judgeArchive } from './judge-archive.ts'
import type { Bench, Scenario } from './scenario.ts'
import { spread } from './tally.ts'
import { TestedServer } from './tested-server.ts'

const STRANGERS = 1000
const QUICK_STRANGERS = 300

/** Source: goal 7 of the fault matrix. */
const MOST_MEBIBYTES = 100
/** With hundreds of new ones a second, for as long as it lasts: what is dead of them and was not swept up yet is there, too. */
const MOST_MEBIBYTES_BESIEGED = 150
const START_WITHIN_MS = 1000
const CLOSED_AFTER_MS = 10_000
const CLOSED_TOLERANCE_MS = 1000

const MEGABYTES = 60
const HOLD_AT = 2_000_000

export const strangers: Scenario = {
  name: 'strangers',
  fault: 'Slow-loris, idle flood; connection limit; wrong logins',
  does: 'a thousand strangers, slow or silent, from one address and from hundreds, a flood of 5,000, wrong logins: a backup starts within 1 s more and completes, the agent takes less than 100 MB (150 besieged), whoever waits is closed after 10 s',
  run: async (bench) => {
    const tested = await TestedServer.start('strangers', { megabytes: bench.times(MEGABYTES, 20) })
    try {
      let usual: Beside = { starts: [], mebibytes: 0 }
      const lookAround = async (agent: AgentProcess): Promise<void> => {
        usual = await backUp(bench, tested, agent, 'no strangers')
      }
      if (!bench.quick) await withAgent(bench, tested, [], lookAround)
      for (const sources of bench.quick ? [250] : [1, 4, 250]) await besiege(bench, tested, sources, usual)
      await flood(bench, tested)
      await wrongLogins(bench, tested)
      if (!bench.quick) await outwait(bench, tested)
    } finally {
      await tested.discard()
    }
  },
}

interface Beside {
  readonly starts: readonly Start[]
  /** The most that the agent has taken when all of it was over. */
  readonly mebibytes: number
}

/** What becomes of backups, whoever else is there. */
const backUp = async (bench: Bench, tested: TestedServer, agent: AgentProcess, context: string): Promise<Beside> => {
  const { tally, product, quick } = bench
  const starts = await startsOf(agent, tested, bench.times(10, 1))
  const encodings = quick ? product.encodings.slice(-1) : product.encodings
  for (const encoding of encodings) {
    const order = { address: agent.address, directory: bench.directory('run'), encoding, login: tested.login }
    const end = await fetchOnce({ ...order, sid: encoding })
    tally.injected(1, { realServer: true })
    const received = await judgeArchive(end, {}, tally, context)
    tally.expect(received !== undefined, `${context}, ${encoding}: there is no backup (${describeEnd(end)})`)
  }
  return { starts, mebibytes: peakMebibytes(agent.pid) }
}

/** Backups are asked for while strangers come again and again. */
const besiege = async (bench: Bench, tested: TestedServer, sources: number, usual: Beside): Promise<void> => {
  const { tally, quick } = bench
  const count = bench.times(STRANGERS, QUICK_STRANGERS)
  const context = `${count} strangers from ${sources} addresses`
  await withAgent(bench, tested, [], async (agent) => {
    const siege = await Siege.lay({ port: agent.port, count, sources, saying: '0.77.0\n30\nkey=' })
    await untilIdle(agent) // it has looked at all of them
    await delay(bench.times(20_000, 0))
    const peak = peakMebibytes(agent.pid)
    const besieged = await backUp(bench, tested, agent, context)
    await siege.raise()
    tally.expect(peak < MOST_MEBIBYTES_BESIEGED, `${context}: the agent took ${peak.toFixed(0)} MiB`)
    tally.expect(agent.logs.length < 1000, `${context}: the log has ${agent.logs.length} lines`)
    const notes: string[] = []
    for (const [what, name] of [
      ['acceptedMs', 'ACCEPTED'],
      ['sendingMs', 'SENDING'],
    ] as const) {
      const [before, during] = [usual, besieged].map(({ starts }) => starts.map((start) => start[what]))
      const longerMs = Math.max(...(during ?? [])) - median(before ?? [])
      const isInTime = quick || longerMs < START_WITHIN_MS
      tally.expect(isInTime, `${context}: ${name} came up to ${Math.round(longerMs)} ms later than without them`)
      notes.push(`${name} after ${spread(during ?? [])}, without them ${spread(before ?? [])}`)
    }
    tally.note(
      `${context}, ${siege.came} connections: ${notes.join('; ')}; the agent took ${peak.toFixed(0)} MiB, with backups ${besieged.mebibytes.toFixed(0)} MiB, without strangers ${usual.mebibytes.toFixed(0)} MiB, and wrote ${agent.logs.length} lines`,
    )
  })
}

interface Start {
  /** From the first moment of connecting. */
  readonly acceptedMs: number
  readonly sendingMs: number
}

const startsOf = async (agent: AgentProcess, tested: TestedServer, times: number): Promise<Start[]> => {
  const starts: Start[] = []
  for (let time = 0; time < times; time += 1) starts.push(await startOf(agent, tested))
  return starts
}

/** Asks for a backup, and goes when it begins. */
const startOf = async (agent: AgentProcess, { login }: TestedServer): Promise<Start> => {
  const startedMs = performance.now()
  const client = await rawClient(agent.port)
  client.socket.write(backupRequest(login.user, login.password))
  await client.hasReceived('READY\n'.length)
  const acceptedMs = performance.now() - startedMs
  while (!client.received().includes('status=SENDING')) {
    const before = client.received().length
    await client.hasReceived(before + 1)
    if (client.received().length === before) throw new Error(`no backup begins: ${client.received().toString()}`)
  }
  const sendingMs = performance.now() - startedMs
  client.socket.resetAndDestroy()
  await untilIdle(agent)
  return { acceptedMs, sendingMs }
}

const backupRequest = (user: string, password: string): string =>
  `0.77.0\n4\naction=copy from\nuser=${user}\npassword=${password}\nagent-stream-encoding=application/octet-stream\n\n`

/** The agent has room for a backup again. */
const untilIdle = async (agent: AgentProcess): Promise<void> => {
  for (;;) {
    const client = await rawClient(agent.port)
    client.socket.write('0.77.0\n1\naction=status\n\n')
    const { bytes } = await client.ended()
    if (bytes.includes('jobs=0')) return
    await delay(50)
  }
}

/** Connections that come and go, thousands of them, while a backup is under way. */
const flood = async (bench: Bench, tested: TestedServer): Promise<void> => {
  const { tally } = bench
  const context = 'a flood of connections'
  await withAgent(bench, tested, ['--spill-bytes', '0', '--memory-bytes', '1048576'], async (agent) => {
    const encoding = bench.product.encodings.at(-1) ?? 'octet'
    const directory = bench.directory('first')
    const held = await holdBackup({ agent, encoding, sid: 'first', directory, login: tested.login, at: HOLD_AT })
    const count = bench.times(STRANGERS, QUICK_STRANGERS)
    for (let wave = 0; wave < bench.times(5, 1); wave += 1) {
      const crowd = await Strangers.come({ port: agent.port, count, sources: wave === 0 ? 1 : 200 })
      await crowd.leave()
    }
    const end = await held.release()
    tally.injected(1, { realServer: true })
    const received = await judgeArchive(end, {}, tally, context)
    tally.expect(received !== undefined, `${context}: the backup was touched (${describeEnd(end)})`)
    const peak = peakMebibytes(agent.pid)
    tally.note(`${context}, thousands of them, during a backup: whole; the agent took ${peak.toFixed(0)} MiB at most`)
  })
}

/** So many that the longest delay is reached. */
const WRONG = 6
const GUESSERS = 40
const GUESS_MS = 20_000

/** Wrong logins from one address: few of many are tried, the others turned away, and another user there is not delayed. */
const wrongLogins = async (bench: Bench, tested: TestedServer): Promise<void> => {
  const { tally, quick } = bench
  await withAgent(bench, tested, [], async (agent) => {
    const before = await startsOf(agent, tested, bench.times(1, 0))
    const heard = new Map<Heard, number>()
    const guess = async (): Promise<void> => {
      const answer = await wrongLogin(agent, tested)
      heard.set(answer, (heard.get(answer) ?? 0) + 1)
    }
    for (let time = 0; time < WRONG; time += 1) await guess()
    tally.expect(heard.get('refused') === WRONG, `wrong logins one after the other: ${shown(heard)}`)
    heard.clear()
    const untilMs = performance.now() + (quick ? 0 : GUESS_MS)
    const guessing = Promise.all(
      Array.from({ length: GUESSERS }, async () => {
        do await guess()
        while (performance.now() < untilMs)
      }),
    )
    const during = await startsOf(agent, tested, 1)
    await guessing
    tally.injected(
      [...heard.values()].reduce((sum, count) => sum + count, 0),
      { realServer: true },
    )
    const longerMs = median(during.map((one) => one.sendingMs)) - median(before.map((one) => one.sendingMs))
    tally.expect(quick || longerMs < START_WITHIN_MS, `wrong logins: a start took ${Math.round(longerMs)} ms more`)
    // One in four seconds, and the turns that were taken already.
    const most = (untilMs <= performance.now() && !quick ? GUESS_MS / 4000 : 0) + 10
    const tried = (heard.get('refused') ?? 0) + (heard.get('busy') ?? 0)
    tally.expect(tried <= most, `wrong logins: ${tried} connections were let in (${shown(heard)})`)
    tally.expect((heard.get('turned away') ?? 0) > tried, `wrong logins: ${shown(heard)}`)
    tally.note(
      `${GUESSERS} clients with a wrong password from one address, after ${WRONG} wrong logins: ${shown(heard)}`,
    )
  })
}

type Heard = 'refused' | 'busy' | 'turned away' | 'dropped'

const shown = (heard: ReadonlyMap<Heard, number>): string =>
  [...heard].map(([answer, count]) => `${count} ${answer}`).join(', ')

/** Asks with a wrong password, and goes when it is told so. */
const wrongLogin = async (agent: AgentProcess, { login }: TestedServer): Promise<Heard> => {
  const stranger = await Stranger.come(agent.port, sourceAddress(0))
  let said = ''
  stranger.socket.on('data', (bytes) => {
    said += String(bytes)
  })
  if (!stranger.socket.destroyed) stranger.socket.write(backupRequest(login.user, 'not this one'))
  await stranger.closed
  if (said.includes('ENGINE_LOGIN')) return 'refused'
  if (said.includes('AGENT_LOGIN_TURN')) return 'turned away'
  return said === '' ? 'dropped' : 'busy'
}

/** Whoever is let in and says too little is closed after ten seconds, a byte a second or not. */
const outwait = async (bench: Bench, tested: TestedServer): Promise<void> => {
  const { tally } = bench
  const room = String(STRANGERS + 100)
  const options = ['--connections', room, '--connections-per-source', room, '--connections-unknown', room]
  await withAgent(bench, tested, options, async (agent) => {
    const crowd = await Strangers.come({ port: agent.port, count: STRANGERS, sources: 4, saying: '0.77.0\n' })
    const drip = setInterval(() => {
      for (const [at, { socket }] of crowd.open.entries()) if (at % 2 === 0) socket.write('x')
    }, 1000)
    await untilIdle(agent) // it has looked at all of them
    const peak = peakMebibytes(agent.pid)
    const [start] = await startsOf(agent, tested, 1)
    const lasted = await Promise.all(crowd.all.map(({ closed }) => closed))
    clearInterval(drip)
    tally.injected(STRANGERS)
    const wrong = lasted.filter((ms) => Math.abs(ms - CLOSED_AFTER_MS) > CLOSED_TOLERANCE_MS)
    tally.expect(wrong.length === 0, `${wrong.length} strangers were not closed after 10 s but after ${spread(wrong)}`)
    tally.expect(
      peak < MOST_MEBIBYTES,
      `${STRANGERS} strangers at the same time: the agent took ${peak.toFixed(0)} MiB`,
    )
    tally.note(
      `${STRANGERS} strangers let in at the same time: closed after ${spread(lasted)}; a backup beside them sends after ${Math.round(start?.sendingMs ?? 0)} ms; the agent took ${peak.toFixed(0)} MiB at most`,
    )
  })
}

const withAgent = async (
  bench: Bench,
  tested: TestedServer,
  options: readonly string[],
  work: (agent: AgentProcess) => Promise<void>,
): Promise<void> => {
  const home = new AgentHome(bench.directory('home'), bench.product)
  const agent = await home.start([...tested.engineOptions, ...options])
  try {
    await work(agent)
  } catch (error) {
    await agent.stop()
    throw error
  }
  const { exitCode, killedBy } = await agent.stop()
  bench.tally.expect(exitCode === 0, `the agent ended with ${killedBy ?? exitCode}`)
  for (const problem of bugsIn(agent)) bench.tally.charge('surprises', problem)
  for (const name of home.leftovers()) bench.tally.charge('leftFiles', name)
}

const median = (numbers: readonly number[]): number =>
  [...numbers].sort((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? 0

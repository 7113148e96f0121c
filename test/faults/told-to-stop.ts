/** SIGTERM, as a service manager sends it: once, twice, and with a backup that does not end in time. */

import { AgentHome } from './agent-home.ts'
import { describeEnd, fetchOnce } from './client-run.ts'
import { holdBackup, isFailure } from './held-backup.ts'
import { auditHistory } from './history-audit.ts'
import { descendantsOf, runs, untilNone } from './host-look.ts'
import { judgeArchive } from './judge-archive.ts'
import type { Encoding } from './product.ts'
import type { Bench, Scenario } from './scenario.ts'
import { TestedServer } from './tested-server.ts'

interface Stop {
  readonly name: string
  readonly options: readonly string[]
  readonly signals: number
  /** Whether the stream goes on after the signals. */
  readonly goesOn: boolean
  readonly completes: boolean
  readonly states: readonly string[]
}

const STOPS: readonly Stop[] = [
  { name: 'once', options: [], signals: 1, goesOn: true, completes: true, states: ['delivered', 'sent-unconfirmed'] },
  { name: 'twice', options: [], signals: 2, goesOn: false, completes: false, states: ['cancelled', 'failed'] },
  {
    name: 'once, and the client does not go on',
    options: ['--drain-seconds', '1'],
    signals: 1,
    goesOn: false,
    completes: false,
    states: ['cancelled', 'failed'],
  },
]

/** Between first bytes and what buffers on the way can hold of the rest. */
const HOLD_AT = 2_000_000

export const toldToStop: Scenario = {
  name: 'told-to-stop',
  fault: 'SIGTERM',
  does: 'SIGTERM once lets a running backup end and takes no other, twice cancels it; the agent goes in order, and so does everything of it',
  run: async (bench) => {
    const tested = await TestedServer.start('told-to-stop', { megabytes: 60 })
    try {
      for (const stop of STOPS) {
        for (const encoding of bench.quick ? bench.product.encodings.slice(-1) : bench.product.encodings) {
          await tryStop(bench, tested, stop, encoding)
        }
      }
    } finally {
      await tested.discard()
    }
  },
}

const tryStop = async (bench: Bench, tested: TestedServer, stop: Stop, encoding: Encoding): Promise<void> => {
  const { tally, product } = bench
  const context = `SIGTERM ${stop.name}, ${encoding}`
  const home = new AgentHome(bench.directory('home'), product)
  const agent = await home.start([...tested.engineOptions, ...stop.options])
  const directory = bench.directory('run')
  const held = await holdBackup({ agent, encoding, sid: 'held', directory, login: tested.login, at: HOLD_AT })
  const children = descendantsOf(agent.pid)

  agent.signal('SIGTERM')
  await agent.logged('told to stop')
  const late = await fetchOnce({
    address: agent.address,
    directory: bench.directory('late'),
    encoding,
    sid: 'late',
    login: tested.login,
  })
  if (stop.signals === 2) agent.signal('SIGTERM')
  if (!stop.goesOn) await agent.logged(isFailure)
  const end = await held.release()
  const { exitCode, killedBy } = await agent.ended
  tally.injected(1, { realServer: true })

  const received = await judgeArchive(end, {}, tally, context)
  tally.expect((received !== undefined) === stop.completes, `${context}: the client ended with ${describeEnd(end)}`)
  tally.expect(end.leftBehind.length === 0, `${context}: the client left ${end.leftBehind.join()}`)
  tally.expect(late.exitCode !== 0 && !late.hasFinal, `${context}: a late client was served: ${describeEnd(late)}`)
  tally.expect(exitCode === 0, `${context}: the agent ended with ${killedBy ?? exitCode}`)
  const { left } = await untilNone(() => children.filter(runs), bench.goneWithinMs)
  for (const { command } of left) tally.charge('orphans', `${context}: ${command.slice(0, 80)}`)
  for (const lock of await tested.locksLeft(bench.goneWithinMs)) tally.charge('locks', `${context}: ${lock}`)
  for (const name of home.leftovers()) tally.charge('leftFiles', `${context}: ${name}`)
  if (product.history) await auditHistory(home, [{ sid: 'held', received, states: stop.states }], tally)
}

/**
 * The server behind the agent goes away, says no, or is not there: never a backup, and the reason by name.
 */

import type { AgentProcess } from '../rig/agent-process.ts'
import { AgentHome } from './agent-home.ts'
import { type ClientEnd, describeEnd, fetchOnce } from './client-run.ts'
import { bugsIn } from './failing-engines.ts'
import { failureOf, holdBackup } from './held-backup.ts'
import { auditHistory, type ExpectedJob } from './history-audit.ts'
import { judgeArchive } from './judge-archive.ts'
import type { Encoding } from './product.ts'
import type { Bench, Scenario } from './scenario.ts'
import { TestedServer } from './tested-server.ts'

/** In the middle of the data. */
const HOLD_AT = 8_000_000

interface ServerFault {
  readonly name: string
  readonly codes: readonly string[]
  inject(bench: Bench, tested: TestedServer, agent: AgentProcess, encoding: Encoding, sid: string): Promise<ClientEnd>
}

/** Does something to the server while the backup is held. */
const whileHeld =
  (act: (tested: TestedServer) => Promise<unknown>): ServerFault['inject'] =>
  async (bench, tested, agent, encoding, sid) => {
    const directory = bench.directory('run')
    const held = await holdBackup({ agent, encoding, sid, directory, login: tested.login, at: HOLD_AT })
    await act(tested)
    return held.release()
  }

/** Asks with another login. */
const askedAs =
  (login: (tested: TestedServer) => { readonly user: string; readonly password: string }): ServerFault['inject'] =>
  (bench, tested, agent, encoding, sid) =>
    fetchOnce({ address: agent.address, directory: bench.directory('run'), encoding, sid, login: login(tested) })

const FAULTS: readonly ServerFault[] = [
  {
    name: 'is shut down',
    codes: ['ENGINE_FAILED'],
    inject: whileHeld(({ server }) => server.stop()),
  },
  {
    name: 'is killed',
    codes: ['ENGINE_FAILED'],
    inject: whileHeld(({ server }) => server.kill9()),
  },
  {
    name: 'kills the session of the backup program',
    codes: ['ENGINE_FAILED'],
    inject: whileHeld((tested) => tested.killSessions()),
  },
  {
    name: 'refuses the password',
    codes: ['ENGINE_LOGIN'],
    inject: askedAs(({ login }) => ({ ...login, password: `${login.password}!` })),
  },
  {
    name: 'does not know the user',
    codes: ['ENGINE_LOGIN'],
    inject: askedAs(() => ({ user: 'nobody', password: 'x' })),
  },
  {
    name: 'gave the user no rights',
    codes: ['ENGINE_PRIVILEGE'],
    inject: askedAs(() => ({ user: 'unprivileged', password: 'x' })),
  },
  {
    name: 'does not run',
    codes: ['ENGINE_FAILED', 'ENGINE_NO_OUTPUT', 'ENGINE_LOGIN'],
    inject: async (bench, tested, agent, encoding, sid) => {
      await tested.server.stop()
      const directory = bench.directory('run')
      return fetchOnce({ address: agent.address, directory, encoding, sid, login: tested.login })
    },
  },
]

export const serverFaults: Scenario = {
  name: 'server-faults',
  fault: 'DB restart mid-backup; password wrong',
  does: 'the server stops, dies, kills the session, refuses the login or is not there: no backup, no data with a refusal, and the reason by its code',
  run: async (bench) => {
    const { tally, product } = bench
    const tested = await TestedServer.start('server-faults', { megabytes: 60 })
    await tested.server.createBackupUser('unprivileged', 'x', [])
    const home = new AgentHome(bench.directory('home'), product)
    const agent = await home.start(tested.engineOptions)
    const jobs: ExpectedJob[] = []
    try {
      for (const [index, fault] of FAULTS.entries()) {
        for (const encoding of bench.quick ? product.encodings.slice(-1) : product.encodings) {
          const sid = `${index}-${encoding}`
          const context = `a server that ${fault.name}, ${encoding}`
          const end = await fault.inject(bench, tested, agent, encoding, sid)
          tally.injected(1, { realServer: true })
          if (!tested.server.isRunning) await tested.server.restart()
          const received = await judgeArchive(end, {}, tally, context)
          if (received !== undefined) tally.charge('falseComplete', `${context}: the client has a backup`)
          tally.expect(
            end.exitCode !== 0 && end.leftBehind.length === 0,
            `${context}: ${describeEnd(end)}, left ${end.leftBehind.join()}`,
          )
          const { code } = await failureOf(agent, sid)
          tally.expect(fault.codes.includes(String(code)), `${context}: ${code}, expected ${fault.codes.join(' or ')}`)
          for (const lock of await tested.locksLeft(bench.goneWithinMs)) tally.charge('locks', `${context}: ${lock}`)
          const form = tested.canary.foundIn(agent.stderr + end.said)
          if (form !== undefined) tally.charge('secrets', `${context}: in the words of agent or client (${form})`)
          jobs.push({ sid, received, states: ['failed'] })
        }
      }
    } finally {
      await agent.stop()
      await tested.discard()
    }
    for (const problem of bugsIn(agent)) tally.charge('surprises', problem)
    for (const name of home.leftovers()) tally.charge('leftFiles', name)
    if (product.history) await auditHistory(home, jobs, tally)
  },
}

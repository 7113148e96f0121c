/**
 * A state directory that cannot be written, or that somebody removes: while nothing runs, and in the
 * middle of a backup. No backup starts that is not remembered, and none that has started is lost.
 */

import { chmodSync, mkdirSync, rmSync } from 'node:fs'

import { agentStatus, backupVerdict } from '../../lib/client/index.ts'
import type { AgentProcess } from '../rig/agent-process.ts'
import { AgentHome } from './agent-home.ts'
import { type ClientEnd, describeEnd, fetchOnce } from './client-run.ts'
import { bugsIn } from './failing-engines.ts'
import { holdBackup } from './held-backup.ts'
import { judgeArchive } from './judge-archive.ts'
import { canUnshare } from './namespaces.ts'
import type { Bench, Scenario } from './scenario.ts'
import { fillSmallSource } from './small-source.ts'

export const lostState: Scenario = {
  name: 'lost-state',
  fault: 'state directory read-only, not permitted, removed',
  does: 'a state directory that is read-only, closed, or removed before and in a backup: refused by name, or a backup that stands and is written down later',
  needs: ['framed', 'history'],
  run: async (bench) => {
    const source = bench.directory('source')
    fillSmallSource(source, 200)
    if (canUnshare()) await neverStarts(bench, source, 'a read-only file system', READ_ONLY)
    else bench.tally.skip('only root may mount a small disk')
    if (process.geteuid?.() === 0) await neverStarts(bench, source, 'a directory that others closed', AS_ANYBODY)
    else bench.tally.skip('only root may give up that nothing is closed to it')
    await removed(bench, source)
    await removedInTheMiddle(bench, source)
  },
}

/** What starts the agent, for its state directory. */
type Launcher = (state: string) => readonly string[]

const READ_ONLY: Launcher = (state) => [
  ...['unshare', '--mount', 'sh', '-c'],
  `mount -t tmpfs -o ro,mode=0700 tmpfs '${state}' && exec "$@"`,
  'sh',
]

/** Root without the right to pass over the mode of a file. */
const AS_ANYBODY: Launcher = (state) => {
  chmodSync(state, 0o500)
  const without = '-dac_override,-dac_read_search'
  return ['setpriv', `--bounding-set=${without}`, `--inh-caps=${without}`]
}

const neverStarts = async (bench: Bench, source: string, what: string, launcher: Launcher): Promise<void> => {
  const home = new AgentHome(bench.directory('home'), bench.product)
  const refused = await home.start(['--directory', source], { launcher: launcher(home.state) }).then(
    async (agent) => `it listens, and ended with ${(await agent.stop()).exitCode}`,
    (error: Error) => error.message,
  )
  chmodSync(home.state, 0o700)
  bench.tally.injected()
  bench.tally.expect(/status 7\b/.test(refused) && refused.includes('HISTORY_'), `${what}: ${refused}`)
  for (const name of home.leftovers()) bench.tally.charge('leftFiles', `${what}: ${name}`)
}

const ask = (bench: Bench, agent: AgentProcess, sid: string): Promise<ClientEnd> =>
  fetchOnce({ address: agent.address, directory: bench.directory('run'), encoding: 'framed', sid })

const memoryOf = async ({ host, port }: AgentProcess): Promise<string | undefined> =>
  (await agentStatus({ host, port })).history

const removed = async (bench: Bench, source: string): Promise<void> => {
  const { tally } = bench
  const context = 'a state directory that was removed'
  const home = new AgentHome(bench.directory('home'), bench.product)
  const agent = await home.start(['--directory', source])
  tally.expect((await ask(bench, agent, 'before')).hasFinal, `${context}: no backup before`)

  rmSync(home.state, { recursive: true })
  const refused = await ask(bench, agent, 'refused')
  tally.injected()
  const why = JSON.stringify(refused.report ?? '')
  tally.expect(!refused.hasFinal && why.includes('HISTORY_'), `${context}: ${describeEnd(refused)}: ${why}`)
  tally.expect(
    (await memoryOf(agent)) === 'degraded',
    `${context}: the agent calls its history ${await memoryOf(agent)}`,
  )

  mkdirSync(home.state, { mode: 0o700 })
  const after = await ask(bench, agent, 'after')
  tally.expect(after.hasFinal, `${context}, when it is back: ${describeEnd(after)}`)
  await judgeArchive(after, {}, tally, context)
  tally.expect((await memoryOf(agent)) === 'ok', `${context}, when it is back: ${await memoryOf(agent)}`)
  await endOf(bench, home, agent, context, { after: 'delivered' })
}

/** Enough to be in the middle, and less than what is on its way at most. */
const HOLD_AT = 1_000_000

const removedInTheMiddle = async (bench: Bench, source: string): Promise<void> => {
  const { tally } = bench
  const context = 'a state directory that was removed in the middle of a backup'
  const home = new AgentHome(bench.directory('home'), bench.product)
  const agent = await home.start(['--directory', source])
  const directory = bench.directory('run')
  const held = await holdBackup({ agent, encoding: 'framed', sid: 'stands', directory, at: HOLD_AT })

  rmSync(home.state, { recursive: true })
  const end = await held.release()
  tally.injected()
  const received = await judgeArchive(end, {}, tally, context)
  tally.expect(received !== undefined, `${context}: ${describeEnd(end)}: ${agent.logTail}`)
  const { host, port } = agent
  const { status, outcome } = await backupVerdict('stands', { host, port })
  tally.expect(status === 'COMPLETE' && outcome === 'delivered', `${context}: the verdict is ${status} ${outcome}`)
  tally.expect(
    (await memoryOf(agent)) === 'degraded',
    `${context}: the agent calls its history ${await memoryOf(agent)}`,
  )

  mkdirSync(home.state, { mode: 0o700 })
  await endOf(bench, home, agent, context, { stands: 'delivered' })
}

const endOf = async (
  { tally }: Bench,
  home: AgentHome,
  agent: AgentProcess,
  context: string,
  expected: Readonly<Record<string, string>>,
): Promise<void> => {
  const { exitCode } = await agent.stop()
  tally.expect(exitCode === 0, `${context}: the agent ended with ${exitCode}: ${agent.logTail}`)
  for (const problem of bugsIn(agent)) tally.charge('surprises', `${context}: ${problem}`)
  for (const name of home.leftovers()) tally.charge('leftFiles', `${context}: ${name}`)
  const rows = Object.fromEntries((await home.history()).map(({ sid, state }) => [sid, state]))
  if (JSON.stringify(rows) !== JSON.stringify(expected)) {
    tally.charge('wrongRows', `${context}: ${JSON.stringify(rows)}, expected ${JSON.stringify(expected)}`)
  }
}

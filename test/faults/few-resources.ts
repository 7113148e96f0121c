/** Few descriptors for the agent, little memory for the backup program. */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'

import type { AgentProcess } from '../rig/agent-process.ts'
import { mustRun } from '../rig/run-program.ts'
import { AgentHome } from './agent-home.ts'
import { describeEnd, fetchOnce } from './client-run.ts'
import { bugsIn } from './failing-engines.ts'
import { judgeArchive } from './judge-archive.ts'
import type { Bench, Scenario } from './scenario.ts'
import { fillSmallSource } from './small-source.ts'
import { TestedServer } from './tested-server.ts'

export const fewResources: Scenario = {
  name: 'few-resources',
  fault: 'FD exhaustion; memory pressure',
  does: 'an agent with 48 descriptors and 200 strangers, a backup program that gets no memory: no backup that is none, and afterwards service goes on',
  run: async (bench) => {
    await fewDescriptors(bench)
    await littleMemory(bench)
  },
}

const DESCRIPTORS = 48

const fewDescriptors = async (bench: Bench): Promise<void> => {
  const { tally, product } = bench
  const source = bench.directory('source')
  fillSmallSource(source, 5)
  const home = new AgentHome(bench.directory('home'), product)
  const agent = await home.start(['--directory', source, '--request-seconds', '2'])
  // Node alone needs more than that to start.
  await mustRun('prlimit', ['--pid', String(agent.pid), `--nofile=${DESCRIPTORS}`])
  for (const encoding of product.encodings) {
    const context = `${DESCRIPTORS} descriptors, ${encoding}`
    const order = { address: agent.address, encoding, silenceSeconds: 20 }
    const strangers = await Promise.all(Array.from({ length: 200 }, () => strangerTo(agent)))
    const during = await fetchOnce({ ...order, sid: `during-${encoding}`, directory: bench.directory('during') })
    tally.injected()
    await judgeArchive(during, {}, tally, context)
    for (const socket of strangers) socket.destroy()
    // The agent may need a moment to see them go.
    let after = await fetchOnce({ ...order, sid: `after-${encoding}`, directory: bench.directory('after') })
    for (let time = 0; time < 10 && !after.hasFinal; time += 1) {
      after = await fetchOnce({ ...order, sid: `after-${encoding}-${time}`, directory: bench.directory('after') })
    }
    tally.expect(after.hasFinal, `${context}: nobody is served any more: ${describeEnd(after)}: ${agent.logTail}`)
    await judgeArchive(after, {}, tally, context)
  }
  const { exitCode, killedBy } = await agent.stop()
  tally.expect(exitCode === 0, `${DESCRIPTORS} descriptors: the agent ended with ${killedBy ?? exitCode}`)
  for (const problem of bugsIn(agent)) tally.charge('surprises', problem)
  for (const name of home.leftovers()) tally.charge('leftFiles', name)
}

const strangerTo = (agent: AgentProcess): Promise<Socket> =>
  new Promise((resolve) => {
    const socket = connect(agent.port, agent.host, () => resolve(socket))
    socket.on('error', () => resolve(socket)).resume()
  })

/** Not enough for its buffers, wherever the system puts its libraries; enough to begin. */
const ADDRESS_SPACE = 200_000_000

const littleMemory = async (bench: Bench): Promise<void> => {
  const { tally, product } = bench
  const tested = await TestedServer.start('little-memory', { megabytes: 10 })
  const bin = join(bench.directory('engine'), 'bin')
  mkdirSync(bin)
  const program = join(bin, 'mariadb-backup')
  writeFileSync(
    program,
    `#!/bin/sh
case " $* " in *' --backup '*) exec prlimit --as=${ADDRESS_SPACE} -- /usr/bin/mariadb-backup "$@" ;; esac
exec /usr/bin/mariadb-backup "$@"
`,
  )
  chmodSync(program, 0o755)
  const home = new AgentHome(bench.directory('home'), product)
  const agent = await home.start(tested.engineOptions, { environment: { PATH: `${bin}:/usr/bin:/bin` } })
  for (const encoding of product.encodings) {
    const context = `a backup program without memory, ${encoding}`
    const order = { address: agent.address, directory: bench.directory('run'), encoding, sid: encoding }
    const end = await fetchOnce({ ...order, login: tested.login })
    tally.injected(1, { realServer: true })
    const received = await judgeArchive(end, {}, tally, context)
    tally.expect(received === undefined && end.leftBehind.length === 0, `${context}: ${describeEnd(end)}`)
    for (const lock of await tested.locksLeft(bench.goneWithinMs)) tally.charge('locks', `${context}: ${lock}`)
  }
  await agent.stop()
  await tested.discard()
  for (const problem of bugsIn(agent)) tally.charge('surprises', problem)
  for (const name of home.leftovers()) tally.charge('leftFiles', name)
}

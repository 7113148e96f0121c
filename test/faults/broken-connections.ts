/**
 * The network between an agent and its clients, broken in every way a proxy can break it.
 *
 * The directory that is handed out does not change, so every whole archive has one digest:
 * a client that has a backup has that one.
 */

import { randomBytes } from 'node:crypto'

import type { AgentProcess } from '../rig/agent-process.ts'
import { converse } from '../rig/raw-client.ts'
import { AgentHome } from './agent-home.ts'
import { describeEnd, fetchOnce } from './client-run.ts'
import { fetchWhole } from './cut-streams.ts'
import { bugsIn } from './failing-engines.ts'
import { type Fault, FaultProxy, type LanePlan } from './fault-proxy.ts'
import { judgeArchive } from './judge-archive.ts'
import type { Encoding } from './product.ts'
import { requestFor } from './recorded-stream.ts'
import { type Bench, inLanes, type Scenario } from './scenario.ts'
import { fillSmallSource } from './small-source.ts'

export const brokenConnections: Scenario = {
  name: 'broken-connections',
  fault: 'EPIPE/ECONNRESET anywhere; client RST/close; half-close; slow link',
  does: 'real agent, connections cut, reset and slowed at random bytes, requests cut at every byte: no client has anything but the whole archive, and the agent serves on',
  run: async (bench) => {
    const source = bench.directory('source')
    fillSmallSource(source, 30)
    const home = new AgentHome(bench.directory('home'), bench.product)
    const agent = await home.start(['--directory', source])
    try {
      const whole = await fetchWhole(agent.port, 'octet', bench.directory('whole'))
      if (whole === undefined) throw new Error(`a backup without a fault failed: ${agent.logTail}`)
      const lengths = await wireLengths(bench, agent, whole)
      await breakStreams(bench, agent, whole, lengths)
      await breakForPrograms(bench, agent, whole, lengths)
      await slowLines(bench, agent, whole)
      await cutRequests(bench, agent)
      await halfClose(bench, agent)
      const after = await fetchWhole(agent.port, 'octet', bench.directory('after'))
      bench.tally.expect(after === whole, 'after all this the agent does not serve any more')
    } finally {
      const { exitCode } = await agent.stop()
      bench.tally.expect(exitCode === 0, `the agent ended with ${exitCode}: ${agent.logTail}`)
    }
    for (const name of home.leftovers()) bench.tally.charge('leftFiles', name)
    for (const problem of bugsIn(agent)) bench.tally.charge('surprises', problem)
  },
}

type Lengths = ReadonlyMap<Encoding, number>

/** Bytes of a whole answer. All encodings must carry the same archive. */
const wireLengths = async (bench: Bench, agent: AgentProcess, whole: string): Promise<Lengths> => {
  const lengths = new Map<Encoding, number>()
  const proxy = await FaultProxy.start(agent.port)
  for (const encoding of bench.product.encodings) {
    const [connection, sha256] = await Promise.all([
      proxy.next(),
      fetchWhole(proxy.port, encoding, bench.directory('length')),
    ])
    bench.tally.expect(sha256 === whole, `${encoding} has another archive than octet`)
    lengths.set(encoding, connection.toClient.forwarded)
  }
  await proxy.close()
  return lengths
}

const breakStreams = async (bench: Bench, agent: AgentProcess, whole: string, lengths: Lengths): Promise<void> => {
  const directory = bench.directory('broken')
  const proxy = await FaultProxy.start(agent.port)
  const counts = { cut: 0, reset: 0, complete: 0 }
  for (let time = 0; time < bench.times(600, 24); time += 1) {
    const encoding = bench.random.pick(bench.product.encodings)
    const at = bench.random.between(1, (lengths.get(encoding) ?? 0) - 1)
    const fault: Fault = { at, do: bench.random.pick(['cut', 'reset'] as const) }
    proxy.plan = { toClient: { faults: [fault] } }
    const sha256 = await fetchWhole(proxy.port, encoding, directory)
    bench.tally.injected()
    if (fault.do === 'cut') counts.cut += 1
    else counts.reset += 1
    if (sha256 === undefined) continue
    counts.complete += 1
    bench.tally.charge(
      'falseComplete',
      `${encoding}, ${fault.do} at byte ${at}: fetched, ${sha256 === whole ? 'whole' : 'not whole'}`,
    )
  }
  await proxy.close()
  bench.tally.note(`streams: ${counts.cut} cut, ${counts.reset} reset, ${counts.complete} taken for a backup`)
  bench.say(`${counts.cut + counts.reset} streams broken`)
}

/** The same with the program, which leaves no file of any name. */
const breakForPrograms = async (bench: Bench, agent: AgentProcess, whole: string, lengths: Lengths): Promise<void> => {
  await inLanes(Array.from({ length: bench.times(60, 4) }), 2, async () => {
    const encoding = bench.random.pick(bench.product.encodings)
    const fault: Fault = {
      at: bench.random.between(0, (lengths.get(encoding) ?? 0) - 1),
      do: bench.random.pick(['cut', 'reset'] as const),
    }
    const proxy = await FaultProxy.start(agent.port, { toClient: { faults: [fault] } })
    const end = await fetchOnce({ address: proxy.address, directory: bench.directory('run'), encoding, sid: 'broken' })
    await proxy.close()
    bench.tally.injected()
    const context = `${encoding}, ${fault.do} at byte ${fault.at}`
    const received = await judgeArchive(end, { sha256: whole }, bench.tally, context)
    bench.tally.expect(
      end.exitCode !== 0 && received === undefined && end.leftBehind.length === 0,
      `${context}: ${describeEnd(end)}`,
    )
  })
}

/** Slow and late lines change nothing but the time. */
const slowLines = async (bench: Bench, agent: AgentProcess, whole: string): Promise<void> => {
  const plans: LanePlan[] = [{ bytesPerSecond: 3_000_000 }, { delayMs: 5 }]
  for (const plan of plans) {
    for (const encoding of bench.product.encodings) {
      const proxy = await FaultProxy.start(agent.port, { toClient: plan })
      const sha256 = await fetchWhole(proxy.port, encoding, bench.directory('slow'))
      await proxy.close()
      bench.tally.injected()
      bench.tally.expect(
        sha256 === whole,
        `${encoding} over a slow line (${JSON.stringify(plan)}) is not the whole archive`,
      )
    }
  }
}

/** A request that stops at every byte, by a FIN and by a reset; and one of noise. */
const cutRequests = async (bench: Bench, agent: AgentProcess): Promise<void> => {
  for (const encoding of bench.product.encodings) {
    const request = Buffer.from(requestFor(encoding, 'cut-request'))
    for (let length = 0; length < request.length; length += bench.times(1, 9)) {
      const { bytes } = await converse(agent.port, request.subarray(0, length), { halfClose: true })
      bench.tally.injected()
      const text = bytes.toString('latin1', 0, 300)
      bench.tally.expect(!text.startsWith('READY'), `${encoding}: a request cut at byte ${length} was obeyed: ${text}`)
    }
  }
  for (let time = 0; time < bench.times(100, 10); time += 1) {
    const noise = randomBytes(bench.random.between(1, 4000))
    const { bytes } = await converse(agent.port, noise, { halfClose: true })
    bench.tally.injected()
    bench.tally.expect(!bytes.toString('latin1', 0, 10).startsWith('READY'), 'noise was obeyed')
  }
  await resetRequests(bench, agent)
}

const resetRequests = async (bench: Bench, agent: AgentProcess): Promise<void> => {
  const request = Buffer.from(requestFor('octet', 'reset-request'))
  for (let time = 0; time < bench.times(100, 10); time += 1) {
    const at = bench.random.between(1, request.length)
    const fault: Fault = { at, do: 'reset' }
    const proxy = await FaultProxy.start(agent.port, { toAgent: { faults: [fault] } })
    const conversation = converse(proxy.port, request).catch(() => undefined)
    const connection = await proxy.next()
    await connection.toAgent.happened(fault)
    await conversation
    await proxy.close()
    bench.tally.injected()
  }
}

/** A client that closes its half after the request gets everything. */
const halfClose = async (bench: Bench, agent: AgentProcess): Promise<void> => {
  for (const encoding of bench.product.encodings) {
    const { bytes, ended } = await converse(agent.port, requestFor(encoding, 'half-closed'), { halfClose: true })
    bench.tally.injected()
    bench.tally.expect(
      ended === 'fin' && bytes.length > 1_000_000,
      `${encoding}: a half-closing client got ${bytes.length} bytes, ${ended}`,
    )
  }
}

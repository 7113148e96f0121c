/**
 * A reader that is too slow for the redo log: the server overwrites what was not copied yet.
 *
 *     server ─ 12 MB/s of redo ─▶ log of 96 MiB ◀─ the backup program, which stands still
 *                                                  while its reader does
 *
 * A steady reader of 14 MB/s, and one that pauses for 20 s, three times each: through the
 * plain pipe no backup comes out; through the agent, every one.
 */

import { setTimeout as delay } from 'node:timers/promises'

import { AgentHome } from './agent-home.ts'
import { ClientRun } from './client-run.ts'
import { FaultProxy } from './fault-proxy.ts'
import { isFailure } from './held-backup.ts'
import { judgeArchive } from './judge-archive.ts'
import { plainPipe } from './plain-pipe.ts'
import type { Encoding } from './product.ts'
import type { Bench, Scenario } from './scenario.ts'
import { TestedServer } from './tested-server.ts'
import { WriteProbe } from './write-probe.ts'

const MB = 1_000_000
const MIB = 1024 * 1024

const REDO_LOG_BYTES = 96 * MIB
const REDO_BYTES_PER_SECOND = 12 * MB
const DATA_MEGABYTES = 400

const READERS = [
  { name: 'reads 14 MB/s', bytesPerSecond: 14 * MB, pauseMs: 0 },
  { name: 'pauses 20 s', bytesPerSecond: 200 * MB, pauseMs: 20_000 },
] as const
type Reader = (typeof READERS)[number]

/** Where the pause begins: the copying of the data is under way. */
const PAUSE_AT_BYTES = 50 * MB

interface Outcome {
  readonly complete: boolean
  readonly why: string
  readonly seconds: number
  readonly redoBytesPerSecond: number
}

export const redoOverrun: Scenario = {
  name: 'slow-reader-redo',
  fault: 'Slow link/disk',
  does: 'a slow reader and a redo log of 96 MiB that takes 12 MB/s: the plain pipe loses the backup, the agent never does',
  needs: ['spill'],
  beside: 'background',
  run: async (bench) => {
    const readers = bench.quick ? READERS.slice(1) : READERS
    const rows = await Promise.all(readers.map((reader) => tryReader(bench, reader)))
    bench.tally.tables.push(
      ['| reader | way | redo | complete | how it ended |', '|---|---|---:|---:|---|', ...rows.flat()].join('\n'),
    )
  },
}

const tryReader = async (bench: Bench, reader: Reader): Promise<string[]> => {
  const tested = await TestedServer.start(`redo ${reader.name}`, {
    megabytes: DATA_MEGABYTES,
    redoLogBytes: REDO_LOG_BYTES,
    bufferPoolBytes: 256 * MIB,
    // Without room in its own log the server slows its writers down, and they would not be 12 MB/s any more.
    options: ['--innodb-max-dirty-pages-pct-lwm=1', '--innodb-io-capacity=4000', '--innodb-io-capacity-max=8000'],
  })
  try {
    await tested.server.query(`
      CREATE TABLE faults.churn (id INT PRIMARY KEY, note VARBINARY(8000)) ENGINE=InnoDB;
      INSERT INTO faults.churn SELECT seq, REPEAT(RANDOM_BYTES(100), 70) FROM faults.seq_1_to_800;`)
    const times = bench.times(3, 1)
    const encodings: Encoding[] = bench.product.encodings.includes('framed')
      ? ['framed', 'octet', 'framed']
      : ['octet', 'octet', 'octet']
    const piped: Outcome[] = []
    const ours: Outcome[] = []
    for (let time = 0; time < times; time += 1) {
      piped.push(await underRedo(tested, () => throughPipe(bench, tested, reader)))
      ours.push(await underRedo(tested, () => throughAgent(bench, tested, reader, encodings[time] ?? 'octet')))
      for (const [way, outcome] of [
        ['plain pipe', piped.at(-1)],
        ['agent', ours.at(-1)],
      ] as const) {
        if (outcome !== undefined) bench.say(`${reader.name}, ${way}: ${inWords(outcome)}`)
      }
    }
    for (const outcome of ours) bench.tally.expect(outcome.complete, `${reader.name}, the agent: ${outcome.why}`)
    return [asRow(reader, 'plain pipe', piped), asRow(reader, 'the agent', ours)]
  } finally {
    await tested.discard()
  }
}

/** Runs a backup while the server writes redo at its rate. */
const underRedo = async (
  tested: TestedServer,
  backup: () => Promise<Pick<Outcome, 'complete' | 'why'>>,
): Promise<Outcome> => {
  const writer = new RedoWriter(tested)
  await delay(2000) // the rate is a steady one when the backup begins
  const [began, before] = [performance.now(), await tested.redoBytes()]
  const { complete, why } = await backup()
  const seconds = (performance.now() - began) / 1000
  const redoBytesPerSecond = ((await tested.redoBytes()) - before) / seconds
  await writer.stop()
  return { complete, why, seconds, redoBytesPerSecond }
}

/** Rewrites rows, as many as make the wanted rate. */
class RedoWriter {
  readonly #tested: TestedServer
  readonly #running: Promise<void>
  #isStopped = false

  constructor(tested: TestedServer) {
    this.#tested = tested
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    const [began, before] = [performance.now(), await this.#tested.redoBytes()]
    let isBehind = true
    const write = (count: number): string => {
      if (!isBehind) return 'DO 1'
      const from = (count * 50) % 800
      return `UPDATE faults.churn SET note = REPEAT(RANDOM_BYTES(100), 70) WHERE id > ${from} AND id <= ${from + 50}`
    }
    const probe = new WriteProbe(this.#tested.server, write, 10)
    while (!this.#isStopped) {
      const due = ((performance.now() - began) / 1000) * REDO_BYTES_PER_SECOND
      isBehind = (await this.#tested.redoBytes()) - before < due
      await delay(20)
    }
    await probe.stop()
  }
}

const throughPipe = async (bench: Bench, tested: TestedServer, { bytesPerSecond, pauseMs }: Reader) => {
  const { exitCode, saidOk, complaint } = await plainPipe(tested, bench.directory('pipe'), {
    bytesPerSecond,
    pause: { at: PAUSE_AT_BYTES, ms: pauseMs },
  })
  const complete = exitCode === 0 && saidOk
  return { complete, why: complete ? '' : complaint.replace(/\d{4,}/g, 'N').slice(0, 100) }
}

const throughAgent = async (bench: Bench, tested: TestedServer, reader: Reader, encoding: Encoding) => {
  const context = `${reader.name}, ${encoding}`
  const home = new AgentHome(bench.directory('home'), bench.product)
  const agent = await home.start(tested.engineOptions)
  const hold = { at: PAUSE_AT_BYTES, do: 'hold' } as const
  const faults = reader.pauseMs > 0 ? [hold] : []
  const proxy = await FaultProxy.start(agent.port, { toClient: { faults, bytesPerSecond: reader.bytesPerSecond } })
  try {
    const order = { address: proxy.address, directory: bench.directory('run'), sid: 'redo', login: tested.login }
    const client = new ClientRun({ ...order, encoding, silenceSeconds: 600 })
    const connection = await proxy.next()
    if (reader.pauseMs > 0) {
      await Promise.race([connection.toClient.happened(hold), client.ended])
      await delay(reader.pauseMs)
      connection.toClient.resume()
    }
    const end = await client.ended
    bench.tally.injected(1, { realServer: true })
    const received = await judgeArchive(end, {}, bench.tally, context)
    const failure = agent.logs.find(isFailure)
    return {
      complete: received !== undefined,
      why: received === undefined ? String(failure?.['code'] ?? end.said) : '',
    }
  } finally {
    await proxy.close()
    await agent.stop()
    for (const name of home.leftovers()) bench.tally.charge('leftFiles', `${context}: ${name}`)
  }
}

const inWords = ({ complete, why, seconds, redoBytesPerSecond }: Outcome): string =>
  `${complete ? `complete after ${seconds.toFixed(0)} s` : `no backup: ${why}`} (${(redoBytesPerSecond / MB).toFixed(0)} MB/s of redo)`

const asRow = ({ name }: Reader, way: string, outcomes: readonly Outcome[]): string => {
  const complete = outcomes.filter((outcome) => outcome.complete)
  const rate = outcomes.reduce((sum, { redoBytesPerSecond }) => sum + redoBytesPerSecond, 0) / outcomes.length / MB
  const ends = [
    ...(complete.length > 0
      ? [`complete after ${complete.map(({ seconds }) => seconds.toFixed(0)).join(', ')} s`]
      : []),
    ...new Set(outcomes.filter((outcome) => !outcome.complete).map(({ why }) => why)),
  ]
  return `| ${name} | ${way} | ${rate.toFixed(0)} MB/s | ${complete.length} of ${outcomes.length} | ${ends.join('; ')} |`
}

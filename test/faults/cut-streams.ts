/**
 * A stream of about 100 kB, cut at every byte, in every encoding: our client refuses each one.
 *
 * Every byte through the client's own decoder and proof; some hundreds through the whole
 * client, over a socket that ends with FIN; some with the program. Other people's tars are
 * asked too, of the plain archive: where they accept a cut one, PROTOCOL.md must say so.
 */

import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'

import { BackupError } from '../../lib/errors/index.ts'
import { fetchBackup } from '../../lib/index.ts'
import { type SweptProgram, sweepCuts } from '../archive/cut-sweep.ts'
import { mustRun } from '../rig/run-program.ts'
import { AgentHome } from './agent-home.ts'
import { describeEnd, fetchOnce } from './client-run.ts'
import { judgeArchive } from './judge-archive.ts'
import { dialogueOf, type Encoding } from './product.ts'
import { type RecordedStream, recordStream } from './recorded-stream.ts'
import { receive } from './receiving.ts'
import { type Bench, inLanes, type Scenario } from './scenario.ts'
import { fillSmallSource } from './small-source.ts'
import { MAY_ACCEPT, type Place, placesOf } from './tar-places.ts'

export const cutStreams: Scenario = {
  name: 'cut-streams',
  fault: 'Truncate at every offset',
  does: 'a 100 kB stream cut at every byte, each encoding: the client refuses every one',
  run: async (bench) => {
    for (const stream of await recordAll(bench)) {
      await cutEverywhere(bench, stream)
      await cutOverSockets(bench, stream)
    }
  },
}

export const cutForOtherTars: Scenario = {
  name: 'cut-for-other-tars',
  fault: 'Truncate at every offset',
  does: 'an archive with all kinds of members, cut at every byte, for GNU tar, bsdtar and Python: they accept a cut one only where PROTOCOL.md says so',
  run: async (bench) => {
    // A large file has no more kinds of places than a small one, and a program is started for each cut.
    const [octet] = await recordAll(bench, ['octet'], 0.1)
    if (octet !== undefined) await sweepOtherTars(bench, octet.answer.subarray(octet.streamAt))
  },
}

/** One stream in each encoding, of the same directory. */
export const recordAll = async (
  bench: Bench,
  encodings: readonly Encoding[] = bench.product.encodings,
  scale = bench.times(1, 0.03),
): Promise<readonly RecordedStream[]> => {
  const source = bench.directory('source')
  fillSmallSource(source, scale)
  const agent = await new AgentHome(bench.directory('home'), bench.product).start(['--directory', source])
  try {
    const streams: RecordedStream[] = []
    for (const encoding of encodings) streams.push(await recordStream({ port: agent.port, encoding, sid: 'cut' }))
    return streams
  } finally {
    await agent.stop()
  }
}

const cutEverywhere = async (bench: Bench, { encoding, answer, streamAt }: RecordedStream): Promise<void> => {
  const stream = answer.subarray(streamAt)
  const whole = await receive(encoding, [stream])
  bench.tally.expect('taken' in whole, `${encoding}: the whole stream is refused: ${JSON.stringify(whole)}`)
  const refusals = new Map<string, number>()
  for (let length = 0; length < stream.length; length += 1) {
    const received = await receive(encoding, [stream.subarray(0, length)])
    bench.tally.injected()
    if ('taken' in received) {
      bench.tally.charge('falseComplete', `${encoding} cut at byte ${length} of ${stream.length} is taken for whole`)
    } else {
      refusals.set(received.refused, (refusals.get(received.refused) ?? 0) + 1)
    }
  }
  const codes = [...refusals].sort(([, a], [, b]) => b - a).map(([code, count]) => `${code} ${count}`)
  bench.tally.note(`${encoding}: ${stream.length} cuts, all at once: ${codes.join(', ')}`)
  bench.say(`${encoding}: cut at each of ${stream.length} bytes`)
}

/** Through the whole client: the answer is cut as well. In this process, and a few with the program. */
const cutOverSockets = async (bench: Bench, recorded: RecordedStream): Promise<void> => {
  const { encoding, answer, streamAt } = recorded
  const edges = [
    0,
    1,
    6,
    streamAt - 1,
    streamAt,
    streamAt + 1,
    answer.length - 1025,
    answer.length - 1024,
    answer.length - 1,
  ]
  const random = Array.from({ length: bench.times(1500, 20) }, () => bench.random.between(0, answer.length - 1))
  const player = await StreamPlayer.start(answer)
  const directory = bench.directory('cut')
  try {
    for (const length of [...edges, ...random]) {
      player.length = length
      bench.tally.injected()
      const sha256 = await fetchWhole(player.port, encoding, directory)
      if (sha256 !== undefined)
        bench.tally.charge('falseComplete', `${encoding} cut at byte ${length} was fetched as whole`)
    }
    const some = random.slice(0, bench.times(25, 1))
    await inLanes(some, 2, async (length) => {
      const own = await StreamPlayer.start(answer)
      own.length = length
      bench.tally.injected()
      const run = bench.directory('program')
      const end = await fetchOnce({ address: `127.0.0.1:${own.port}`, directory: run, encoding, sid: 'cut' })
      await own.close()
      await judgeArchive(end, {}, bench.tally, `${encoding} cut at byte ${length}`)
      bench.tally.expect(
        end.exitCode !== 0 && !end.hasFinal && end.leftBehind.length === 0,
        `the client left ${describeEnd(end)}`,
      )
    })
  } finally {
    await player.close()
  }
  bench.say(`${encoding}: cut at ${edges.length + random.length} bytes on a socket`)
}

/** @returns the digest of what was taken for a whole backup; undefined when it was refused */
export const fetchWhole = async (
  port: number,
  encoding: Encoding,
  directory: string,
  login: { readonly user?: string; readonly password?: string } = {},
): Promise<string | undefined> => {
  fetched += 1
  const target = { file: `${directory}/fetched-${fetched}.tar` }
  try {
    const fetch = fetchBackup({
      host: '127.0.0.1',
      port,
      encoding,
      target,
      silenceSeconds: 20,
      protocol: dialogueOf(encoding),
      ...login,
    })
    return (await fetch.receipt).sha256
  } catch (error) {
    if (error instanceof BackupError) return undefined
    throw error
  }
}
let fetched = 0

/** Plays the beginning of a recorded answer to whoever connects, and ends in order. */
export class StreamPlayer {
  readonly #server
  readonly #sockets = new Set<Socket>()
  #answer: Buffer
  /** Bytes to play. */
  length: number

  private constructor(answer: Buffer) {
    this.#answer = answer
    this.length = answer.length
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket))
      // A client that is answered before it has asked is no client of ours.
      socket.once('data', () => socket.end(this.#answer.subarray(0, this.length)))
      socket.on('end', () => socket.end())
      socket.resume()
    })
  }

  static async start(answer: Buffer): Promise<StreamPlayer> {
    const player = new StreamPlayer(answer)
    player.#server.listen(0, '127.0.0.1')
    await once(player.#server, 'listening')
    return player
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  /** Another one for the connections to come. */
  set answer(bytes: Buffer) {
    this.#answer = bytes
    this.length = bytes.length
  }

  async close(): Promise<void> {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await once(this.#server, 'close')
  }
}

const sweepOtherTars = async (bench: Bench, archive: Buffer): Promise<void> => {
  const places = placesOf(archive)
  const every = places.flatMap((place, at) => (place === 'whole' && at < archive.length ? [] : [at]))
  const edges = every.filter((at) => at % 512 <= 1 || at % 512 === 511 || at === archive.length)
  const cuts = bench.quick ? edges : every
  const orders: Record<SweptProgram, readonly number[]> = { 'GNU tar': cuts, bsdtar: cuts, "Python's tarfile": cuts }
  const swept = sweepCuts(archive, orders)
  const rows: string[] = []
  for (const program of Object.keys(orders) as SweptProgram[]) {
    const statuses = swept[program] ?? []
    bench.tally.injected(cuts.length - 1)
    const accepted = cuts.filter((_, index) => statuses[index] === 0)
    for (const at of accepted) {
      const place = places[at] ?? 'whole'
      if (!MAY_ACCEPT[place].includes(program)) {
        bench.tally.charge('surprises', `${program} accepts an archive that stops at byte ${at}, ${place}`)
      }
    }
    bench.tally.expect(statuses[cuts.indexOf(archive.length)] === 0, `${program} refuses the whole archive`)
    rows.push(`| ${program} | ${cuts.length - 1} | ${accepted.length - 1} | ${accepting(accepted, places)} |`)
    bench.say(`${program}: accepts ${accepted.length - 1} of ${cuts.length - 1} cuts`)
  }
  const versions = await Promise.all(
    [
      ['tar', '--version'],
      ['bsdtar', '--version'],
      ['python3', '--version'],
    ].map(async ([program = '', option = '']) =>
      (await mustRun(program, [option])).stdout.toString().split('\n')[0]?.replace(/ - .*/, ''),
    ),
  )
  bench.tally.note(`an archive of ${archive.length} bytes; ${versions.join(', ')}`)
  bench.tally.tables.push(['| program | cuts | accepted | where |', '|---|---:|---:|---|', ...rows].join('\n'))
}

/** How many accepted cuts there are at each kind of place. */
const accepting = (accepted: readonly number[], places: readonly Place[]): string => {
  const counts = new Map<Place, number>()
  for (const at of accepted) {
    const place = places[at] ?? 'whole'
    if (place !== 'whole') counts.set(place, (counts.get(place) ?? 0) + 1)
  }
  return [...counts].map(([place, count]) => `${place}: ${count}`).join('; ')
}

/**
 * One bit of a stream turned on its way.
 *
 * A framed stream carries the digest of its archive: whatever a turned bit does, the client must not take
 * another archive for the one that was sent. The encodings of 0.76 carry none. There the undetected ones are counted
 * and reported: a tar has no checksum for bodies, and nobody on the receiving side can know.
 */

import { FaultProxy, flipBit } from './fault-proxy.ts'
import { fetchWhole, recordAll, StreamPlayer } from './cut-streams.ts'
import { fetchOnce } from './client-run.ts'
import type { RecordedStream } from './recorded-stream.ts'
import { receive } from './receiving.ts'
import { type Bench, inLanes, type Scenario } from './scenario.ts'

export const flippedBits: Scenario = {
  name: 'flipped-bits',
  fault: 'Bit flip in transit',
  does: 'single bits turned in a 100 kB stream: a framed one is refused whenever its archive is another; 0.76 cannot know, and is counted',
  run: async (bench) => {
    for (const stream of await recordAll(bench)) {
      await flipInMemory(bench, stream)
      if (stream.encoding === 'framed') await flipOnTheWay(bench, stream)
    }
  },
}

const flipInMemory = async (bench: Bench, { encoding, answer, streamAt }: RecordedStream): Promise<void> => {
  const stream = Buffer.from(answer.subarray(streamAt))
  const whole = await receive(encoding, [stream])
  if ('refused' in whole) throw new Error(`the whole stream is refused: ${whole.refused}`)
  const times = encoding === 'framed' ? bench.times(20_000, 300) : bench.times(5000, 100)
  let [undetected, harmless, refused] = [0, 0, 0]
  for (let time = 0; time < times; time += 1) {
    const [at, bit] = [bench.random.between(0, stream.length - 1), bench.random.between(0, 7)]
    flipBit(stream, at, bit)
    const received = await receive(encoding, [stream])
    flipBit(stream, at, bit)
    bench.tally.injected()
    if ('refused' in received) refused += 1
    else if (received.taken === whole.taken) harmless += 1
    else if (encoding === 'framed') {
      undetected += 1
      bench.tally.charge('falseComplete', `bit ${bit} of byte ${at} of the framed stream turned, and the archive taken`)
    } else undetected += 1
  }
  bench.tally.note(
    `${encoding}: ${times} flips, ${refused} refused` +
      (harmless > 0 ? `, ${harmless} where they change no byte of the archive` : '') +
      `, ${undetected === 0 ? 'none' : `**${undetected}**`} undetected${encoding === 'framed' ? '' : ' (no checksum in 0.76)'}`,
  )
  bench.say(`${encoding}: ${refused} of ${times} refused, ${undetected} undetected, ${harmless} harmless`)
}

/** Through the proxy, the answer's blocks included, to the whole client. */
const flipOnTheWay = async (bench: Bench, { encoding, answer, streamAt }: RecordedStream): Promise<void> => {
  const whole = await receive(encoding, [answer.subarray(streamAt)])
  const sent = 'taken' in whole ? whole.taken : ''
  const player = await StreamPlayer.start(answer)
  const proxy = await FaultProxy.start(player.port)
  const directory = bench.directory('flip')
  let [refused, harmless] = [0, 0]
  const fault = () =>
    ({ at: bench.random.between(0, answer.length - 1), do: 'flip', bit: bench.random.between(0, 7) }) as const
  try {
    for (let time = 0; time < bench.times(1000, 25); time += 1) {
      const flip = fault()
      proxy.plan = { toClient: { faults: [flip] } }
      const sha256 = await fetchWhole(proxy.port, encoding, directory)
      bench.tally.injected()
      if (sha256 === undefined) refused += 1
      else if (sha256 === sent) harmless += 1
      else bench.tally.charge('falseComplete', `bit ${flip.bit} of byte ${flip.at} of the answer turned, and fetched`)
    }
    await inLanes(Array.from({ length: bench.times(25, 2) }, fault), 2, async (flip) => {
      const own = await FaultProxy.start(player.port, { toClient: { faults: [flip] } })
      const end = await fetchOnce({ address: own.address, directory: bench.directory('run'), encoding, sid: 'cut' })
      await own.close()
      bench.tally.injected()
      const isAsSent = end.report?.status === 'COMPLETE' && end.report.sha256 === sent
      if (end.hasFinal && !isAsSent)
        bench.tally.charge('falseComplete', `byte ${flip.at} turned, and fetched by the program`)
    })
  } finally {
    await proxy.close()
    await player.close()
  }
  bench.tally.note(
    `framed, through the proxy to the client: ${refused} refused, ${harmless} where they change no byte of the archive`,
  )
  bench.say(`framed on the way: ${refused} refused, ${harmless} harmless`)
}

/**
 * A compressed stream of about 25 kB, cut at every byte: the program that decompresses it refuses each one.
 *
 * As a deployed client receives it, by the words that it sent with `-d` added. And some hundreds through our own
 * client, decompressed and kept, over a socket that ends with FIN; and with bits turned in a framed one.
 */

import { randomFillSync } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { BackupError } from '../../lib/errors/index.ts'
import { fetchBackup } from '../../lib/index.ts'
import { AnswerReader, KvBlockParser } from '../../lib/protocol/index.ts'
import { converse } from '../rig/raw-client.ts'
import { AgentHome } from './agent-home.ts'
import { StreamPlayer } from './cut-streams.ts'
import { sweepDecompressor } from './decompressor-sweep.ts'
import { flipBit } from './fault-proxy.ts'
import type { Bench, Scenario } from './scenario.ts'

const COMPRESSORS = {
  gzip: ['gzip', '-c'],
  pigz: ['pigz', '-c', '-p', '2'],
  zstd: ['zstd', '-c', '-3', '-T2'],
  lz4: ['lz4', '-c'],
  xz: ['xz', '-c', '-0', '-T2'],
} as const
type Name = keyof typeof COMPRESSORS
const NAMES = Object.keys(COMPRESSORS) as Name[]

/** Nothing at all is a whole stream to it. Source: measured; PROTOCOL.md, "Compression". */
const ACCEPTS_NOTHING: readonly Name[] = ['lz4']

export const cutCompressed: Scenario = {
  name: 'cut-compressed',
  fault: 'Truncate at every offset',
  does: 'a compressed stream of 25 kB cut at every byte: gzip, pigz, zstd, lz4 and xz refuse every one, and so does the client',
  needs: ['framed'],
  run: async (bench) => {
    const source = bench.directory('source')
    mkdirSync(join(source, 'shop'))
    const [large, small] = [bench.times(15_000, 3_000), bench.times(8_000, 500)]
    writeFileSync(join(source, 'ibdata1'), randomFillSync(Buffer.alloc(large)))
    writeFileSync(join(source, 'shop', 'orders.ibd'), randomFillSync(Buffer.alloc(small)))
    const agent = await new AgentHome(bench.directory('home'), bench.product).start(['--directory', source])
    try {
      for (const name of NAMES) {
        await cutForProgram(bench, name, await recorded(agent.port, plainRequest(name)))
        await cutForClient(bench, name, '0.76', await recorded(agent.port, plainRequest(name)))
        const framed = await recorded(agent.port, framedRequest(name))
        await cutForClient(bench, name, '0.77', framed)
        await flipForClient(bench, name, framed)
      }
    } finally {
      await agent.stop()
    }
  },
}

interface Recorded {
  readonly answer: Buffer
  readonly streamAt: number
}

const request = (version: string, pairs: readonly string[]): string =>
  [version, pairs.length, ...pairs, '', ''].join('\n')

const plainRequest = (name: Name): string =>
  request('0.76.1', [
    ...['action=copy from', 'backup-level=0', 'file=/srv/ZRM_LINKS/.', 'sid=cut'],
    ...['agent-stream-encoding=application/octet-stream'],
    `xtrabackup-agent:inline-compress=${COMPRESSORS[name].join(' ')}`,
  ])

const framedRequest = (name: Name): string =>
  request('0.77.0', [
    ...['action=copy from', 'sid=cut', 'agent-stream-encoding=application/x-framed-stream'],
    `agent-stream-compress=${name}`,
  ])

const recorded = async (port: number, asked: string): Promise<Recorded> => {
  const { bytes, ended } = await converse(port, asked, { halfClose: true })
  const first = new AnswerReader().push(bytes)
  if (ended !== 'fin' || first?.ready !== true) throw new Error(`no backup: ${bytes.toString('latin1', 0, 500)}`)
  const isFramed = first.block.get('status') === 'ACCEPTED'
  const rest = isFramed ? (new KvBlockParser().push(first.rest)?.rest ?? Buffer.alloc(0)) : first.rest
  return { answer: bytes, streamAt: bytes.length - rest.length }
}

const cutForProgram = async (bench: Bench, name: Name, { answer, streamAt }: Recorded): Promise<void> => {
  const compressed = answer.subarray(streamAt)
  const every = Array.from({ length: compressed.length }, (_, length) => length)
  // A program is started for each, which is what bounds the length: blocks of all five are larger than 100 kB, too.
  const quick = (length: number): boolean => length < 64 || length >= compressed.length - 64 || length % 64 === 0
  const lengths = [...(bench.quick ? every.filter(quick) : every), compressed.length]
  const statuses = await sweepDecompressor([...COMPRESSORS[name], '-d'], compressed, lengths, bench.directory('sweep'))
  bench.tally.injected(lengths.length - 1)
  const accepted = lengths.filter((_, index) => statuses[index] === 0)
  for (const length of accepted) {
    if (length === compressed.length || (length === 0 && ACCEPTS_NOTHING.includes(name))) continue
    bench.tally.charge('falseComplete', `${name} -d takes ${length} of ${compressed.length} bytes for whole`)
  }
  bench.tally.expect(accepted.includes(compressed.length), `${name} -d refuses the whole stream`)
  bench.tally.note(`${name}: ${lengths.length - 1} cuts of ${compressed.length} bytes, by ${name} itself`)
  bench.say(`${name}: cut at ${lengths.length - 1} bytes`)
}

/** Decompressed on arrival and kept as it comes, by turns. */
const cutForClient = async (
  bench: Bench,
  name: Name,
  protocol: '0.76' | '0.77',
  { answer, streamAt }: Recorded,
): Promise<void> => {
  const edges = [0, streamAt, streamAt + 1, answer.length - 1]
  const random = Array.from({ length: bench.times(200, 4) }, () => bench.random.between(streamAt, answer.length - 1))
  const player = await StreamPlayer.start(answer)
  const directory = bench.directory('cut')
  try {
    bench.tally.expect(await isFetched(player.port, name, protocol, directory), `${name}: the whole stream is refused`)
    for (const length of [...edges, ...random]) {
      player.length = length
      bench.tally.injected()
      if (await isFetched(player.port, name, protocol, directory)) {
        bench.tally.charge(
          'falseComplete',
          `${name}, ${protocol}: cut at byte ${length} of ${answer.length}, and fetched`,
        )
      }
    }
  } finally {
    await player.close()
  }
}

/** Only the framed one: what the agent has sent is known by its digest. A bit that changes nothing may pass. */
const flipForClient = async (bench: Bench, name: Name, { answer, streamAt }: Recorded): Promise<void> => {
  const bent = Buffer.from(answer)
  const player = await StreamPlayer.start(bent)
  const directory = bench.directory('flip')
  const whole = await fetched(player.port, name, '0.77', directory, false)
  try {
    for (let time = 0; time < bench.times(300, 8); time += 1) {
      const [at, bit] = [bench.random.between(streamAt, answer.length - 1), bench.random.between(0, 7)]
      flipBit(bent, at, bit)
      const sha256 = await fetched(player.port, name, '0.77', directory, time % 2 === 0)
      flipBit(bent, at, bit)
      bench.tally.injected()
      if (sha256 !== undefined && sha256 !== whole) {
        bench.tally.charge('falseComplete', `${name}: bit ${bit} of byte ${at} turned, and another archive fetched`)
      }
    }
  } finally {
    await player.close()
  }
}

let number = 0

const isFetched = async (port: number, name: Name, protocol: '0.76' | '0.77', directory: string): Promise<boolean> =>
  (await fetched(port, name, protocol, directory, number % 2 === 0)) !== undefined

/** @returns the digest of the archive; undefined when it was refused */
const fetched = async (
  port: number,
  compress: Name,
  protocol: '0.76' | '0.77',
  directory: string,
  keepCompressed: boolean,
): Promise<string | undefined> => {
  number += 1
  const encoding = protocol === '0.76' ? 'octet' : 'framed'
  const target = { file: join(directory, `fetched-${number}`) }
  const asked = { host: '127.0.0.1', port, compress, keepCompressed, protocol, encoding, target } as const
  try {
    return (await fetchBackup({ ...asked, silenceSeconds: 20 }).receipt).sha256
  } catch (error) {
    if (error instanceof BackupError) return undefined
    throw error
  }
}

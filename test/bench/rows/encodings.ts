/**
 * Encoders and decoders, in memory: bytes of the archive per second of one processor.
 *
 * Data is random, in pieces as the product has them: 64 KiB come from a pipe or a socket at a time, and 1 MiB is the
 * largest frame. A buffer goes back to the encoder when it "has left", as in a session of the agent.
 *
 * Peers are programs that do the same work: Perl is timed inside of Perl, with the data in memory and in pieces of 64
 * KiB too; other programs by their processor time, reading a file in memory and writing to nowhere.
 */

import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { createDecoder, createEncoder } from '../../../lib/encodings/index.ts'
import { IN_AT, sharedKernels, OUT_AT } from '../../../lib/encodings/kernels.ts'
import { mustRun } from '../../rig/run-program.ts'
import { makeMemoryDirectory } from '../memory-directory.ts'
import { perlSeconds } from '../perl.ts'
import { processorSeconds } from '../processor-time.ts'
import type { Contest, Contestant, Row, Size } from '../row.ts'

const KIB = 1024
const MIB = 1024 * KIB

type Name = 'base64' | 'uuencode'

interface Work {
  readonly name: Name
  readonly raw: Buffer
  readonly wire: Buffer
  /** How often the data is gone through in one turn, by what is as fast as memory. */
  readonly passes: number
  readonly directory: string
}

const cut = (bytes: Buffer, pieceBytes: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, index) =>
    bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes),
  )

/** Gigabytes of raw data per second of processor time. */
const perSecond = (rawBytes: number, work: () => void): number => {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return rawBytes / 1e3 / (user + system)
}

const gigabytesPerSecond = (rawBytes: number, seconds: number): number => rawBytes / 1e9 / seconds

/** One stream, which goes through the data over and over: it is a whole number of units, so each time looks the same. */
const encode = ({ name, raw, wire, passes }: Work, pieceBytes: number, plain = false): number => {
  const pieces = cut(raw, pieceBytes)
  const encoder = createEncoder(name, { plain })
  let wireBytes = 0
  const leave = (made: ReturnType<typeof encoder.encode>): void => {
    for (const piece of made) {
      if (wireBytes < wire.length && !piece.wire.equals(wire.subarray(wireBytes, wireBytes + piece.wire.length)))
        throw new Error(`the ${name} of byte ${wireBytes} on is wrong`)
      wireBytes += piece.wire.length
      encoder.takeBack([piece.wire])
    }
  }
  return perSecond(raw.length * passes, () => {
    for (let pass = 1; pass <= passes; pass += 1) {
      for (const piece of pieces) leave(encoder.encode(piece))
      if (pass === passes) leave(encoder.end())
      if (wireBytes !== wire.length * pass) throw new Error(`${name} made ${wireBytes} bytes in ${pass} passes`)
    }
  })
}

const decode = ({ name, raw, wire, passes }: Work, pieceBytes: number, plain = false): number => {
  const pieces = cut(wire, pieceBytes)
  const decoder = createDecoder(name, { plain })
  let rawBytes = 0
  const arrive = (made: Buffer[]): void => {
    for (const bytes of made) {
      if (rawBytes < raw.length && !bytes.equals(raw.subarray(rawBytes, rawBytes + bytes.length)))
        throw new Error(`what became of ${name} is wrong from byte ${rawBytes} on`)
      rawBytes += bytes.length
      decoder.takeBack([bytes])
    }
  }
  return perSecond(raw.length * passes, () => {
    for (let pass = 1; pass <= passes; pass += 1) {
      for (const piece of pieces) arrive(decoder.decode(piece))
      if (pass === passes) arrive(decoder.end())
      if (rawBytes !== raw.length * pass) throw new Error(`${rawBytes} bytes came out of ${name} in ${pass} passes`)
    }
  })
}

/** The kernel by itself, on as many lines as stay in the processor's first cache; nothing is copied. */
const kernelAlone = ({ name, raw, wire, passes }: Work, way: 'encode' | 'decode'): Contestant[] => {
  const fast = sharedKernels()
  if (fast === undefined) return []
  const { rawBytes, wireBytes, write, read } =
    name === 'base64'
      ? { rawBytes: 57, wireBytes: 77, write: fast.writeBase64Lines, read: fast.readBase64Lines }
      : { rawBytes: 45, wireBytes: 62, write: fast.writeUuencodeLines, read: fast.readUuencodeLines }
  const lines = 100
  const bytes = lines * rawBytes
  const rounds = Math.ceil((raw.length * passes) / bytes)
  const skipped = name === 'uuencode' ? 4 : 0 // the length in front of a frame
  const run = (): number => {
    if (way === 'encode') raw.copy(fast.memory, IN_AT, 0, bytes)
    else wire.copy(fast.memory, IN_AT, skipped, skipped + lines * wireBytes)
    return perSecond(rounds * bytes, () => {
      for (let round = 0; round < rounds; round += 1) {
        if (way === 'encode') write(IN_AT, lines, OUT_AT)
        else if (read(IN_AT, lines, OUT_AT) !== lines) throw new Error(`${name} has a bad line`)
      }
    })
  }
  return [{ name: 'the kernel alone, nothing copied', is: 'limit', run }]
}

/** Whole lines of base64 and whole frames of uuencode: the least of both. */
const UNITS_BYTES = 57 * 10_240

const prepare = async (name: Name, size: Size): Promise<Work & { close(): Promise<void> }> => {
  const raw = randomBytes(size === 'full' ? 7 * UNITS_BYTES : UNITS_BYTES)
  const { path: directory, remove } = makeMemoryDirectory()
  const encoder = createEncoder(name, { plain: true })
  const wire = Buffer.concat([...encoder.encode(raw), ...encoder.end()].map((piece) => piece.wire))
  return { name, raw, wire, passes: size === 'full' ? 200 : 2, directory, close: remove }
}

/** So much that a program's own start is not seen. */
const ofProgram = async (
  { directory, passes }: Work,
  { bytes, rawBytes }: { bytes: Buffer; rawBytes: number },
  command: readonly [string, ...string[]],
): Promise<() => Promise<number>> => {
  const times = Math.ceil(passes / 4)
  const input = join(directory, `input-of-${command[0]}${command.slice(1).join('')}`)
  writeFileSync(input, bytes)
  for (let time = 1; time < times; time += 1) writeFileSync(input, bytes, { flag: 'a' })
  return async () => gigabytesPerSecond(rawBytes * times, await processorSeconds(command, { input }))
}

const PERL_PASSES = 20

const perl = (work: Work, bytes: Buffer, script: string, expectedBytes: number): (() => Promise<number>) => {
  const file = join(work.directory, `for-perl-${bytes.length}`)
  writeFileSync(file, bytes)
  const passes = Math.min(PERL_PASSES, work.passes)
  return async () => gigabytesPerSecond(work.raw.length, await perlSeconds(file, script, passes, expectedBytes))
}

/** Goes through `$data` in pieces and adds up what comes out. */
const inPieces = (pieceBytes: number, expression: string): string =>
  `for (my $at = 0; $at < $length; $at += ${pieceBytes}) { $bytes += length(${expression.replace('PIECE', `substr($data, $at, ${pieceBytes})`)}) }`

const OURS = 3

const contestOfEncoder = async (name: Name, size: Size): Promise<Contest> => {
  const work = await prepare(name, size)
  const { raw, wire } = work
  const framesRemoved = name === 'uuencode' ? 4 * Math.ceil(raw.length / 10_240) : 0
  const peers: Contestant[] =
    name === 'base64'
      ? [
          {
            name: 'coreutils base64 -w76',
            is: 'peer',
            goal: 2,
            run: await ofProgram(work, { bytes: raw, rawBytes: raw.length }, ['base64', '-w76']),
          },
          {
            name: 'Perl MIME::Base64',
            is: 'peer',
            goal: 2,
            run: perl(work, raw, inPieces(57 * 1149, 'encode_base64(PIECE)'), wire.length),
          },
        ]
      : [
          {
            name: 'sharutils uuencode',
            is: 'peer',
            goal: 2,
            run: await ofProgram(work, { bytes: raw, rawBytes: raw.length }, ['uuencode', 'x']),
          },
          {
            name: "Perl pack('u')",
            is: 'peer',
            goal: 2,
            run: perl(work, raw, inPieces(10_240, "pack('u', PIECE)"), wire.length - framesRemoved),
          },
        ]
  return {
    contestants: [
      { name: 'pieces of 64 KiB', is: 'ours', run: () => encode(work, 64 * KIB) },
      { name: 'pieces of 1 MiB', is: 'ours too', run: () => encode(work, MIB) },
      {
        name: 'plain JavaScript',
        is: 'ours too',
        run: () => encode({ ...work, passes: Math.ceil(work.passes / 8) }, 64 * KIB, true),
      },
      ...peers,
      ...kernelAlone(work, 'encode'),
    ],
    close: work.close,
  }
}

const contestOfDecoder = async (name: Name, size: Size): Promise<Contest> => {
  const work = await prepare(name, size)
  const { raw, wire } = work
  const peers: Contestant[] = []
  if (name === 'base64') {
    peers.push(
      {
        name: 'coreutils base64 -d',
        is: 'peer',
        goal: 2,
        run: await ofProgram(
          work,
          { bytes: wire.subarray(0, wire.length - (wire.length % 77)), rawBytes: raw.length },
          ['base64', '-d'],
        ),
      },
      {
        name: 'Perl MIME::Base64',
        is: 'peer',
        goal: 2,
        run: perl(work, wire, inPieces(77 * 850, 'decode_base64(PIECE)'), raw.length),
      },
    )
  } else {
    const text = join(work.directory, 'text.uue')
    const { stdout } = await mustRun('uuencode', ['x'], { input: raw })
    writeFileSync(text, stdout)
    const times = 4
    peers.push(
      {
        name: 'sharutils uudecode',
        is: 'peer',
        goal: 2,
        run: async () => {
          let seconds = 0
          for (let time = 0; time < times; time += 1)
            seconds += await processorSeconds(['uudecode', '-o', '/dev/stdout'], { input: text })
          return gigabytesPerSecond(raw.length * times, seconds)
        },
      },
      {
        name: "Perl unpack('u')",
        is: 'peer',
        goal: 2,
        run: perl(
          work,
          wire,
          `for (my $at = 0; $at < $length; ) { my $body = unpack('N', substr($data, $at, 4));
             $bytes += length(unpack('u', substr($data, $at + 4, $body))); $at += 4 + $body }`,
          raw.length,
        ),
      },
    )
  }
  return {
    contestants: [
      { name: 'pieces of 64 KiB', is: 'ours', run: () => decode(work, 64 * KIB) },
      { name: 'pieces of 1 MiB', is: 'ours too', run: () => decode(work, MIB) },
      {
        name: 'plain JavaScript',
        is: 'ours too',
        run: () => decode({ ...work, passes: Math.ceil(work.passes / 8) }, 64 * KIB, true),
      },
      ...peers,
      ...kernelAlone(work, 'decode'),
    ],
    close: work.close,
  }
}

const row = (name: Name, way: 'encode' | 'decode', limit: string): Row => ({
  name: `${way}-${name}`,
  chapter: 'Encoders and decoders',
  does: `${way === 'encode' ? 'dresses' : 'undresses and checks'} random bytes in memory as ${name} of the wire`,
  unit: 'GB/s',
  better: 'more',
  wanted: OURS,
  limit,
  prepare: (size) => (way === 'encode' ? contestOfEncoder(name, size) : contestOfDecoder(name, size)),
})

const COPIES =
  'The loop itself, the last line, and a copy into the memory of WebAssembly. What is made leaves from there, without being copied out: with the second copy each was a third slower. Tried: pieces of 2 to 64 KiB at once (calls cost more than the first cache saves); constants in registers (the loop went from 3.2 to 4.6 GB/s); a place for the input that does not lie less than 64 bytes ahead of it modulo a page (some processors copy a tenth as fast then: base64 went from 2.2 to 3.6 GB/s), and other places beyond that (no faster); reading base64 a vector at a time, to have fewer in use at once (no faster). A place in that memory is written again when what stood there was sent, or written to a file. A decoder does all of its work where the kernels do, the cut and short lines too; before, base64 took a third longer and uuencode half as long again.'

export const rows: readonly Row[] = [
  row('base64', 'encode', COPIES),
  row('uuencode', 'encode', COPIES),
  row('base64', 'decode', COPIES),
  row('uuencode', 'decode', COPIES),
]

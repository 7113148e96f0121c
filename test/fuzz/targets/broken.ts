/** Readers that are broken on purpose, each in one way: the fuzzer must find what is wrong with them. Never in a real run. */

import { BackupError } from '../../../lib/errors/index.ts'
import type { Target, Trace } from '../target.ts'

const broken = (name: string, feed: (chunks: Iterable<Buffer>, trace: Trace) => string, quickInputs = 300): Target => ({
  name: `broken-${name}`,
  side: 'host',
  does: 'is broken',
  inputs: quickInputs,
  quickInputs,
  maxInputBytes: 1000,
  dictionary: ['\0\0\0\0', '\xff\xff\xff\xff'],
  isPiecewise: true,
  seeds: () => [SEED],
  feed,
})

const SEED = Buffer.from('abcdefgh\0\0\0\x10')

const kept: Buffer[] = []

export const BROKEN_TARGETS: readonly Target[] = [
  broken('throws', (chunks) => {
    for (const chunk of chunks) if (chunk.includes(0xff)) throw new TypeError('cannot read properties of undefined')
    return 'read'
  }),
  broken('when-cut', (chunks, trace) => {
    for (const chunk of chunks) trace.say(chunk.toString('latin1'))
    return 'read'
  }),
  broken('keeps-views', (chunks, trace) => {
    const views = Array.from(chunks)
    trace.take(Buffer.concat(views))
    return 'read'
  }),
  broken('believes-lengths', (chunks) => {
    for (const chunk of chunks) if (chunk.length >= 12) Buffer.alloc(Math.min(2 ** 24, chunk.readUInt32BE(8)))
    return 'read'
  }),
  broken(
    'hangs',
    (chunks) => {
      for (const chunk of chunks) while (chunk.length === SEED.length);
      return 'read'
    },
    1,
  ),
  broken('grows', (chunks) => {
    for (const _ of chunks) kept.push(Buffer.allocUnsafeSlow(300_000))
    return 'read'
  }),
  broken('shows-controls', (chunks) => {
    for (const chunk of chunks) throw new BackupError('CLI_USAGE', `found ${chunk.toString('latin1')}`)
    return 'nothing'
  }),
]

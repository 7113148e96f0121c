import { describe, expect, test } from '@jest/globals'

import { RefusedEnds } from '../../lib/archive/refused-ends.ts'
import { sweepCuts } from './cut-sweep.ts'
import { archive, END, GNU, header, long, mark, member, pax } from './tar-forge.ts'

const ends = (...chunks: readonly Buffer[]): RefusedEnds => {
  const refused = new RefusedEnds()
  for (const chunk of chunks) refused.push(chunk)
  return refused
}

const range = (from: number, to: number, step = 1): number[] =>
  Array.from({ length: Math.ceil((to - from) / step) }, (_, index) => from + index * step)

/** Runs of offsets for which the answer is yes, as `from-to`, both included. */
const runs = (answers: readonly boolean[]): string[] => {
  const found: string[] = []
  for (let at = 0; at < answers.length; at += 1) {
    const from = at
    while (answers[at] === true) at += 1
    if (at > from) found.push(`${from}-${at - 1}`)
  }
  return found
}

/** Everything that has a body, and what has none: a mark, a pax header, GNU's long name, an empty file, a directory. */
const SAMPLE = archive(
  mark(),
  member({ name: 'directory/', typeflag: '5', mode: 0o755 }),
  member({ name: 'small' }, 'x'),
  pax([['path', 'directory/größe']]),
  member({ name: 'g' }, 'x'.repeat(600)),
  member({ name: 'empty' }),
  pax([['comment', 'a filler for quiet times']], 'g'),
  long('L', `directory/${'n'.repeat(110)}`),
  member({ name: 'n', magic: GNU }, 'x'.repeat(512)),
)

/** Where the bodies of the mark, the pax header, the filler and the long name begin, a block each. */
const HEADER_BODIES = [512, 3072, 6144, 7168]

describe('a cut archive', () => {
  test('is refused from the end of a member’s header to the end of its body, and nowhere else', () => {
    const refused = ends(SAMPLE)

    const answers = range(0, SAMPLE.length + 1).map((offset) => refused.isRefusedAt(offset))

    expect(runs(answers)).toEqual([
      '2048-2559', // small, behind the directory's header
      '4096-5119', // größe
      '8192-8703', // its file
      '9728-9728', // the whole archive
    ])
  })

  test('is refused by GNU tar, bsdtar and Python at every one of these offsets', () => {
    const refused = ends(SAMPLE)
    const every = range(0, SAMPLE.length).filter((offset) => refused.isRefusedAt(offset))
    const isEdge = (offset: number) => offset % 512 <= 1 || offset % 512 === 511
    const some = every.filter((offset) => isEdge(offset) || offset % 7 === 0)

    // bsdtar takes its time, so it gets the edges of every block and every seventh offset between them.
    const swept = sweepCuts(SAMPLE, { 'GNU tar': every, bsdtar: some, "Python's tarfile": every })

    expect(every.length).toBeGreaterThan(2000)
    const accepted = Object.entries(swept).flatMap(([program, statuses]) =>
      statuses.flatMap((status, index) =>
        status === 0 ? [`${program} at ${(program === 'bsdtar' ? some : every)[index]}`] : [],
      ),
    )
    expect(accepted).toEqual([])
  })

  test('is accepted by GNU tar everywhere else: between members, inside headers, inside the end', () => {
    const refused = ends(SAMPLE)
    // In the first header it cannot yet tell that this is a tar; and it knows a pax header or a long name that is
    // cut, which not every program does.
    const isInHeaderBody = (at: number) => HEADER_BODIES.some((from) => at >= from && at < from + 512)
    const others = range(512, SAMPLE.length + 1, 64).filter(
      (at) => (!refused.isRefusedAt(at) && !isInHeaderBody(at)) || at === SAMPLE.length,
    )

    const swept = sweepCuts(SAMPLE, { 'GNU tar': others })

    expect(swept['GNU tar']?.findIndex((status) => status !== 0)).toBe(-1)
  })
})

describe('asking', () => {
  test('gives the same answers wherever the archive was cut on its way', () => {
    const whole = ends(SAMPLE)
    const bytewise = ends(...[...SAMPLE].map((byte) => Buffer.of(byte)))

    const differing = range(0, SAMPLE.length + 1).filter(
      (offset) => whole.isRefusedAt(offset) !== bytewise.isRefusedAt(offset),
    )

    expect(differing).toEqual([])
  })

  test('gives the same answers in any order', () => {
    const asked = ends(SAMPLE)
    const offsets = range(0, SAMPLE.length + 1).sort((a, b) => ((a * 7919) % 9973) - ((b * 7919) % 9973))

    const differing = offsets.filter((offset) => asked.isRefusedAt(offset) !== ends(SAMPLE).isRefusedAt(offset))

    expect(differing).toEqual([])
  })

  test('knows of a body that has not come yet, but not of what is behind it', () => {
    const refused = ends(header({ size: 10_000_000 }))

    expect(refused.isRefusedAt(9_000_000)).toBe(true)
    expect(refused.isRefusedAt(512 + Math.ceil(10_000_000 / 512) * 512)).toBe(false)
  })

  test('does not take a size from the header when a pax header says another', () => {
    const refused = ends(pax([['size', '5000']]), header({ size: 0 }))

    expect([1535, 1536, 1536 + 5119, 1536 + 5120].map((offset) => refused.isRefusedAt(offset))).toEqual([
      false,
      true,
      true,
      false,
    ])
  })

  test('says no inside the end, and yes from its last byte on', () => {
    const bytes = Buffer.concat([member({}, 'x'), END, Buffer.alloc(1000)])
    const refused = ends(bytes)

    const answers = [1024, 1536, 2047, 2048, 2500, bytes.length].map((offset) => refused.isRefusedAt(offset))

    expect(answers).toEqual([false, false, false, true, true, true])
  })

  test('says no at the end until its last byte was read', () => {
    const refused = ends(member({}, 'x'), END.subarray(0, 1023))
    expect(refused.isRefusedAt(2048)).toBe(false)

    refused.push(END.subarray(1023))

    expect(refused.isRefusedAt(2048)).toBe(true)
  })

  test('goes on right after what is below was forgotten, again and again', () => {
    const one = member({ name: 'a' }, 'x')
    const refused = ends()
    const wrong: number[] = []

    for (let index = 0; index < 10_000; index += 1) {
      refused.push(one)
      const at = index * 1024
      const answers = [at, at + 511, at + 512, at + 1023].map((offset) => refused.isRefusedAt(offset))
      if (answers.join() !== 'false,false,true,true') wrong.push(index)
      if (index % 3 === 0) refused.forgetBelow(at + (index % 1024))
    }

    expect(wrong).toEqual([])
  })

  test('answers for what was not forgotten', () => {
    const refused = ends(member({}, 'x'), member({}, 'x'))

    refused.forgetBelow(1600)

    expect([1600, 2047, 2048].map((offset) => refused.isRefusedAt(offset))).toEqual([true, true, false])
  })
})

/** The quick share of the fuzzer, in a thread that is ended when it hangs; and that the fuzzer sees what it looks for. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { judge } from './judge.ts'
import { minimise } from './minimise.ts'
import { InputMaker } from './mutate.ts'
import type { Target } from './target.ts'
import { findTarget, TARGETS } from './targets.ts'
import { BROKEN_TARGETS } from './targets/broken.ts'
import { FuzzThread } from './watchdog.ts'

/** Always the same inputs: what a change breaks is broken in every run. */
const SEED = 'npm test'

describe('arbitrary inputs', () => {
  let thread: FuzzThread
  beforeAll(() => {
    thread = new FuzzThread()
  })
  afterAll(() => thread.close())

  test.each(TARGETS.map((target) => [target.name, target] as const))(
    'of %s are read or refused',
    async (_, target) => {
      const { findings, inputs } = await thread.run(target, { seed: SEED, inputs: target.quickInputs })

      expect(
        findings.map(({ what, bytes }) => `${what}: ${Buffer.from(bytes).toString('latin1').slice(0, 500)}`),
      ).toEqual([])
      expect(inputs).toBe(target.quickInputs)
    },
    180_000,
  )
})

describe('the fuzzer finds a reader that', () => {
  let thread: FuzzThread
  beforeAll(() => {
    thread = new FuzzThread(2000)
  })
  afterAll(() => thread.close())

  test.each([
    ['throws something of its own', 'broken-throws', /^threw TypeError/],
    ['depends on where it is cut', 'broken-when-cut', /^differs when cut/],
    ['keeps what was only lent', 'broken-keeps-views', /^differs when cut/],
    ['believes a length before its bytes are there', 'broken-believes-lengths', /^took \d+ bytes of memory at once/],
    ['never returns', 'broken-hangs', /^hangs/],
    ['takes more and more memory', 'broken-grows', /^(?:the heap has grown|ended the thread)/],
    ['says what a terminal would obey', 'broken-shows-controls', /^CLI_USAGE has a message that a terminal would obey/],
  ])('%s', async (_, name, what) => {
    const target = findTarget(name)

    const { findings } = await thread.run(target, { seed: SEED, inputs: target.quickInputs })

    expect(findings.map((finding) => finding.what)).toContainEqual(expect.stringMatching(what))
  })

  test('and are all tried', () => {
    expect(BROKEN_TARGETS).toHaveLength(7)
  })
})

describe('an input', () => {
  const target = findTarget('request')
  const corpus = [Buffer.from('0.76.1\n1\na=b\n\n'), Buffer.from('0.77.0\n0\n\n')]
  const input = (seed: string, number: number): string =>
    new InputMaker(target, corpus, seed).input(number).toString('hex')

  test('is the same in every run with the same seed, whatever was made before it', () => {
    const maker = new InputMaker(target, corpus, 'a')
    const inARow = Array.from({ length: 200 }, (_, number) => maker.input(number).toString('hex'))

    expect(inARow[150]).toBe(input('a', 150))
    expect(new Set(inARow).size).toBeGreaterThan(150)
    expect(Array.from({ length: 20 }, (_, at) => input('b', at + 2))).not.toEqual(inARow.slice(2, 22))
  })

  test('that shows a finding is made as small as shows it', async () => {
    const large = Buffer.from(`${'x'.repeat(500)}!${'y'.repeat(500)}`)

    const small = await minimise(large, async (bytes) => bytes.includes('!'))

    expect(small.toString()).toBe('!')
  })

  test('is judged by the code and the words of its refusal', async () => {
    const refused = await judge(target, [Buffer.from('x\n')])

    expect(refused).toMatchObject({ outcome: 'PROTOCOL_VERSION_INVALID', finding: undefined })
  })
})

test('every target has a name of its own, and enough inputs', () => {
  const inputs = (side: Target['side']): number =>
    TARGETS.filter((target) => target.side === side).reduce((sum, target) => sum + target.inputs, 0)

  expect(new Set(TARGETS.map(({ name }) => name)).size).toBe(TARGETS.length)
  // Goal 6 of the faults' page.
  expect(inputs('server')).toBeGreaterThanOrEqual(1_000_000)
  expect(inputs('client')).toBeGreaterThanOrEqual(1_000_000)
})

import { afterEach, describe, expect, jest, test } from '@jest/globals'

import { KvBlockParser, LIMITS } from '../../lib/protocol/index.ts'
import { byteByByte, everyCut, outcomeOf, refusalOf } from './cuts.ts'
import { keysOfOneHash } from './one-hash.ts'

afterEach(() => {
  jest.restoreAllMocks()
})

const BLOCK = Buffer.from('4\naction=copy from\nempty=\npassword=a=b;c:"d" \'e\'\néquipe=données\n\n')
const PAIRS = [
  ['action', 'copy from'],
  ['empty', ''],
  ['password', 'a=b;c:"d" \'e\''],
  ['équipe', 'données'],
]

const parse = (wire: Buffer | string) => outcomeOf(new KvBlockParser(), [Buffer.from(wire)])
const pairsOf = (wire: Buffer | string): unknown => {
  const outcome = parse(wire)
  return outcome !== 'nothing' && 'result' in outcome ? [...outcome.result.block] : outcome
}

test.each(everyCut(BLOCK))('reads the same pairs in their order when the wire is cut $cut', ({ chunks }) => {
  const outcome = outcomeOf(new KvBlockParser(), chunks)

  expect(outcome).toEqual({ result: { block: new Map(PAIRS as [string, string][]), rest: Buffer.alloc(0) } })
})

test.each(everyCut(Buffer.concat([BLOCK, Buffer.from('0.76.1\n\n\0rest')])))(
  'hands back what stands behind the block untouched when the wire is cut $cut',
  ({ chunks }) => {
    const outcome = outcomeOf(new KvBlockParser(), chunks)

    expect(outcome).toMatchObject({ result: { rest: Buffer.from('0.76.1\n\n\0rest') } })
  },
)

test('hands back the bytes after the block as a view of the chunk, not a copy', () => {
  const chunk = Buffer.concat([BLOCK, Buffer.from('next')])

  const parsed = new KvBlockParser().push(chunk)
  chunk.write('NEXT', BLOCK.length) // only a view can see this

  expect(parsed?.rest.toString()).toBe('NEXT')
})

test('keeps nothing of a chunk from which many pairs were taken at once', () => {
  const pairs = Array.from({ length: 20 }, (_, index) => [`key-${index}`, `value ${index}`])
  const chunk = Buffer.from(`20\n${pairs.map((pair) => `${pair.join('=')}\n`).join('')}\n`)

  const parsed = new KvBlockParser().push(chunk)
  chunk.fill('!')

  expect([...(parsed?.block ?? [])]).toEqual(pairs)
})

test('keeps nothing of a chunk that was only lent', () => {
  const parser = new KvBlockParser()
  const chunk = Buffer.from(BLOCK.subarray(0, 30))

  parser.push(chunk)
  chunk.fill('!')
  const parsed = parser.push(BLOCK.subarray(30))

  expect([...(parsed?.block ?? [])]).toEqual(PAIRS)
})

describe('accepts', () => {
  test.each([
    ['a block without pairs', '0\n\n', []],
    ['a value that is empty', '1\na=\n\n', [['a', '']]],
    ['a value that begins and ends with "="', '1\na==b=\n\n', [['a', '=b=']]],
    ['spaces, which belong to the key and the value', '1\n a = b \n\n', [[' a ', ' b ']]],
    [
      'keys that objects have already',
      '2\n__proto__=1\nconstructor=2\n\n',
      [
        ['__proto__', '1'],
        ['constructor', '2'],
      ],
    ],
    [
      'keys that differ only in case',
      '2\nA=1\na=2\n\n',
      [
        ['A', '1'],
        ['a', '2'],
      ],
    ],
    ['a byte order mark, as part of the key', '1\n\ufeffa=1\n\n', [['\ufeffa', '1']]],
    ['characters outside the basic plane', '1\na=\u{1f4be}\n\n', [['a', '\u{1f4be}']]],
    ['U+00A0, the first character behind C1', '1\na=\u00a0\n\n', [['a', '\u00a0']]],
  ])('%s', (_, wire, pairs) => {
    expect(pairsOf(wire)).toEqual(pairs)
  })

  test('as many pairs as the limit allows', () => {
    const lines = Array.from({ length: LIMITS.maxPairs }, (_, index) => `k${index}=v\n`)

    expect(pairsOf(`${LIMITS.maxPairs}\n${lines.join('')}\n`)).toHaveLength(LIMITS.maxPairs)
  })
})

/** Name, wire, code, line, and a word of the message that says what was expected or found. */
const REFUSALS: readonly [string, string | Buffer, string, number, string][] = [
  ['an empty count', '\na=1\n\n', 'PROTOCOL_COUNT_INVALID', 1, 'plain digits'],
  ['a count with a sign', '+1\na=1\n\n', 'PROTOCOL_COUNT_INVALID', 1, 'found "+1"'],
  ['a negative count', '-1\n\n', 'PROTOCOL_COUNT_INVALID', 1, 'found "-1"'],
  ['a count with a leading zero', '01\na=1\n\n', 'PROTOCOL_COUNT_INVALID', 1, 'found "01"'],
  ['two zeros', '00\n\n', 'PROTOCOL_COUNT_INVALID', 1, 'found "00"'],
  ['a count with a space', '1 \na=1\n\n', 'PROTOCOL_COUNT_INVALID', 1, 'found "1 "'],
  ['a count with CR', '1\r\na=1\r\n\r\n', 'PROTOCOL_COUNT_INVALID', 1, 'found "1\\r"'],
  ['a hexadecimal count', '0x1\na=1\n\n', 'PROTOCOL_COUNT_INVALID', 1, 'found "0x1"'],
  ['a count with an exponent', '1e1\n', 'PROTOCOL_COUNT_INVALID', 1, 'found "1e1"'],
  ['a fraction', '1.0\n', 'PROTOCOL_COUNT_INVALID', 1, 'found "1.0"'],
  ['digits of another script', '\u0661\n', 'PROTOCOL_COUNT_INVALID', 1, 'found "\\xd9\\xa1"'],
  ['a count left out', 'a=1\n\n', 'PROTOCOL_COUNT_INVALID', 1, 'found a line with "="'],
  ['a count line that is no number and does not end', 'x'.repeat(17), 'PROTOCOL_COUNT_INVALID', 1, 'xxx'],
  ['a count of one over the limit, before a single pair', '257\n', 'PROTOCOL_COUNT_TOO_LARGE', 1, 'at most 256'],
  ['a count of a thousand million', '1000000000\n', 'PROTOCOL_COUNT_TOO_LARGE', 1, 'at most 256'],
  ['a count that no number can hold', '9'.repeat(17), 'PROTOCOL_COUNT_TOO_LARGE', 1, 'at most 256'],
  ['a line without "="', '2\na=1\nb\n\n', 'PROTOCOL_PAIR_INVALID', 3, 'pair 2 of 2, found a line without "="'],
  ['a pair without a key', '1\n=1\n\n', 'PROTOCOL_PAIR_INVALID', 2, 'no key'],
  ['fewer pairs than announced', '2\na=1\n\n', 'PROTOCOL_PAIR_INVALID', 3, 'fewer pairs'],
  ['one pair more than announced', '1\na=1\nb=2\n\n', 'PROTOCOL_BLOCK_UNTERMINATED', 3, 'empty line after 1 pairs'],
  ['a pair where none was announced', '0\na=1\n\n', 'PROTOCOL_BLOCK_UNTERMINATED', 2, 'empty line after 0 pairs'],
  ['a second block in place of the end', '1\na=1\n1\n', 'PROTOCOL_BLOCK_UNTERMINATED', 3, 'empty line'],
  ['CR LF at the end alone', '1\na=1\n\r\n', 'PROTOCOL_BLOCK_UNTERMINATED', 3, 'empty line'],
  ['a space at the end', '1\na=1\n \n', 'PROTOCOL_BLOCK_UNTERMINATED', 3, 'empty line'],
  [
    'a key that stands twice',
    '3\na=1\nb=2\na=3\n\n',
    'PROTOCOL_KEY_DUPLICATE',
    4,
    '"a", which stands on line 2 already',
  ],
  ['a key twice with the same value', '2\na=1\na=1\n\n', 'PROTOCOL_KEY_DUPLICATE', 3, 'line 2'],
  ['a CR at the end of a pair', '1\na=1\r\n\n', 'PROTOCOL_CONTROL_BYTE', 2, 'CR (lines end with LF alone) at byte 4'],
  ['a bare CR that would begin a line elsewhere', '1\na=1\rb=2\n\n', 'PROTOCOL_CONTROL_BYTE', 2, 'at byte 4'],
  ['C1 in a value', '1\na=\u009b31m\n\n', 'PROTOCOL_CONTROL_BYTE', 2, '0x9b at byte 4'],
  ['a control byte in a key', '1\na\u0001b=1\n\n', 'PROTOCOL_CONTROL_BYTE', 2, '0x01 at byte 2'],
  ['Latin-1', Buffer.from('1\na=\xe9\n\n', 'latin1'), 'PROTOCOL_ENCODING_INVALID', 2, 'not valid UTF-8'],
  ['an overlong "/"', Buffer.from('1\na=\xc0\xaf\n\n', 'latin1'), 'PROTOCOL_ENCODING_INVALID', 2, 'not valid UTF-8'],
  ['half a surrogate pair', Buffer.from('1\na=\xed\xa0\x80\n\n', 'latin1'), 'PROTOCOL_ENCODING_INVALID', 2, 'UTF-8'],
  [
    'a character that the line cuts',
    Buffer.from('1\na=\xe2\x82\n\n', 'latin1'),
    'PROTOCOL_ENCODING_INVALID',
    2,
    'UTF-8',
  ],
  ['an end in the count', '1', 'PROTOCOL_TRUNCATED', 1, 'a count of pairs'],
  ['an end behind the count', '1\n', 'PROTOCOL_TRUNCATED', 2, 'pair 1 of 1'],
  ['an end in a pair', '1\na=', 'PROTOCOL_TRUNCATED', 2, 'pair 1 of 1'],
  ['an end before the empty line', '1\na=1\n', 'PROTOCOL_TRUNCATED', 3, 'an empty line'],
]

describe('refuses, wherever the wire is cut,', () => {
  test.each(REFUSALS)('%s', (_, wire, code, line, words) => {
    const bytes = Buffer.from(wire)
    const whole = outcomeOf(new KvBlockParser(), [bytes])

    expect(whole).toMatchObject({ code, line })
    const { message } = whole as { message: string }
    expect(message).toContain(words)
    expect(message).toMatch(/^expected .*, found .* \(line \d+\)$/)
    for (const { cut, chunks } of everyCut(bytes)) {
      expect([cut, outcomeOf(new KvBlockParser(), chunks)]).toEqual([cut, whole])
    }
  })

  test.each(
    [...Array(32).keys(), 0x7f]
      .filter((byte) => byte !== 0x0a)
      .map((byte) => [byte.toString(16).padStart(2, '0'), byte]),
  )('the byte 0x%s in a value', (_, byte) => {
    const wire = Buffer.concat([Buffer.from('1\na=x'), Buffer.of(byte as number), Buffer.from('y\n\n')])

    expect(parse(wire)).toMatchObject({ code: 'PROTOCOL_CONTROL_BYTE', line: 2 })
  })
})

test('a refusal never shows a value, whatever is wrong with the line', () => {
  const secrets = [
    '1\npassword=hunter2\rx\n\n',
    '1\npassword hunter2\n\n',
    '2\npassword=hunter2\npassword=hunter2\n\n',
    'password=hunter2\n',
    '1\na=1\nhunter2=1\n',
    `1\npassword=hunter2${'x'.repeat(9_000)}`,
  ]

  for (const wire of secrets) expect(JSON.stringify(parse(wire))).not.toContain('hunter2')
})

test('line numbers count from the top of the message when others have read lines of it', () => {
  const refusal = refusalOf(() => new KvBlockParser(LIMITS, 1).push(Buffer.from('2\na=1\na=2\n\n')))

  expect(refusal.facts).toMatchObject({ line: 4, firstLine: 3 })
})

describe('the end of what a peer sends', () => {
  test('is no error before the first byte, nor after a whole block', () => {
    const untouched = new KvBlockParser()
    const whole = new KvBlockParser()
    whole.push(BLOCK)

    expect(() => untouched.end()).not.toThrow()
    expect(() => whole.end()).not.toThrow()
  })

  test('is no second error after a refusal', () => {
    const parser = new KvBlockParser()
    refusalOf(() => parser.push(Buffer.from('x\n')))

    expect(() => parser.end()).not.toThrow()
  })
})

test('has started with the first byte, and not with an empty chunk', () => {
  const parser = new KvBlockParser()

  parser.push(Buffer.alloc(0))
  expect(parser.started).toBe(false)

  parser.push(Buffer.from('1'))
  expect(parser.started).toBe(true)
})

test.each([
  ['a block', BLOCK],
  ['a refusal', Buffer.from('x\n')],
])('being fed after %s is a bug, not a refusal', (_, wire) => {
  const parser = new KvBlockParser()
  outcomeOf(parser, [wire])

  expect(() => parser.push(wire)).toThrow(/^bug: /)
})

describe('limits, each at its edge', () => {
  const limits = { maxPairs: 3, maxLineBytes: 5, maxBlockBytes: 16 }
  const parsed = (wire: string) => outcomeOf(new KvBlockParser(limits), [Buffer.from(wire)])

  test.each([
    ['a line of the limit', '1\nab=cd\n\n'],
    ['a block of the limit', '3\na=b\nc=d\ne=fg\n\n'],
    ['as many pairs as the limit', '3\na=\nb=\nc=\n\n'],
  ])('%s is accepted', (_, wire) => {
    expect(parsed(wire)).toHaveProperty('result')
  })

  test.each([
    ['a line', '1\nab=cde\n\n', 'PROTOCOL_LINE_TOO_LONG', 2],
    ['a line that never ends', `1\n${'x'.repeat(1000)}`, 'PROTOCOL_LINE_TOO_LONG', 2],
    ['a block, by the last LF', '3\na=b\nc=d\ne=fgh\n\n', 'PROTOCOL_BLOCK_TOO_LARGE', 5],
    ['a block, by a pair', '3\nab=cd\nef=gh\nij=k', 'PROTOCOL_BLOCK_TOO_LARGE', 4],
    ['the pairs', '4\n', 'PROTOCOL_COUNT_TOO_LARGE', 1],
  ])('%s over the limit is refused, wherever it is cut', (_, wire, code, line) => {
    for (const { cut, chunks } of everyCut(Buffer.from(wire))) {
      expect([cut, outcomeOf(new KvBlockParser(limits), chunks)]).toMatchObject([cut, { code, line }])
    }
  })

  test('a block over the limit is refused however few bytes of it are left for a pair, and however they lie in memory', () => {
    const wire = `40\n${'k=v\n'.repeat(40)}`
    const outcomes: unknown[] = []

    for (let leftBytes = 0; leftBytes < 4; leftBytes += 1) {
      for (let at = 0; at < 4; at += 1) {
        const memory = Buffer.alloc(200)
        const chunk = memory.subarray(at, at + memory.write(wire, at))
        const parser = new KvBlockParser({ ...LIMITS, maxBlockBytes: 3 + leftBytes })
        outcomes.push(outcomeOf(parser, [chunk]))
      }
    }

    expect(outcomes).toEqual(Array(16).fill(expect.objectContaining({ code: 'PROTOCOL_BLOCK_TOO_LARGE' })))
  })
})

/** Counts what the parser makes the runtime do: bytes copied, bytes searched for LF, bytes of memory taken. */
const countWork = () => {
  const work = { copied: 0, searched: 0, taken: 0 }
  const { copy, indexOf } = Buffer.prototype
  const { allocUnsafe } = Buffer
  jest.spyOn(Buffer.prototype, 'copy').mockImplementation(function (this: Buffer, ...parameters) {
    const copied = copy.apply(this, parameters)
    work.copied += copied
    return copied
  })
  jest.spyOn(Buffer.prototype, 'indexOf').mockImplementation(function (this: Buffer, ...parameters) {
    work.searched += this.length
    return indexOf.apply(this, parameters as Parameters<typeof indexOf>)
  })
  jest.spyOn(Buffer, 'allocUnsafe').mockImplementation((bytes) => {
    work.taken += bytes
    return allocUnsafe(bytes)
  })
  for (const name of ['concat', 'from', 'alloc'] as const) {
    jest.spyOn(Buffer, name).mockImplementation(() => {
      throw new Error(`the parser made bytes with Buffer.${name}`)
    })
  }
  return work
}

describe('work, counted in bytes', () => {
  /** 60 pairs of 1000 bytes, near the limit of a block. */
  const LARGE = Buffer.from(
    `60\n${Array.from({ length: 60 }, (_, index) => `key${index}=${'v'.repeat(1000)}\n`).join('')}\n`,
  )

  test('nothing is copied of lines that are whole in a chunk', () => {
    const parser = new KvBlockParser()
    const work = countWork()

    const parsed = parser.push(LARGE)

    expect(parsed?.block.size).toBe(60)
    expect(work).toMatchObject({ copied: 0, taken: 0 })
  })

  test('of two chunks only the line between them is copied, once', () => {
    const chunks = [LARGE.subarray(0, 30_000), LARGE.subarray(30_000)]
    const parser = new KvBlockParser()
    const work = countWork()

    for (const chunk of chunks) parser.push(chunk)

    expect(work.copied).toBeGreaterThan(1000)
    expect(work.copied).toBeLessThan(2200) // the line, and what was carried once more into the larger buffer
  })

  test('one byte at a time, every byte is searched once and copied twice at most', () => {
    const chunks = byteByByte(LARGE)
    const parser = new KvBlockParser()
    const work = countWork()

    const size = chunks.reduce<number | undefined>((_, chunk) => parser.push(chunk)?.block.size, undefined)

    expect(size).toBe(60)
    expect(work.copied).toBeLessThanOrEqual(2 * LARGE.length)
    // Finding the LF, and finding the "=" of each line.
    expect(work.searched).toBeLessThanOrEqual(2 * LARGE.length)
    expect(work.taken).toBeLessThan(4096) // one buffer that doubled up to the longest line, and was used again
  })

  test.each([
    ['a count of a thousand million', '1000000000\n', 0],
    ['a line of 64 MiB in one chunk', `1\n${'x'.repeat(64 * 1024 * 1024)}`, 0],
    ['a count of 64 MiB in one chunk', '9'.repeat(64 * 1024 * 1024), 0],
  ])('%s costs no memory, and no more than the limit is looked at', (_, text, taken) => {
    const wire = Buffer.from(text)
    const parser = new KvBlockParser()
    const work = countWork()

    let code = ''
    try {
      parser.push(wire)
    } catch (error) {
      code = (error as { code: string }).code
    }
    jest.restoreAllMocks()

    expect(code).toMatch(/TOO_L/)
    expect(work.taken).toBe(taken)
    expect(work.searched).toBeLessThan(3 * LIMITS.maxLineBytes)
  })

  test('a line without an end keeps no more than the limit, however it comes', () => {
    const chunk = Buffer.alloc(100, 'x')
    const head = Buffer.from('1\n')
    const parser = new KvBlockParser()
    const work = countWork()

    let pushes = 0
    try {
      parser.push(head)
      for (; pushes < 1_000_000; pushes += 1) parser.push(chunk)
    } catch {
      // Which refusal it is has its own test.
    }
    jest.restoreAllMocks()

    expect(pushes).toBe(Math.floor(LIMITS.maxLineBytes / chunk.length))
    expect(work.taken).toBeLessThanOrEqual(3 * LIMITS.maxLineBytes)
  })
})

describe('many pairs at once', () => {
  const LONG = Array.from(
    { length: 12 },
    (_, index) => `key-of-some-length-${index}=a value that is not short, ${index}`,
  )
  const SAME_HASH = keysOfOneHash(12)
  const block = (lines: readonly string[], count = lines.length): string => `${count}\n${lines.join('\n')}\n\n`
  const inPlace = (line: string, at = 6): string[] => [...LONG.slice(0, at), line, ...LONG.slice(at)]

  // What is one after the other looked at in the one case is taken in one go in the other.
  test.each<[string, string]>([
    ['nothing is wrong', block(LONG)],
    ['something stands behind the block', `${block(LONG)}key=value\n and more`],
    ['a key stands twice', block(inPlace('key-of-some-length-3=again'))],
    ['keys have one hash', block(SAME_HASH.map((key, index) => `${key}=${index}`))],
    ['a key of one hash with others stands twice', block([...SAME_HASH, SAME_HASH[4]].map((key) => `${key}=again`))],
    ['a line has no "="', block(inPlace('a line without one'))],
    ['a line has its "=" in front', block(inPlace('=value'))],
    ['a line is empty', block(inPlace(''))],
    ['a value is empty', block(inPlace('key='))],
    ['a value is not ASCII', block(inPlace('clé=donnée'))],
    ['a value is no UTF-8', block(inPlace('k=\u00ff'))],
    ['a value holds a control character', block(inPlace('k=a\tb'))],
    ['a line ends with CR LF', block(inPlace('k=v\r'))],
    ['a value holds a DEL', block(inPlace('k=\u007f'))],
    ['a line is as long as it may be', block(inPlace(`k=${'v'.repeat(LIMITS.maxLineBytes - 2)}`))],
    ['a line is a byte too long', block(inPlace(`k=${'v'.repeat(LIMITS.maxLineBytes - 1)}`))],
    ['there are fewer pairs than announced', block(LONG, LONG.length + 1)],
    ['there are more pairs than announced', block(LONG, LONG.length - 1)],
    ['it stops in a line', block(LONG).slice(0, 300)],
    ['it stops behind a line', block(LONG).slice(0, -1)],
    ['the block is too large', block(Array.from({ length: 256 }, (_, index) => `k${index}=${'v'.repeat(260)}`))],
    ['the block is as large as it may be', largest()],
    ['the block is a byte too large', largest(1)],
  ])('come out as one byte at a time when %s', (_, text) => {
    const wire = Buffer.from(text, text.includes('\u00ff') ? 'latin1' : 'utf8')

    const whole = outcomeOf(new KvBlockParser(), [wire])

    expect(whole).toEqual(outcomeOf(new KvBlockParser(), byteByByte(wire)))
  })

  /** A block of exactly `maxBlockBytes`, and so many more. */
  function largest(moreBytes = 0): string {
    const lines = Array.from({ length: 8 }, (_, index) => `${index}=${'v'.repeat(8000)}`)
    const restBytes = LIMITS.maxBlockBytes - block([...lines, 'r=']).length + moreBytes
    return block([...lines, `r=${'v'.repeat(restBytes)}`])
  }
})

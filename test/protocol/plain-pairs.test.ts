import { describe, expect, test } from '@jest/globals'

import { PairTable } from '../../lib/protocol/pair-table.ts'
import { takePlainPairs } from '../../lib/protocol/plain-pairs.ts'
import { asMap } from './as-map.ts'
import { keysOfOneHash } from './one-hash.ts'

const MOST_LINE_BYTES = 60
const MOST_PAIRS = 100

/** What was taken, as text, and where it stopped. */
type Taken = readonly [pairs: string, next: number]

const take = (bytes: Buffer, start: number, end: number, mostPairs = MOST_PAIRS): Taken => {
  const table = new PairTable(mostPairs)
  const next = takePlainPairs(bytes, start, end, MOST_LINE_BYTES, mostPairs, table)
  return [[...table].map((pair) => pair.join('=')).join('\n'), next]
}

/** The same a line and a byte at a time. */
const takeByLine = (bytes: Buffer, start: number, end: number, mostPairs = MOST_PAIRS): Taken => {
  const lines: string[] = []
  const keys = new Set<string>()
  let lineAt = start
  while (lines.length < mostPairs) {
    const lineFeed = bytes.subarray(0, end).indexOf('\n', lineAt)
    if (lineFeed === -1) break
    const line = bytes.subarray(lineAt, lineFeed)
    const equals = line.indexOf('=')
    const isGood = equals > 0 && line.length <= MOST_LINE_BYTES && line.every((byte) => byte >= 0x20 && byte < 0x7f)
    // The four bytes with the "=" among them are looked at as one, or not at all.
    if (!isGood || lineAt + equals - (equals % 4) > end - 4) break
    const key = line.toString('latin1', 0, equals)
    if (keys.has(key)) break
    keys.add(key)
    lines.push(line.toString('latin1'))
    lineAt = lineFeed + 1
  }
  return [lines.join('\n'), lineAt]
}

describe('good pairs in plain ASCII', () => {
  test('are taken up to a byte that is wrong, whichever it is, wherever it stands and however the bytes lie in memory', () => {
    const wrong: string[] = []
    const good = 'k=v\nlonger=value\nanother-key=and a value that is longer, twenty\nk2==\nlast=\nz=1\n'
    for (let byte = 0; byte < 256; byte += 1) {
      for (let at = 0; at < good.length; at += 1) {
        for (let start = 0; start < 4; start += 1) {
          const bytes = Buffer.from(`${'-'.repeat(start)}${good}`, 'latin1')
          bytes[start + at] = byte
          const taken = take(bytes, start, bytes.length)
          if (taken.join() !== takeByLine(bytes, start, bytes.length).join())
            wrong.push(`${byte} at ${at} from ${start}`)
        }
      }
    }

    expect(wrong).toEqual([])
  })

  test('are taken whatever the lengths of keys and values, and no more of them than are asked for', () => {
    const wrong: string[] = []
    for (let keyBytes = 0; keyBytes < 24; keyBytes += 1) {
      for (let valueBytes = 0; valueBytes < 45; valueBytes += 1) {
        const pair = (index: number): string => `${String(index).padStart(keyBytes, 'k')}=${'v'.repeat(valueBytes)}\n`
        const bytes = Buffer.from(`--${Array.from({ length: 6 }, (_, index) => pair(index)).join('')}`)
        for (let most = 0; most <= 7; most += 1) {
          for (let cut = 0; cut < 5; cut += 1) {
            const wanted = takeByLine(bytes, 2, bytes.length - cut, most)
            if (take(bytes, 2, bytes.length - cut, most).join() !== wanted.join())
              wrong.push(`${keyBytes}, ${valueBytes}, ${most}, ${cut}`)
          }
        }
      }
    }

    expect(wrong).toEqual([])
  })

  test('are none where there is not a byte to look at, or only a few', () => {
    for (const text of ['xxxxxxxxxxxx', 'k=\nk=\nk=\nk=\n', '\n\n\n\n\n\n\n\n\n\n\n\n', '============']) {
      const bytes = Buffer.from(text)
      for (let start = 0; start < bytes.length; start += 1) {
        for (let end = start; end <= bytes.length; end += 1) {
          expect([text, take(bytes, start, end)]).toEqual([text, takeByLine(bytes, start, end)])
        }
      }
    }
  })

  test('end before the first of several bytes that are not plain, and none of those hides in what the others borrow or carry', () => {
    const odd = [0x00, 0x0a, 0x1f, 0x20, 0x3c, 0x3d, 0x3e, 0x7e, 0x7f, 0x80, 0x9f, 0xa0, 0xbd, 0xe0, 0xff]
    const wrong: string[] = []
    for (const place of [16, 20, 26]) {
      for (const first of odd)
        for (const second of odd)
          for (const third of odd)
            for (const fourth of odd) {
              const bytes = Buffer.from('first=1\nsecond=2\nkey-of-a-pair=its value, and more of it\nk=v\n')
              bytes.set([first, second, third, fourth], place)
              if (take(bytes, 0, bytes.length).join() !== takeByLine(bytes, 0, bytes.length).join())
                wrong.push(`${first} ${second} ${third} ${fourth} at ${place}`)
            }
    }

    expect(wrong).toEqual([])
  })

  test('are not taken for another pair that has the hash of their key', () => {
    const [one = '', two = ''] = keysOfOneHash(2)
    const bytes = Buffer.from(`${one}=1\n${two}=2\nand=more\n`)
    const table = new PairTable(3)

    const next = takePlainPairs(bytes, 0, bytes.length, MOST_LINE_BYTES, 3, table)

    // Who takes it has to look at both keys.
    expect([...asMap(table)]).toEqual([[one, '1']])
    expect(next).toBe(`${one}=1\n`.length)
  })
})

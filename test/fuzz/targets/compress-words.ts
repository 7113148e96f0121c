/** The words with which clients ask for compression: recognised or refused, and never more than a name and two numbers. */

import { isDeepStrictEqual } from 'node:util'

import {
  COMPRESS_WORDS_KEY,
  readCompression,
  readCompressWords,
  writeCompressWords,
} from '../../../lib/protocol/index.ts'
import { type Target, whole } from '../target.ts'

const WORDS = [
  ...[
    'gzip',
    'pigz',
    'zstd',
    'lz4',
    'xz',
    '/usr/bin/gzip',
    '../gzip',
    'gzip;id',
    'bzip2',
    '-c',
    '-3',
    '-9',
    '-19',
    '-T4',
    '--threads=4',
  ],
  ...[
    '-p',
    '--processes',
    '-T',
    '--fast',
    '-I',
    '-d',
    '--',
    '$(id)',
    '`id`',
    '|',
    '>',
    '&&',
    '-99999999999',
    ':3',
    ':',
    '\t',
    '\n',
    '\u00a0',
  ],
]

export const COMPRESS_WORDS: Target = {
  name: 'compress-words',
  side: 'server',
  does: 'the words of a program that compresses, which are recognised and never run',
  inputs: 40_000,
  quickInputs: 800,
  maxInputBytes: 8192,
  dictionary: [...WORDS, ' ', ''],
  isPiecewise: false,
  compose: (random) =>
    Buffer.from(
      Array.from({ length: random.between(1, 6) }, () => random.pick(WORDS)).join(random.pick([' ', ' ', '  ', ''])),
    ),
  feed: (chunks, trace) => {
    const text = whole(chunks).toString()
    const isByName = text.includes(':')
    const compression = isByName ? readCompression(text, 'agent-stream-compress') : readCompressWords(text)
    const { name, level, threads, ...others } = { threads: undefined, level: undefined, ...compression }
    const isPlain =
      /^[a-z0-9]{2,4}$/.test(name) &&
      [level, threads].every((number) => number === undefined || Number.isInteger(number))
    if (!isPlain || Object.keys(others).length > 0)
      throw new Error(`${COMPRESS_WORDS_KEY} became ${JSON.stringify(compression)}`)
    const again = readCompressWords(writeCompressWords(compression))
    if (!isDeepStrictEqual({ ...again }, { name, ...(level === undefined ? {} : { level }) }))
      throw new Error('the words change when they are written')
    trace.say(JSON.stringify(compression))
    return `read: ${name}`
  },
}

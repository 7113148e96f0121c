/** Archives for the fuzzer: composed from members right and wrong, and mended after they were changed. */

import { crc32 } from 'node:zlib'

import { long, mark, member, METADATA, metadataMembers, pax } from '../../archive/tar-forge.ts'
import { endChunk, payloadChunk, sparseChunk } from '../../archive/xbstream-writer.ts'
import type { SeededRandom } from '../../faults/seeded-random.ts'

const BLOCK_BYTES = 512

export const PATHS = [
  ...[
    'a',
    'b',
    'a/b',
    'shop/t.ibd',
    'shop/T.ibd',
    'SHOP/t.ibd',
    'ibdata1',
    './a',
    'a/',
    './',
    '.',
    '..',
    '../evil',
    '/evil',
  ],
  ...[
    'a/../../evil',
    './../evil',
    'a//b',
    'a/./b',
    'a\\..\\evil',
    'a\nb',
    'a\0b',
    'a\u009bb',
    'a\u202eb',
    '\ufeffa',
    'a\ufffdb',
  ],
  ...[
    'proc/self/fd/3',
    'é'.normalize('NFC'),
    'é'.normalize('NFD'),
    'a'.repeat(255),
    'a'.repeat(256),
    `${'d/'.repeat(40)}f`,
  ],
  ...['xtrabackup_info', 'xtrabackup_checkpoints', 'backup-my.cnf', 'ib_logfile0', 'xtrabackup_binlog_info', ''],
]

const TYPES = [
  '0',
  '0',
  '0',
  '0',
  '5',
  '5',
  '\0',
  '7',
  '1',
  '2',
  '3',
  '4',
  '6',
  'S',
  'M',
  'V',
  'D',
  'N',
  'X',
  'Z',
  'x',
  'g',
  'L',
  'K',
]

const SIZES: readonly Buffer[] = [
  '00000000000\0',
  '77777777777\0',
  '00000001000\0',
  '           \0',
  '-0000000001\0',
  '000000000 1\0',
]
  .map((text) => Buffer.from(text))
  .concat(
    [
      '800000000000000000000200',
      '80000000001fffffffffffff',
      '800000000020000000000000',
      'ffffffffffffffffffffffff',
    ].map((hex) => Buffer.from(hex, 'hex')),
  )

export const TAR_WORDS: readonly Buffer[] = [
  ...PATHS.map((path) => Buffer.from(path)),
  ...SIZES,
  ...[
    'ustar\x0000',
    'ustar  \0',
    ' path=',
    '19 path=../evil\n',
    '14 size=1234\n',
    '18 linkpath=/etc\n',
    '25 GNU.sparse.size=1234\n',
    '13 comment=a\n',
    '9 path=a\n',
    '9 path=\n',
  ].map((word) => Buffer.from(word)),
  Buffer.alloc(BLOCK_BYTES),
  Buffer.alloc(2 * BLOCK_BYTES),
]

const anyMember = (random: SeededRandom): Buffer => {
  const draw = random.next()
  const body = Buffer.alloc(random.next() < 0.3 ? 0 : random.spreadBetween(1, 1500), 'x')
  if (draw < 0.1) return random.pick(metadataMembers())
  if (draw < 0.15) return mark(random.pick([{}, { engine: 'directory', entries: 1, bytes: 3 }, { entries: 2 }]))
  if (draw < 0.3) {
    const records = Array.from({ length: random.between(1, 3) }, (): [string, string] => [
      random.pick(['path', 'path', 'linkpath', 'size', 'mtime', 'comment', 'SCHILY.xattr.user.a', 'GNU.sparse.major']),
      random.pick([...PATHS, '0', '3', '512', '9007199254740993', '-1', '1.5']),
    ])
    return pax(records, random.pick(['x', 'x', 'x', 'g']))
  }
  if (draw < 0.35) return long(random.pick(['L', 'K']), random.pick(PATHS))
  const typeflag = random.pick(TYPES)
  const isBare = !['0', '\0', '7', 'Z', 'x', 'g', 'L', 'K'].includes(typeflag) && random.next() < 0.9
  return member(
    {
      name: random.pick(PATHS).slice(0, 100),
      typeflag,
      linkName: random.pick(['', '..', '/etc/passwd', 'a']),
      prefix: random.next() < 0.1 ? random.pick(PATHS).slice(0, 150) : '',
      ...(random.next() < 0.1 ? { size: random.pick(SIZES) } : {}),
      mode: random.pick([0o640, 0o4777, 0o7777]),
    },
    isBare ? '' : body,
  )
}

/** @param kind `plain`: members alone, without metadata and end, each name once */
export const anyTar = (random: SeededRandom, kind: 'plain' | 'any' = 'any'): Buffer => {
  if (kind === 'plain') {
    const names = new Set(Array.from({ length: random.between(0, 4) }, () => random.pick(PLAIN_PATHS)))
    return Buffer.concat([...names].map((name) => plainMember(random, name)))
  }
  const members = Array.from({ length: random.between(0, 6) }, () => anyMember(random))
  const metadata = random.next() < 0.5 ? metadataMembers(Object.keys(METADATA)) : []
  const end = random.next() < 0.8 ? Buffer.alloc(2 * BLOCK_BYTES) : Buffer.alloc(0)
  return Buffer.concat([...members, ...metadata, end])
}

const PLAIN_PATHS = [
  'a',
  'b/c',
  'b/d',
  'e/',
  'e/f',
  './g',
  'h h',
  'ü',
  '-i',
  `${'j'.repeat(99)}`,
  `${'k/'.repeat(20)}l`,
  'm.',
  '*',
]

/** One of the ways in which programs write a name and a size, with oddities that are not refused. */
const plainMember = (random: SeededRandom, name: string): Buffer => {
  const isDirectory = name.endsWith('/')
  const body = Buffer.alloc(isDirectory || random.next() < 0.2 ? 0 : random.spreadBetween(1, 1500), 'x')
  const shape = {
    typeflag: isDirectory ? '5' : random.pick(['0', '0', '\0', '7']),
    magic: random.pick(['ustar\x0000', 'ustar  \0', '\0\0\0\0\0\0\0\0']),
    mode: random.pick([0o640, 0o755, 0o4777, 0o7777]),
  }
  const size =
    random.next() < 0.2
      ? {
          size: random.pick([
            ` ${body.length.toString(8).padStart(10, ' ')} `,
            `${body.length.toString(8).padStart(11, '0')} `,
            `${body.length.toString(8)}\0`,
          ]),
        }
      : {}
  const forged = { ...shape, ...('size' in size ? { size: Buffer.from(size.size.padEnd(12, '\0')) } : {}) }
  switch (random.between(0, 4)) {
    case 0:
      return Buffer.concat([
        pax([['path', name], ...(random.next() < 0.3 ? ([['size', String(body.length)]] as const) : [])]),
        member({ ...forged, name: 'other' }, body),
      ])
    case 1:
      return Buffer.concat([long('L', name), member({ ...forged, name: name.slice(0, 90), magic: 'ustar  \0' }, body)])
    case 2:
      return member({ ...forged, name, prefix: shape.magic === 'ustar\x0000' ? 'p/q' : 'ignored' }, body)
    case 3:
      return Buffer.concat([
        pax([
          ['mtime', '1.5'],
          ['comment', 'c'],
        ]),
        pax([['comment', 'a comment']], 'g').subarray(0, 0),
        member({ ...forged, name }, body),
      ])
    default:
      return member({ ...forged, name }, body)
  }
}

/** Makes the checksum of everything right that looks like a header. */
export const mendTar = (bytes: Buffer): Buffer => {
  for (let at = 0; at + BLOCK_BYTES <= bytes.length; at += BLOCK_BYTES) {
    const block = bytes.subarray(at, at + BLOCK_BYTES)
    if (block.toString('latin1', 257, 262) !== 'ustar') continue
    block.write('        ', 148)
    let sum = 0
    for (const byte of block) sum += byte
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  }
  return bytes
}

const MAGIC = 'XBSTCK01'

export const XBSTREAM_WORDS: readonly Buffer[] = [
  ...[`${MAGIC}\0P`, `${MAGIC}\0E`, `${MAGIC}\0S`, `${MAGIC}\x01Z`, MAGIC, 'XBST'].map((word) =>
    Buffer.from(word, 'latin1'),
  ),
  ...PATHS.map((path) => Buffer.from(path)),
  ...[0, 1, 511, 512, 131_072, 131_073, 2 ** 32 - 1].map((number) => {
    const field = Buffer.alloc(4)
    field.writeUInt32LE(number)
    return field
  }),
]

const anyChunk = (random: SeededRandom, offsets: Map<string, number>): Buffer => {
  const path = random.next() < 0.8 ? random.pick(['a', 'b', ...Object.keys(METADATA)]) : random.pick(PATHS)
  const offset = random.next() < 0.9 ? (offsets.get(path) ?? 0) : random.between(0, 3000)
  const payload = Buffer.alloc(random.spreadBetween(1, 1500), 'p')
  const claims =
    random.next() < 0.1
      ? random.pick([
          { payloadBytes: 2n ** 63n },
          { payloadBytes: 2n ** 39n },
          { crc: 1 },
          { pathBytes: 600 },
          { offset: 2n ** 53n },
          { type: 'Z', flags: 1 },
          { type: 'Z' },
        ])
      : {}
  const draw = random.next()
  if (draw < 0.3) return endChunk(path, claims)
  if (draw < 0.85) {
    offsets.set(path, offset + payload.length)
    return payloadChunk(path, offset, payload, claims)
  }
  const skip = random.pick([0, 1, 512, 2 ** 32 - 1])
  offsets.set(path, offset + skip + payload.length)
  const map: [number, number][] =
    random.next() < 0.5
      ? [[skip, payload.length]]
      : [
          [skip, 1],
          [0, payload.length - 1],
        ]
  return sparseChunk(path, offset, map, payload, {
    ...claims,
    ...(random.next() < 0.1 ? { mapEntries: random.pick([0, 131_072, 131_073]) } : {}),
  })
}

export const anyXbstream = (random: SeededRandom): Buffer => {
  const offsets = new Map<string, number>()
  const chunks = Array.from({ length: random.between(0, 8) }, () => anyChunk(random, offsets))
  const metadata =
    random.next() < 0.5
      ? Object.entries(METADATA)
          .filter(([name]) => !offsets.has(name))
          .map(([name, text]) => Buffer.concat([payloadChunk(name, 0, Buffer.from(text)), endChunk(name)]))
      : []
  const ends = random.next() < 0.5 ? [...offsets.keys()].map((name) => endChunk(name)) : []
  return Buffer.concat([...chunks, ...metadata, ...ends])
}

/** Makes the lengths and checksums of payload chunks right: each reaches to the next magic, or to the end. */
export const mendXbstream = (bytes: Buffer): Buffer => {
  for (let at = bytes.indexOf(MAGIC); at !== -1; ) {
    const next = bytes.indexOf(MAGIC, at + MAGIC.length)
    const end = next === -1 ? bytes.length : next
    const isPayload = at + 14 <= bytes.length && bytes[at + 9] === 0x50
    const payloadAt = isPayload ? at + 14 + bytes.readUInt32LE(at + 10) + 20 : Number.POSITIVE_INFINITY
    if (payloadAt <= end) {
      bytes.writeBigUInt64LE(BigInt(end - payloadAt), payloadAt - 20)
      bytes.writeUInt32LE(crc32(bytes.subarray(payloadAt, end)), payloadAt - 4)
    }
    at = next
  }
  return bytes
}

import { once } from 'node:events'

import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { pack } from 'tar-stream'

import { type TarHeader, TarHeaderWriter } from '../../lib/archive/tar-header-writer.ts'

/** What tar-stream writes for the same member: its header, and pax where it needs that. */
const byTarStream = async (header: TarHeader): Promise<Buffer> => {
  const out = pack({ highWaterMark: Number.POSITIVE_INFINITY })
  out.on('error', () => undefined)
  out.read()
  await once(out, 'open')
  const isDirectory = header.type === 'directory'
  const name = isDirectory ? `${header.path}/` : header.path
  const seconds = Math.floor(header.mtimeMs / 1000)
  const pax: Record<string, string> = {}
  const ustarSeconds = Math.min(Math.max(seconds, 0), 2 ** 31 - 1)
  if (seconds !== ustarSeconds) pax['mtime'] = String(seconds)
  for (const key of ['uid', 'gid'] as const) if (header[key] > 0o777777) pax[key] = String(header[key])
  for (const key of ['uname', 'gname'] as const) {
    const owner = header[key]
    if (owner !== undefined && !/^[ -~]{0,31}$/.test(owner)) pax[key] = owner
  }
  const owner = (key: 'uname' | 'gname') =>
    header[key] === undefined || pax[key] !== undefined ? {} : { [key]: header[key] }
  out
    .entry(
      {
        name,
        type: header.type,
        mode: (header.mode & 0o7777) | (isDirectory ? 0o040000 : 0o100000),
        mtime: new Date(ustarSeconds * 1000),
        size: isDirectory ? 0 : header.sizeBytes,
        uid: Math.min(header.uid, 0o777777),
        gid: Math.min(header.gid, 0o777777),
        ...owner('uname'),
        ...owner('gname'),
        ...(Object.keys(pax).length > 0 || (isDirectory && name.length > 100) ? { pax } : {}),
      },
      () => undefined,
    )
    .on('error', () => undefined)
  const pieces: Buffer[] = []
  // It opens the member in its own time, and never takes its body here.
  await new Promise((resolve) => setImmediate(resolve))
  for (let piece = out.read(); piece !== null; piece = out.read()) pieces.push(piece as Buffer)
  out.destroy()
  return Buffer.concat(pieces)
}

const component = fc.oneof(
  fc.stringMatching(/^[a-z_#]{1,12}$/),
  fc.stringMatching(/^[a-z]{90,130}$/),
  fc.constantFrom('t.ibd', 'größe', '表', 'with space', `${'é'.repeat(50)}`),
)
const id = fc.oneof(fc.nat(70_000), fc.constantFrom(0o777777, 0o1000000, 4_294_967_294))
const owner = fc.option(fc.oneof(fc.constant('mysql'), fc.string({ maxLength: 40 }), fc.constant('jürgen')), {
  nil: undefined,
})

const headers: fc.Arbitrary<TarHeader> = fc
  .record({
    path: fc.array(component, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/')),
    type: fc.constantFrom('file', 'file', 'directory'),
    sizeBytes: fc.oneof(fc.nat(100_000), fc.constantFrom(0o77777777777, 0o100000000000, 2 ** 53 - 1)),
    mode: fc.nat(0o177777),
    mtimeMs: fc.oneof(fc.integer({ min: -5000, max: 5000 }), fc.nat(2 ** 42)),
    uid: id,
    gid: id,
    uname: owner,
    gname: owner,
  })
  .map(({ uname, gname, ...rest }) => ({
    ...rest,
    ...(uname === undefined ? {} : { uname }),
    ...(gname === undefined ? {} : { gname }),
  })) as fc.Arbitrary<TarHeader>

test('writes every header as tar-stream does, whichever came before it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(headers, { minLength: 1, maxLength: 4 }), async (list) => {
      const writer = new TarHeaderWriter()

      for (const header of list) {
        const wanted = await byTarStream(header)
        expect({ header, same: writer.write(header).equals(wanted) }).toEqual({ header, same: true })
      }
    }),
    { numRuns: 1000 },
  )
})

test.each<[string, Partial<TarHeader>]>([
  ['name', { path: 'another' }],
  ['size', { sizeBytes: 77 }],
  ['mode', { mode: 0o600 }],
  ['time', { mtimeMs: 1_709_208_000_000 }],
  ['user', { uid: 7 }],
  ['group', { gid: 7 }],
  ["user's name", { uname: 'root' }],
  ["group's name", { gname: 'root' }],
  ['type', { type: 'directory' }],
])('writes a header that differs from the one before in its %s alone', async (_, change) => {
  const first: TarHeader = { path: 'a', type: 'file', sizeBytes: 1, mode: 0o640, mtimeMs: 0, uid: 0, gid: 0 }
  const writer = new TarHeaderWriter()
  writer.write(first)

  const written = writer.write({ ...first, ...change })

  expect(written.equals(await byTarStream({ ...first, ...change }))).toBe(true)
})

test('gives out blocks that the next header does not change', () => {
  const writer = new TarHeaderWriter()
  const header = { path: 'a', type: 'file', sizeBytes: 1, mode: 0o640, mtimeMs: 0, uid: 0, gid: 0 } as const
  const first = writer.write(header)
  const before = Buffer.from(first)

  writer.write({ ...header, path: 'another', sizeBytes: 77 })

  expect(first).toEqual(before)
})

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { type Receipt, restoreBackup, verifyBackup } from '../../lib/client/index.ts'
import { writeReceiptText } from '../../lib/client/receipt.ts'
import type { BackupError } from '../../lib/errors/index.ts'
import { archive as archiveOf, METADATA, mark, member, wholeBackup } from '../archive/tar-forge.ts'
import { fileChunks } from '../archive/xbstream-writer.ts'
import { SMALL_ARCHIVE, sha256 } from './scripted-agent.ts'

const TAR = wholeBackup()
const XBSTREAM = Buffer.concat(
  Object.entries({ 'shop/a.ibd': 'x'.repeat(700), ...METADATA }).map(([name, text]) =>
    fileChunks(name, Buffer.from(text), 300),
  ),
)

/** The same files under the names that MariaDB 11 gives them. */
const NEWER = archiveOf(
  mark(),
  ...Object.entries(METADATA).map(([name, text]) =>
    member({ name: name.replace('xtrabackup_', 'mariadb_backup_') }, text),
  ),
)

const receiptOf = (bytes: Buffer, changes: Partial<Record<keyof Receipt, unknown>> = {}): string =>
  writeReceiptText({
    receipt: 1,
    status: 'COMPLETE',
    proof: 'agent-verdict',
    sid: 'nightly',
    agent: 'kv-backup-agent/0.1.0',
    protocol: '0.77.0',
    format: bytes === XBSTREAM ? 'xbstream' : 'tar',
    encoding: 'framed',
    bytes: bytes.length,
    sha256: sha256(bytes),
    entries: bytes === XBSTREAM ? 6 : 8,
    files: bytes === XBSTREAM ? 6 : 7,
    engine: 'mariadb-backup',
    engineVersion: '10.11.19',
    coordinates: {},
    lsn: {},
    paddedFiles: 0,
    paddedBytes: 0,
    finishedAt: '2026-02-03T04:05:06.789Z',
    seconds: 1,
    ...changes,
  } as Receipt)

let directory: string
let file: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'verify-'))
  file = join(directory, 'backup.tar')
})
afterEach(() => rmSync(directory, { recursive: true }))

const put = (bytes: Buffer, receipt?: string): void => {
  writeFileSync(file, bytes)
  if (receipt !== undefined) writeFileSync(`${file}.receipt`, receipt)
}

const codeOf = (running: Promise<unknown>): Promise<string> =>
  running.then(
    () => 'taken',
    (error: BackupError) => error.code ?? String(error),
  )

describe('a file with its receipt', () => {
  test('is whole by the verdict of the agent', async () => {
    put(TAR, receiptOf(TAR))

    await expect(verifyBackup(file, { requireVerdict: true })).resolves.toMatchObject({
      path: file,
      format: 'tar',
      proof: 'agent-verdict',
      sha256: sha256(TAR),
      engine: 'mariadb-backup',
      engineVersion: '10.11.19',
      receipt: { sid: 'nightly' },
    })
  })

  test.each([
    ['tar', TAR],
    ['xbstream', XBSTREAM],
    ['tar with the names of MariaDB 11', NEWER],
  ])('stands where its own files say: %s', async (_, archive) => {
    put(archive)
    const { coordinates, lsn, format, members: entries, files } = await verifyBackup(file)
    put(archive, receiptOf(archive, { coordinates, lsn, format, entries, files }))

    await expect(verifyBackup(file)).resolves.toMatchObject({ proof: 'agent-verdict', receipt: { coordinates, lsn } })
    expect(lsn).toEqual({ from: '0', to: '44420', last: '50474' })
    expect(coordinates.binlogFile).toBeDefined()
  })

  test('may have it anywhere', async () => {
    put(TAR)
    const elsewhere = join(directory, 'elsewhere')
    writeFileSync(elsewhere, receiptOf(TAR))

    await expect(verifyBackup(file, { receipt: elsewhere })).resolves.toMatchObject({ proof: 'agent-verdict' })
  })

  test('is whole by itself when the receipt knows of no verdict', async () => {
    put(TAR, receiptOf(TAR, { proof: 'archive', encoding: 'octet' }))

    await expect(verifyBackup(file)).resolves.toMatchObject({ proof: 'archive', receipt: { encoding: 'octet' } })
  })

  test.each<[string, () => void, string]>([
    ['a byte too many', () => put(Buffer.concat([TAR, Buffer.of(0)]), receiptOf(TAR)), 'CLIENT_RECEIPT'],
    ['a whole block too many', () => put(Buffer.concat([TAR, Buffer.alloc(512)]), receiptOf(TAR)), 'CLIENT_RECEIPT'],
    ['a byte too few', () => put(TAR.subarray(0, -1), receiptOf(TAR)), 'CLIENT_RECEIPT'],
    ['nothing', () => put(Buffer.alloc(0), receiptOf(TAR)), 'CLIENT_RECEIPT'],
    ['another digest', () => put(TAR, receiptOf(TAR, { sha256: sha256(Buffer.of(1)) })), 'CLIENT_RECEIPT'],
    ['another format', () => put(TAR, receiptOf(TAR, { format: 'xbstream' })), 'CLIENT_RECEIPT'],
    ['other members', () => put(TAR, receiptOf(TAR, { entries: 9 })), 'CLIENT_RECEIPT'],
    ['other files', () => put(TAR, receiptOf(TAR, { files: 8 })), 'CLIENT_RECEIPT'],
    [
      'another binary log',
      () => put(TAR, receiptOf(TAR, { coordinates: { binlogFile: 'bin.000008' } })),
      'CLIENT_RECEIPT',
    ],
    ['another position', () => put(TAR, receiptOf(TAR, { coordinates: { binlogPosition: 5 } })), 'CLIENT_RECEIPT'],
    ['another GTID', () => put(TAR, receiptOf(TAR, { coordinates: { gtid: '0-1-99' } })), 'CLIENT_RECEIPT'],
    ['another first LSN', () => put(TAR, receiptOf(TAR, { lsn: { from: '1' } })), 'CLIENT_RECEIPT'],
    ['another checkpoint', () => put(TAR, receiptOf(TAR, { lsn: { from: '0', to: '44421' } })), 'CLIENT_RECEIPT'],
    ['another last LSN', () => put(TAR, receiptOf(TAR, { lsn: { last: '1' } })), 'CLIENT_RECEIPT'],
    ['a receipt that is none', () => put(TAR, 'whole, I promise'), 'CLIENT_RECEIPT'],
    ['a receipt without an end', () => put(TAR, receiptOf(TAR) + ' '.repeat(2 ** 20)), 'CLIENT_RECEIPT'],
    [
      'a receipt of a later version',
      () => put(TAR, receiptOf(TAR).replace('"receipt": 1', '"receipt": 2')),
      'CLIENT_RECEIPT',
    ],
    [
      'an archive that is not whole, although it is what was fetched',
      () => put(TAR.subarray(0, 2048), receiptOf(TAR, { bytes: 2048, sha256: sha256(TAR.subarray(0, 2048)) })),
      'ARCHIVE_TRUNCATED',
    ],
  ])('is refused with %s', async (_, given, code) => {
    given()

    const verified = verifyBackup(file)
    await expect(verified).rejects.toMatchObject({
      code,
      exitStatus: 5,
      hint: code === 'CLIENT_RECEIPT' ? expect.any(String) : undefined,
    })
    expect(await codeOf(restoreBackup({ file, target: join(directory, 'd') }))).toBe(code)
    expect(existsSync(join(directory, 'd')) || existsSync(join(directory, 'd.part'))).toBe(false)
  })

  test('is refused when the receipt that was named is not there', async () => {
    put(TAR, receiptOf(TAR))

    await expect(verifyBackup(file, { receipt: join(directory, 'no') })).rejects.toMatchObject({ code: 'CLI_FILE' })
  })

  test('is refused when there is something else in the place of the receipt', async () => {
    put(TAR)
    mkdirSync(`${file}.receipt`)

    await expect(verifyBackup(file)).rejects.toMatchObject({ code: 'CLIENT_RECEIPT' })
  })
})

describe('a file without a receipt', () => {
  test('is whole by its own end and metadata', async () => {
    put(TAR)

    await expect(verifyBackup(file)).resolves.toMatchObject({ proof: 'archive', receipt: undefined })
  })

  test('is refused where a verdict is wanted', async () => {
    put(TAR)
    await expect(verifyBackup(file, { requireVerdict: true })).rejects.toMatchObject({
      code: 'CLIENT_NO_VERDICT',
      exitStatus: 3,
    })

    put(TAR, receiptOf(TAR, { proof: 'archive' }))
    await expect(verifyBackup(file, { requireVerdict: true })).rejects.toMatchObject({ code: 'CLIENT_NO_VERDICT' })
    expect(await codeOf(restoreBackup({ file, target: join(directory, 'd'), requireVerdict: true }))).toBe(
      'CLIENT_NO_VERDICT',
    )
  })

  test.each([0, 1, 511, 512, 1024, TAR.length - 1024, TAR.length - 1])(
    'is refused when it stops at byte %i',
    async (length) => {
      put(TAR)
      truncateSync(file, length)

      expect(await codeOf(verifyBackup(file))).toMatch(/^ARCHIVE_/)
    },
  )
})

describe.each<[string, Buffer]>([
  ['tar', TAR],
  ['xbstream', XBSTREAM],
])('one flipped bit of a %s with a receipt', (format, bytes) => {
  const flipped = (at: number, bit: number): Buffer => {
    const changed = Buffer.from(bytes)
    changed[at] = (bytes[at] as number) ^ (1 << bit)
    return changed
  }
  const refused = async (at: number, bit: number): Promise<boolean> => {
    writeFileSync(file, flipped(at, bit))
    return /^(CLIENT_RECEIPT|ARCHIVE_\w+)$/.test(await codeOf(verifyBackup(file)))
  }
  beforeEach(() => writeFileSync(`${file}.receipt`, receiptOf(bytes)))

  test('is there to be found: unchanged it is whole', async () => {
    writeFileSync(file, bytes)

    await expect(verifyBackup(file)).resolves.toMatchObject({ format, proof: 'agent-verdict' })
  })

  const body = bytes.indexOf('xxxx')
  const PLACES: [string, number][] = [
    ['the first byte', 0],
    ['the first header', 20],
    ['the first bytes of a body', body],
    ['the middle of a body', body + 350],
    ['the last byte of a body', body + 699],
    ['the metadata', bytes.indexOf('to_lsn = ') + 9],
    ['the last bytes', bytes.length - 9],
    ['the last byte', bytes.length - 1],
  ]

  test.each(PLACES)('is found in %s', async (_, at) => {
    for (let bit = 0; bit < 8; bit += 1)
      expect({ bit, refused: await refused(at, bit) }).toEqual({ bit, refused: true })
  })

  test('is found from one end to the other', async () => {
    const missed: number[] = []
    for (let at = 0; at < bytes.length; at += 11) if (!(await refused(at, at % 8))) missed.push(at)

    expect(missed).toEqual([])
  })

  test('is found wherever it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(7), async (at, bit) => {
        expect(await refused(at, bit)).toBe(true)
      }),
      { numRuns: 200 },
    )
  })
})

test('what tar has no checksum for is not found without a receipt', async () => {
  const changed = Buffer.from(TAR)
  changed[TAR.indexOf('xxxx') + 350] = 0x79
  put(changed)

  await expect(verifyBackup(file)).resolves.toMatchObject({ proof: 'archive' })
})

describe('an xbstream', () => {
  test('is recognised by its first bytes, whatever its name', async () => {
    put(XBSTREAM)

    await expect(verifyBackup(file)).resolves.toMatchObject({
      format: 'xbstream',
      mark: undefined,
      engine: 'mariadb-backup',
      engineVersion: '10.11.19-MariaDB',
      files: 6,
      coordinates: { binlogFile: 'mybin.000002', binlogPosition: 542, gtid: '0-1-7' },
      lsn: { to: '44420' },
    })
  })

  test('is refused with the status of a file that is no whole backup, not of a backup that failed', async () => {
    put(XBSTREAM.subarray(0, -1))

    await expect(verifyBackup(file)).rejects.toMatchObject({ code: 'ARCHIVE_TRUNCATED', exitStatus: 5 })
  })

  test('is not restored, but how to unpack it is said', async () => {
    put(XBSTREAM, receiptOf(XBSTREAM))
    const target = join(directory, 'd')

    await expect(restoreBackup({ file, target })).rejects.toMatchObject({
      code: 'CLI_USAGE',
      hint: expect.stringContaining(`mbstream -x -C ${target} < ${file}`),
    })
    expect(readdirSync(directory)).toEqual(['backup.tar', 'backup.tar.receipt'])
  })
})

describe('restore', () => {
  const archive = SMALL_ARCHIVE

  test('holds the file against its receipt while it unpacks it', async () => {
    const target = join(directory, 'd')
    put(archive, receiptOf(archive, { entries: 1, files: 1, engine: 'directory' }))

    await expect(restoreBackup({ file, target })).resolves.toMatchObject({ proof: 'agent-verdict', directory: target })

    expect(readFileSync(join(target, 'ibdata1'), 'utf8')).toBe('abc')
  })

  test('leaves no directory of a file with a changed byte that tar does not see', async () => {
    const target = join(directory, 'd')
    const changed = Buffer.from(archive)
    changed[archive.indexOf('abc')] = 0x41
    put(changed, receiptOf(archive, { entries: 1, files: 1, engine: 'directory' }))

    await expect(restoreBackup({ file, target })).rejects.toMatchObject({ code: 'CLIENT_RECEIPT' })

    expect(readdirSync(directory)).toEqual(['backup.tar', 'backup.tar.receipt'])
  })
})

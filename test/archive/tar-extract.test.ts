import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'

import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'

import { type ExtractOptions, extractTar } from '../../lib/archive/tar-extract.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { everyCut, inPieces } from './cuts.ts'
import { makeScratch, readTree, type Scratch } from './file-trees.ts'
import { archive, header, long, mark, METADATA, member, metadataMembers, pax, wholeBackup } from './tar-forge.ts'
import { run } from './tar-programs.ts'

let scratch: Scratch
let target: string

beforeEach(() => {
  scratch = makeScratch()
  target = join(scratch.directory, 'target')
  mkdirSync(target)
})
afterEach(() => scratch.remove())

const extract = (chunks: Iterable<Buffer>, options: ExtractOptions = {}, into = target) =>
  extractTar(each(chunks), into, options)

const each = async function* (chunks: Iterable<Buffer>): AsyncGenerator<Buffer> {
  yield* chunks
}

/** What a call threw; a test that expects a refusal fails when there is none. */
const refusal = async (action: Promise<unknown>): Promise<BackupError> => {
  try {
    await action
  } catch (error) {
    if (error instanceof BackupError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

const mode = (path: string): string => (lstatSync(join(target, path)).mode & 0o7777).toString(8)

describe('a whole backup', () => {
  test('is unpacked as GNU tar unpacks it', async () => {
    const other = mkdtempSync(join(scratch.directory, 'gnu-'))
    const unpacked = run(['tar', '-x', '-f', '-', '-C', other], wholeBackup())

    const facts = await extract([wholeBackup()])

    expect(unpacked.status).toBe(0)
    expect(readTree(target)).toEqual(readTree(other))
    expect(facts).toMatchObject({ files: 7, engine: 'mariadb-backup', lsn: { to: '44420' } })
  })

  test('is unpacked alike in pieces of any size', async () => {
    await extract([wholeBackup()])
    const whole = readTree(target)

    const differing: number[] = []
    for (const pieceBytes of [1, 7, 511, 512, 513, 1000, 4096]) {
      const into = mkdtempSync(join(scratch.directory, 'pieces-'))
      await extract(inPieces(wholeBackup(), pieceBytes), {}, into)
      if (JSON.stringify([...readTree(into)]) !== JSON.stringify([...whole])) differing.push(pieceBytes)
    }

    expect(differing).toEqual([])
  })

  test('tells of every file whose last byte was written', async () => {
    const told: string[] = []

    await extract([wholeBackup()], { onFile: (path, sizeBytes) => told.push(`${path} ${sizeBytes}`) })

    expect(told.slice(0, 3)).toEqual(['shop/größe.ibd 700', 'shop/empty.CSV 0', 'xtrabackup_checkpoints 73'])
    expect(told).toHaveLength(7)
  })

  test('gets permissions without special bits, its owner’s always, and for directories no writing by others', async () => {
    const umask = process.umask(0)
    try {
      await extract([
        archive(
          mark(),
          ...metadataMembers(),
          member({ name: 'setuid', mode: 0o6755 }),
          member({ name: 'sticky', mode: 0o1640 }),
          member({ name: 'nothing', mode: 0 }),
          member({ name: 'wide/', typeflag: '5', mode: 0o3777 }),
          member({ name: 'narrow/', typeflag: '5', mode: 0 }),
          member({ name: 'implied/deep/file' }),
        ),
      ])
    } finally {
      process.umask(umask)
    }

    expect(['setuid', 'sticky', 'nothing', 'wide', 'narrow', 'implied', 'implied/deep'].map(mode)).toEqual([
      '755',
      '640',
      '600',
      '755',
      '700',
      '700',
      '700',
    ])
  })

  test('may name a directory after what is in it, and names that differ in case', async () => {
    await extract([
      archive(
        ...metadataMembers(),
        member({ name: 'd/a' }, '1'),
        member({ name: 'd', typeflag: '5' }),
        member({ name: 'd/A' }, '2'),
      ),
    ])

    expect(readFileSync(join(target, 'd/a'), 'utf8') + readFileSync(join(target, 'd/A'), 'utf8')).toBe('12')
  })

  test('may have more files than are ever open at once', async () => {
    const names = Array.from({ length: 3000 }, (_, index) => `d${index % 7}/f${index}`)
    let mostOpen = 0
    const onFile = () => {
      mostOpen = Math.max(mostOpen, readdirSync('/proc/self/fd').length)
    }
    const before = readdirSync('/proc/self/fd').length

    await extract(inPieces(archive(...metadataMembers(), ...names.map((name) => member({ name }, name)))), { onFile })

    expect(readTree(target).size).toBe(3000 + 7 + Object.keys(METADATA).length)
    expect(mostOpen - before).toBeLessThan(32)
    expect(readdirSync('/proc/self/fd').length).toBe(before)
  })

  test('is asked for no more than two mebibytes ahead of what is written', async () => {
    let given = 0
    const body = Buffer.alloc(64 * 1024)
    const written = () => (existsSync(join(target, 'big')) ? lstatSync(join(target, 'big')).size : 0)
    let mostAhead = 0
    const source = async function* () {
      yield Buffer.concat([...metadataMembers(), header({ name: 'big', size: 100 * body.length })])
      for (let index = 0; index < 100; index += 1) {
        mostAhead = Math.max(mostAhead, given - written())
        given += body.length
        yield body
      }
      yield Buffer.alloc(1024)
    }

    await extractTar(source(), target)

    expect(mostAhead).toBeLessThanOrEqual(2 * 1024 * 1024)
    expect(written()).toBe(given)
  })
})

describe('the disk', () => {
  /** Stands in front of every `sync`, told the path below the target; the target itself is ''. */
  const beforeSync = async (watch: (path: string) => Promise<void>): Promise<void> => {
    const handle = await open(scratch.directory)
    const prototype: FileHandle = Object.getPrototypeOf(handle)
    await handle.close()
    const { sync } = prototype
    jest.spyOn(prototype, 'sync').mockImplementation(async function (this: FileHandle) {
      await watch(relative(target, readlinkSync(`/proc/self/fd/${this.fd}`)))
      await sync.call(this)
    })
  }
  afterEach(() => {
    jest.restoreAllMocks()
  })

  test('has every file, then every directory, when it is over', async () => {
    const synced: string[] = []
    await beforeSync(async (path) => {
      synced.push(path)
    })

    await extract([archive(...metadataMembers(), member({ name: 'a/b/c/file' }, 'x'), member({ name: 'a/file' }))])

    const files = [...Object.keys(METADATA), 'a/b/c/file', 'a/file']
    expect(synced.slice(0, files.length).sort()).toEqual(files.sort())
    expect(synced.slice(files.length)).toEqual(['a/b/c', 'a/b', 'a', ''])
  })

  test.each([
    ['the first file', 'xtrabackup_checkpoints'],
    ['the last file', 'last'],
    ['a directory', 'd'],
    ['the target', ''],
  ])('fails the extraction when it fails at %s', async (_, failing) => {
    await beforeSync(async (path) => {
      if (path === failing) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
    })
    const before = readdirSync('/proc/self/fd').length

    const error = await refusal(
      extract([archive(...metadataMembers(), member({ name: 'd/file' }), member({ name: 'last' }))]),
    )

    expect(error).toMatchObject({ code: 'CLIENT_WRITE', facts: { path: JSON.stringify(join(target, failing)) } })
    expect(readdirSync('/proc/self/fd').length).toBe(before)
  })

  test('is waited for when it lags behind by sixteen files', async () => {
    let lagging = 0
    let mostLagging = 0
    await beforeSync(async () => {
      lagging += 1
      mostLagging = Math.max(mostLagging, lagging)
      // So many turns of the file system are enough for dozens of files to be created meanwhile.
      for (let turn = 0; turn < 100; turn += 1) await stat(target)
      lagging -= 1
    })
    const names = Array.from({ length: 60 }, (_, index) => `f${index}`)

    await extract([archive(...metadataMembers(), ...names.map((name) => member({ name })))])

    expect(mostLagging).toBe(16)
  })
})

describe('the target', () => {
  test.each([
    ['does not exist', () => rmSync(target, { recursive: true })],
    [
      'is a file',
      () => {
        rmSync(target, { recursive: true })
        writeFileSync(target, '')
      },
    ],
    ['holds a file', () => writeFileSync(join(target, 'mine'), '')],
    ['holds a hidden file', () => writeFileSync(join(target, '.mine'), '')],
    ['holds a directory', () => mkdirSync(join(target, 'mine'))],
  ])('is refused when it %s, before a byte was asked for', async (_, arrange) => {
    arrange()
    let asked = false
    const source = async function* () {
      asked = true
      yield wholeBackup()
    }

    const error = await refusal(extractTar(source(), target))

    expect(error).toMatchObject({ code: 'CLIENT_TARGET', hint: expect.any(String) })
    expect(asked).toBe(false)
  })

  test('may be reached through a link, that is the caller’s choice', async () => {
    const link = join(scratch.directory, 'link')
    symlinkSync(target, link)

    await extract([wholeBackup()], {}, link)

    expect(readTree(target).size).toBe(8)
  })
})

describe('a hostile archive', () => {
  const PYTHON = `
import io, sys, tarfile
archive = tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.PAX_FORMAT)
for order in sys.argv[1:]:
    name, kind, link = order.split('|')
    member = tarfile.TarInfo(name)
    member.type = getattr(tarfile, kind)
    member.linkname = link
    member.mode = 0o4777
    if kind == 'REGTYPE': member.size = 4
    archive.addfile(member, io.BytesIO(b'evil'))
archive.close()
`
  /** What Python's tarfile writes for members given as name, type and link. */
  const fromPython = (...members: readonly string[]): Buffer => {
    const { stdout, status } = run([
      'python3',
      '-c',
      `import subprocess, base64, sys
print(base64.b64encode(subprocess.run([sys.executable, '-c', ${JSON.stringify(PYTHON)}, *sys.argv[1:]], stdout=subprocess.PIPE, check=True).stdout).decode())`,
      ...members,
    ])
    if (status !== 0) throw new Error('python could not make the archive')
    return Buffer.from(stdout, 'base64')
  }

  const evil = (name: string) => member({ name }, 'evil')

  test.each<[string, () => Buffer, string]>([
    ['an absolute name', () => fromPython('/tmp/kv-evil|REGTYPE|'), 'ARCHIVE_PATH_UNSAFE'],
    ['a name that climbs', () => fromPython('../evil|REGTYPE|'), 'ARCHIVE_PATH_UNSAFE'],
    ['a name that climbs later', () => fromPython('a/../../evil|REGTYPE|'), 'ARCHIVE_PATH_UNSAFE'],
    ['a directory that climbs', () => fromPython('../evil|DIRTYPE|'), 'ARCHIVE_PATH_UNSAFE'],
    ['a name that climbs after ./', () => archive(evil('./../evil')), 'ARCHIVE_PATH_UNSAFE'],
    [
      'a name that climbs in a pax header',
      () => archive(pax([['path', '../evil']]), evil('good')),
      'ARCHIVE_PATH_UNSAFE',
    ],
    ['a name that climbs in a long name', () => archive(long('L', '../evil'), evil('good')), 'ARCHIVE_PATH_UNSAFE'],
    [
      'a name that climbs in a prefix',
      () => archive(member({ name: 'evil', prefix: '..' }, 'evil')),
      'ARCHIVE_PATH_UNSAFE',
    ],
    ['a name with a newline', () => fromPython('a\nb|REGTYPE|'), 'ARCHIVE_PATH_UNSAFE'],
    [
      'a name with a NUL in a pax header',
      () => archive(pax([['path', 'a\0/../../evil']]), evil('good')),
      'ARCHIVE_PATH_UNSAFE',
    ],
    [
      'a name that is no UTF-8',
      () => archive(member({ name: Buffer.from([0x61, 0xff]) }, 'evil')),
      'ARCHIVE_PATH_UNSAFE',
    ],
    ['a name that is too long', () => archive(pax([['path', 'a/'.repeat(3000)]]), evil('good')), 'ARCHIVE_CORRUPT'],
    [
      'a name with a part that is too long',
      () => archive(pax([['path', 'a'.repeat(256)]]), evil('good')),
      'ARCHIVE_PATH_UNSAFE',
    ],
    [
      'a name that is too deep',
      () => archive(pax([['path', `${'d/'.repeat(2000)}f`]]), evil('f')),
      'ARCHIVE_PATH_UNSAFE',
    ],
    ['an empty name', () => archive(evil('')), 'ARCHIVE_PATH_UNSAFE'],
    [
      'a symbolic link and a file through it',
      () => fromPython('l|SYMTYPE|..', 'l/evil|REGTYPE|'),
      'ARCHIVE_MEMBER_REFUSED',
    ],
    [
      'a symbolic link and a file of its name',
      () => fromPython('l|SYMTYPE|../evil', 'l|REGTYPE|'),
      'ARCHIVE_MEMBER_REFUSED',
    ],
    [
      'a directory replaced by a link',
      () => fromPython('d|DIRTYPE|', 'd|SYMTYPE|..', 'd/evil|REGTYPE|'),
      'ARCHIVE_MEMBER_REFUSED',
    ],
    ['a hard link to a file of the system', () => fromPython('l|LNKTYPE|/etc/passwd'), 'ARCHIVE_MEMBER_REFUSED'],
    ['a device', () => fromPython('null|CHRTYPE|'), 'ARCHIVE_MEMBER_REFUSED'],
    ['a block device', () => fromPython('disk|BLKTYPE|'), 'ARCHIVE_MEMBER_REFUSED'],
    ['a FIFO', () => fromPython('fifo|FIFOTYPE|'), 'ARCHIVE_MEMBER_REFUSED'],
    ['a name twice', () => fromPython('a|REGTYPE|', 'a|REGTYPE|'), 'ARCHIVE_DUPLICATE'],
    ['a file where a directory stands', () => fromPython('a|DIRTYPE|', 'a|REGTYPE|'), 'ARCHIVE_DUPLICATE'],
    [
      'a size of 2^53',
      () => archive(header({ name: 'a', size: Buffer.from('800000000020000000000000', 'hex') })),
      'ARCHIVE_LIMIT',
    ],
    ['a size that never comes', () => archive(header({ name: 'a', size: 0o77777777777 })), 'ARCHIVE_TRUNCATED'],
    ['no metadata', () => fromPython('a|REGTYPE|'), 'ARCHIVE_METADATA_MISSING'],
  ])('is refused for %s, and nothing is written outside', async (_, forge, code) => {
    const bytes = forge()

    const error = await refusal(extract([bytes]))

    expect(error.code).toBe(code)
    expect(readdirSync(scratch.directory)).toEqual(['target'])
    expect(existsSync('/tmp/kv-evil')).toBe(false)
    const others = [...readTree(target)].filter(([, what]) => what === 'other')
    expect(others).toEqual([])
  })

  test('cannot use a directory that somebody replaced by a link while it came', async () => {
    const outside = join(scratch.directory, 'outside')
    mkdirSync(outside)
    const source = async function* () {
      yield member({ name: 'd/first' }, 'x')
      yield member({ name: 'e/other' }, 'x') // so that "d" has to be opened again
      rmSync(join(target, 'd'), { recursive: true })
      symlinkSync(outside, join(target, 'd'))
      yield archive(member({ name: 'd/evil' }, 'evil'), ...metadataMembers())
    }

    const error = await refusal(extractTar(source(), target))

    expect(error).toMatchObject({ code: 'CLIENT_WRITE', hint: expect.stringContaining('nobody else') })
    expect(readdirSync(outside)).toEqual([])
  })

  test('cannot use a link that somebody put where a file is to be', async () => {
    const outside = join(scratch.directory, 'outside')
    const source = async function* () {
      yield member({ name: 'first' }, 'x')
      symlinkSync(outside, join(target, 'second'))
      yield archive(member({ name: 'second' }, 'evil'), ...metadataMembers())
    }

    const error = await refusal(extractTar(source(), target))

    expect(error).toMatchObject({ code: 'CLIENT_WRITE', facts: { errno: 'EEXIST' } })
    expect(existsSync(outside)).toBe(false)
  })
})

describe('what ends early', () => {
  test('is refused wherever it was cut, and what was unpacked is left to the caller', async () => {
    const whole = wholeBackup()
    const accepted: number[] = []

    for (let at = 0; at < whole.length; at += 61) {
      const into = mkdtempSync(join(scratch.directory, 'cut-'))
      const error = await refusal(extract([whole.subarray(0, at)], {}, into))
      if (error.code !== 'ARCHIVE_TRUNCATED') accepted.push(at)
    }
    await refusal(extract([whole.subarray(0, -1)]))

    expect(accepted).toEqual([])
    expect(readTree(target).size).toBe(8)
  })

  test('stops at once when told to, while the source is silent', async () => {
    const controller = new AbortController()
    let release: () => void = () => {}
    const silence = new Promise<void>((resolve) => {
      release = resolve
    })
    const source = async function* () {
      yield member({ name: 'first' }, 'x')
      controller.abort()
      await silence
    }
    const before = readdirSync('/proc/self/fd').length

    const error = await refusal(extractTar(source(), target, { signal: controller.signal }))
    release()

    expect(error.code).toBe('CLIENT_INTERRUPTED')
    expect(readdirSync('/proc/self/fd').length).toBe(before)
  })

  test('throws the signal’s own reason when that is one of ours', async () => {
    const reason = new BackupError('CLIENT_SILENCE', 'expected bytes, found silence')

    const error = await refusal(extract([wholeBackup()], { signal: AbortSignal.abort(reason) }))

    expect(error).toBe(reason)
  })

  test('throws what the source threw, as it is, and keeps no file open', async () => {
    const cause = new Error('the socket broke')
    const source = async function* () {
      yield header({ name: 'a', size: 1000 })
      throw cause
    }
    const before = readdirSync('/proc/self/fd').length

    await expect(extractTar(source(), target)).rejects.toBe(cause)

    expect(readdirSync('/proc/self/fd').length).toBe(before)
  })

  test('tells the source that no more is wanted', async () => {
    let told = false
    const source = async function* () {
      try {
        yield archive(member({ name: '../evil' }))
        yield Buffer.alloc(1)
      } finally {
        told = true
      }
    }

    await refusal(extractTar(source(), target))

    expect(told).toBe(true)
  })
})

describe('arbitrary bytes', () => {
  test('are unpacked or refused with a BackupError, never written outside', async () => {
    const anyName = fc.constantFrom('a', 'b/c', 'b', '../x', '/x', './d', 'd/', 'a/../b', '.', '..', 'e\n')
    const anyMember = fc
      .tuple(anyName, fc.constantFrom('0', '5', '1', '2', '6', 'x', 'L', 'Z'), fc.string({ maxLength: 30 }))
      .map(([name, typeflag, body]) => member({ name, typeflag, linkName: '..' }, typeflag === '5' ? '' : body))
    const anyPiece = fc.oneof(
      anyMember,
      anyMember,
      fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom(Buffer.concat(metadataMembers()), archive(), wholeBackup()),
    )

    await fc.assert(
      fc.asyncProperty(fc.array(anyPiece, { maxLength: 6 }), async (pieces) => {
        const into = mkdtempSync(join(scratch.directory, 'any-'))
        try {
          await extract(pieces, {}, into)
        } catch (error) {
          if (!(error instanceof BackupError)) throw error
        } finally {
          expect([...readTree(into).values()]).not.toContain('other')
          rmSync(into, { recursive: true })
        }
        expect(readdirSync(scratch.directory)).toEqual(['target'])
      }),
      { numRuns: 300 },
    )
  })

  test('cut everywhere, are unpacked the same', async () => {
    const bytewise = everyCut(wholeBackup()).find(({ cut }) => cut === 'everywhere')

    await extract(bytewise?.chunks ?? [])

    expect(readTree(target).size).toBe(8)
  })
})

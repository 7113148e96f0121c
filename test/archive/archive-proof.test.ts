import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { type ArchiveFacts, ArchiveProof } from '../../lib/archive/archive-proof.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { everyCut } from './cuts.ts'
import { makeScratch } from './file-trees.ts'
import { archive, mark, METADATA, member, metadataMembers, pax, wholeBackup } from './tar-forge.ts'
import { run } from './tar-programs.ts'

const prove = (...chunks: readonly Buffer[]): ArchiveFacts => {
  const proof = new ArchiveProof()
  for (const chunk of chunks) proof.push(chunk)
  return proof.finish()
}

const without = (name: string): string[] => Object.keys(METADATA).filter((other) => other !== name)

describe('a whole backup', () => {
  test('is proven, with what is known about it', () => {
    const bytes = wholeBackup()
    const contentBytes = 700 + Object.values(METADATA).join('').length

    expect(prove(bytes)).toEqual({
      mark: { product: 'kv-backup-agent/0.1.0', engine: 'mariadb-backup', engineVersion: '10.11.19' },
      members: 8,
      files: 7,
      bytes: bytes.length,
      contentBytes,
      engine: 'mariadb-backup',
      coordinates: { binlogFile: 'mybin.000002', binlogPosition: 542, gtid: '0-1-7' },
      lsn: { from: '0', to: '44420', last: '50474' },
      backupType: 'full-backuped',
    })
  })

  test('is proven alike wherever it is cut', () => {
    const facts = JSON.stringify(prove(wholeBackup()))

    const differing = everyCut(wholeBackup()).filter(({ chunks }) => JSON.stringify(prove(...chunks)) !== facts)

    expect(differing.map(({ cut }) => cut)).toEqual([])
  })

  test('keeps nothing of a chunk that was only lent', () => {
    const bytes = wholeBackup()
    const proof = new ArchiveProof()

    for (let at = 0; at < bytes.length; at += 10) {
      const lent = Buffer.from(bytes.subarray(at, at + 10))
      proof.push(lent)
      lent.fill(0xff)
    }

    expect(proof.finish()).toEqual(prove(bytes))
  })

  test.each([
    ['MariaDB’s newer names', ['mariadb_backup_checkpoints', 'mariadb_backup_info', 'backup-my.cnf', 'ib_logfile0']],
    ['Percona’s redo log', ['xtrabackup_checkpoints', 'xtrabackup_info', 'backup-my.cnf', 'xtrabackup_logfile']],
    [
      'files about replicas and clusters',
      [...Object.keys(METADATA), 'xtrabackup_slave_info', 'mariadb_backup_galera_info'],
    ],
  ])('may have %s', (_, names) => {
    expect(prove(archive(mark(), ...metadataMembers(names))).files).toBe(names.length)
  })

  test('tells its engine and coordinates from the info file alone, when it has no mark', () => {
    const info = "tool_name = xtrabackup\nbinlog_pos = filename 'b.1', position '4', GTID of the last change 'aa:1-5'\n"

    const facts = prove(
      archive(
        ...metadataMembers(['xtrabackup_checkpoints', 'backup-my.cnf', 'xtrabackup_logfile']),
        member({ name: 'xtrabackup_info' }, info),
      ),
    )

    expect(facts).toMatchObject({
      mark: undefined,
      engine: 'xtrabackup',
      coordinates: { binlogFile: 'b.1', binlogPosition: 4, gtid: 'aa:1-5' },
    })
  })

  test('is proven without reading a metadata file that is too long to keep', () => {
    const facts = prove(
      archive(
        ...metadataMembers(without('xtrabackup_binlog_info')),
        member({ name: 'xtrabackup_binlog_info' }, `b.1\t4\t${'x'.repeat(64 * 1024)}`),
      ),
    )

    expect(facts.coordinates).toEqual({})
  })

  test('of a directory is proven by the numbers of its mark', () => {
    const numbers = { engine: 'directory', entries: 2, bytes: 3 }

    const facts = prove(archive(mark(numbers), member({ name: 'd', typeflag: '5' }), member({ name: 'd/f' }, 'abc')))

    expect(facts).toMatchObject({ engine: 'directory', members: 2, files: 1, contentBytes: 3 })
  })
})

describe('an archive that another program made of an unpacked backup', () => {
  const PYTHON = `
import sys, tarfile
with tarfile.open(sys.argv[2], 'w', format=getattr(tarfile, sys.argv[3] + '_FORMAT')) as archive:
    archive.add(sys.argv[1], '.')
`
  const gnu = (format: string) => (from: string, to: string) => [
    'tar',
    `--format=${format}`,
    '-C',
    from,
    '-cf',
    to,
    '.',
  ]
  const bsd = (format: string) => (from: string, to: string) => [
    'bsdtar',
    '--format',
    format,
    '-C',
    from,
    '-cf',
    to,
    '.',
  ]
  const python = (format: string) => (from: string, to: string) => ['python3', '-c', PYTHON, from, to, format]

  test.each([
    ...['gnu', 'oldgnu', 'posix', 'ustar', 'v7'].map((format) => [`GNU tar, ${format}`, gnu(format)] as const),
    ...['pax', 'ustar', 'gnutar', 'v7'].map((format) => [`bsdtar, ${format}`, bsd(format)] as const),
    ...['GNU', 'PAX', 'USTAR'].map((format) => [`Python's tarfile, ${format}`, python(format)] as const),
  ])('is proven: %s', (program, command) => {
    const scratch = makeScratch()
    const from = join(scratch.directory, 'backup')
    // v7 holds paths of 99 bytes, ustar such names in a directory, the others any.
    const longest = /v7$/.test(program) ? 80 : /ustar$/i.test(program) ? 95 : 200
    const table = '@00e4'.padStart(longest, 't')
    mkdirSync(join(from, 'shop'), { recursive: true })
    for (const [name, text] of Object.entries(METADATA)) writeFileSync(join(from, name), text)
    writeFileSync(join(from, 'shop', table), 'x'.repeat(5000))
    writeFileSync(join(from, 'shop', 'empty'), '')
    const to = join(scratch.directory, 'backup.tar')

    const made = run(command(from, to))
    const proof = new ArchiveProof()
    const names: string[] = []
    const { stdout } = run(['base64', '-w0', to])
    for (const event of proof.read(Buffer.from(stdout, 'base64'))) if ('path' in event) names.push(event.path)
    scratch.remove()

    expect(made).toMatchObject({ status: 0, stderr: '' })
    expect(names.sort()).toEqual([...Object.keys(METADATA), 'shop', `shop/${table}`, 'shop/empty'].sort())
    expect(proof.finish()).toMatchObject({ engine: 'mariadb-backup', files: 7, members: 9, lsn: { to: '44420' } })
  })
})

describe('what is refused', () => {
  test('an archive cut at any byte', () => {
    const whole = wholeBackup()

    const accepted: number[] = []
    for (let at = 0; at < whole.length; at += 1) {
      try {
        prove(whole.subarray(0, at))
        accepted.push(at)
      } catch (error) {
        if (!(error instanceof BackupError) || error.code !== 'ARCHIVE_TRUNCATED') throw error
      }
    }

    expect(accepted).toEqual([])
  })

  test('an archive with any byte of any header changed', () => {
    const whole = wholeBackup()
    const headers: number[] = []
    for (let at = 0; at + 1024 < whole.length; at += 512) {
      if (whole.toString('latin1', at + 257, at + 262) === 'ustar') headers.push(at)
    }

    const accepted: string[] = []
    for (const at of headers) {
      for (let byte = at; byte < at + 512; byte += 1) {
        const changed = Buffer.from(whole)
        changed[byte] = (changed[byte] ?? 0) ^ (1 << (byte % 8))
        try {
          prove(changed)
          // A space for a leading zero or for a NUL behind the checksum: it is the same number.
          if (![148, 154, 155].includes(byte - at)) accepted.push(`byte ${byte - at} of the header at ${at}`)
        } catch (error) {
          if (!(error instanceof BackupError)) throw error
        }
      }
    }

    expect(headers).toHaveLength(10)
    expect(accepted).toEqual([])
  })

  test.each(Object.keys(METADATA).filter((name) => name !== 'xtrabackup_binlog_info'))(
    'a backup without %s, by its name',
    (name) => {
      const expected = expect.objectContaining({
        code: 'ARCHIVE_METADATA_MISSING',
        message: expect.stringContaining(`"${name}"`),
        hint: expect.any(String),
      })
      const others = metadataMembers(without(name))

      expect(() => prove(archive(mark(), ...others))).toThrow(expected)
      expect(() => prove(archive(...others))).toThrow(expected)
      expect(() => prove(archive(mark({ engine: 'xtrabackup' }), ...others))).toThrow(expected)
      expect(() => prove(archive(...others, member({ name })))).toThrow(expected) // empty
      expect(() => prove(archive(...others, member({ name: `shop/${name}` }, 'x')))).toThrow(expected) // elsewhere
      expect(() => prove(archive(...others, member({ name, typeflag: '5' })))).toThrow(expected) // a directory
    },
  )

  const files = metadataMembers()

  test.each<[string, Buffer, string]>([
    ['nothing', Buffer.alloc(0), 'ARCHIVE_TRUNCATED'],
    ['an archive of nothing', archive(), 'ARCHIVE_METADATA_MISSING'],
    ['a whole tar of something else', archive(member({ name: 'README' }, 'x')), 'ARCHIVE_METADATA_MISSING'],
    ['garbage behind the end', Buffer.concat([wholeBackup(), Buffer.from('\0\0x')]), 'ARCHIVE_TRAILING_BYTES'],
    ['two archives glued together', Buffer.concat([wholeBackup(), wholeBackup()]), 'ARCHIVE_TRAILING_BYTES'],
    [
      'two archives glued together without the first one’s end',
      Buffer.concat([wholeBackup().subarray(0, -1024), wholeBackup()]),
      'ARCHIVE_CORRUPT',
    ],
    ['a mark behind a member', archive(...files, mark(), member({ name: 'a' })), 'ARCHIVE_CORRUPT'],
    ['a name twice', archive(...files, member({ name: 'a' }), member({ name: 'a' })), 'ARCHIVE_DUPLICATE'],
    [
      'a name twice, once with ./',
      archive(...files, member({ name: 'a' }), member({ name: './a' })),
      'ARCHIVE_DUPLICATE',
    ],
    [
      'a name twice, once in a pax header',
      archive(...files, member({ name: 'a' }), pax([['path', 'a']]), member({ name: 'b' })),
      'ARCHIVE_DUPLICATE',
    ],
    [
      'a file where a directory stands',
      archive(...files, member({ name: 'a', typeflag: '5' }), member({ name: 'a' })),
      'ARCHIVE_DUPLICATE',
    ],
    [
      'a root twice',
      archive(member({ name: './', typeflag: '5' }), member({ name: '.', typeflag: '5' })),
      'ARCHIVE_DUPLICATE',
    ],
    ['a root that is a file', archive(...files, member({ name: '.' })), 'ARCHIVE_PATH_UNSAFE'],
    [
      'a root that is a link',
      archive(...files, member({ name: './', typeflag: '2', linkName: '/' })),
      'ARCHIVE_PATH_UNSAFE',
    ],
    ['an absolute name', archive(...files, member({ name: '/etc/passwd' })), 'ARCHIVE_PATH_UNSAFE'],
    ['a name that climbs', archive(...files, member({ name: 'a/../../b' })), 'ARCHIVE_PATH_UNSAFE'],
    [
      'a hard link',
      archive(...files, member({ name: 'a', typeflag: '1', linkName: 'xtrabackup_info' })),
      'ARCHIVE_MEMBER_REFUSED',
    ],
    [
      'a symbolic link',
      archive(...files, member({ name: 'a', typeflag: '2', linkName: 'xtrabackup_info' })),
      'ARCHIVE_MEMBER_REFUSED',
    ],
    ['a device', archive(...files, member({ name: 'a', typeflag: '3' })), 'ARCHIVE_MEMBER_REFUSED'],
    ['a block device', archive(...files, member({ name: 'a', typeflag: '4' })), 'ARCHIVE_MEMBER_REFUSED'],
    ['a FIFO', archive(...files, member({ name: 'a', typeflag: '6' })), 'ARCHIVE_MEMBER_REFUSED'],
    ['an unknown type', archive(...files, member({ name: 'a', typeflag: 'Z' }, 'x')), 'ARCHIVE_MEMBER_REFUSED'],
    [
      'a directory’s archive with a member less',
      archive(mark({ engine: 'directory', entries: 2, bytes: 1 }), member({}, 'x')),
      'ARCHIVE_METADATA_MISSING',
    ],
    [
      'a directory’s archive with a member more',
      archive(mark({ engine: 'directory', entries: 1, bytes: 1 }), member({}, 'x'), member({ name: 'b' })),
      'ARCHIVE_METADATA_MISSING',
    ],
    [
      'a directory’s archive with a byte less',
      archive(mark({ engine: 'directory', entries: 1, bytes: 2 }), member({}, 'x')),
      'ARCHIVE_METADATA_MISSING',
    ],
    [
      'a directory’s archive without numbers',
      archive(mark({ engine: 'directory' }), ...files),
      'ARCHIVE_METADATA_MISSING',
    ],
    [
      'the archive of an engine nobody knows',
      archive(mark({ engine: 'other', entries: 5 }), ...files),
      'ARCHIVE_METADATA_MISSING',
    ],
    ['a backup with numbers that are wrong', archive(mark({ entries: 4 }), ...files), 'ARCHIVE_METADATA_MISSING'],
  ])('%s', (_, bytes, code) => {
    expect(() => prove(bytes)).toThrow(expect.objectContaining({ code }))
  })

  test('arbitrary changes of a whole backup, with nothing but a BackupError, or proven with all its metadata', () => {
    const whole = wholeBackup()
    const anyChange = fc.record({
      at: fc.nat(whole.length - 1),
      removed: fc.nat(1100),
      added: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(new Uint8Array(512), new Uint8Array(1024))),
    })

    fc.assert(
      fc.property(fc.array(anyChange, { minLength: 1, maxLength: 3 }), (changes) => {
        let bytes = whole
        for (const { at, removed, added } of changes) {
          bytes = Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at + removed)])
        }
        try {
          const facts = prove(bytes)
          expect(facts.bytes).toBe(bytes.length)
          expect(facts.files).toBeGreaterThanOrEqual(4)
        } catch (error) {
          if (!(error instanceof BackupError)) throw error
          expect(error.message).toMatch(/^expected .*found |^expected /)
        }
      }),
      { numRuns: 3000 },
    )
  })
})

import { expect, test } from '@jest/globals'

import { type ArchiveMark, commentHeader, encodeMark, parseMark } from '../../lib/archive/index.ts'
import { makeScratch, readTree } from './file-trees.ts'
import { run, TAR_PROGRAMS } from './tar-programs.ts'

const MARK: ArchiveMark = {
  product: 'kv-backup-agent/0.1.0',
  engine: 'directory',
  engineVersion: '1',
  entries: 12,
  bytes: 34567,
}

test('writes a mark as a line that people can read', () => {
  const text = encodeMark(MARK)

  expect(text).toBe('kv-backup-agent/0.1.0; engine=directory; engine-version=1; entries=12; bytes=34567')
})

test.each<[string, ArchiveMark]>([
  ['with everything', MARK],
  ['without counts', { product: 'kv-backup-agent/0.1.0', engine: 'xtrabackup', engineVersion: '8.0.35-31' }],
  ['with counts of zero', { ...MARK, entries: 0, bytes: 0 }],
  ['with a version of many words', { ...MARK, engineVersion: '10.11; x=1 (größer)\n%' }],
  ['without a version', { ...MARK, engineVersion: '' }],
  ['with the largest count', { ...MARK, bytes: Number.MAX_SAFE_INTEGER }],
])('reads back a mark %s', (_, mark) => {
  expect(parseMark(encodeMark(mark))).toEqual(mark)
})

test.each([
  ['nothing', ''],
  ['the commit that git writes there', '1b0cf9c5d1f1c7a3f7b1f7c0f4f0f2d8f6a3b2c1'],
  ['a product alone', 'kv-backup-agent/0.1.0'],
  ['a filler', 'quiet'],
  ['a sentence', 'made by someone; engine=directory'],
  ['a very long text', `kv-backup-agent/0.1.0; engine=directory; engine-version=1; x=${'y'.repeat(2000)}`],
])('takes %s for no mark', (_, text) => {
  expect(parseMark(text)).toBeUndefined()
})

test('skips fields of a later version', () => {
  const text = `${encodeMark(MARK)}; colour=blue`

  expect(parseMark(text)).toEqual(MARK)
})

test.each([
  ['an engine of odd letters', 'kv-backup-agent/0.1.0; engine=Dir ectory'],
  ['an empty engine', 'kv-backup-agent/0.1.0; engine='],
  ['a field without a value', 'kv-backup-agent/0.1.0; engine=directory; entries'],
  ['a field without a name', 'kv-backup-agent/0.1.0; engine=directory; =1'],
  ['a count that is no number', 'kv-backup-agent/0.1.0; engine=directory; entries=1e3'],
  ['a count with a sign', 'kv-backup-agent/0.1.0; engine=directory; entries=-1'],
  ['a count beyond what can be counted', 'kv-backup-agent/0.1.0; engine=directory; bytes=9007199254740993'],
  ['a field that stands twice', 'kv-backup-agent/0.1.0; engine=directory; entries=1; entries=2'],
  ['a broken escape', 'kv-backup-agent/0.1.0; engine=directory; engine-version=%zz'],
])('refuses a mark with %s', (_, text) => {
  expect(() => parseMark(text)).toThrow(expect.objectContaining({ code: 'ARCHIVE_CORRUPT' }))
})

test.each<[string, ArchiveMark]>([
  ['a product without a version', { ...MARK, product: 'kv-backup-agent' }],
  ['an engine that is not a word', { ...MARK, engine: 'a b' }],
  ['a fraction', { ...MARK, entries: 1.5 }],
])('refuses to write a mark with %s', (_, mark) => {
  expect(() => encodeMark(mark)).toThrow(expect.objectContaining({ code: 'ARCHIVE_CORRUPT' }))
})

// A pax record counts its own length, so every place where the number gets a digit more is tried.
const LENGTHS = [0, 1, 83, 84, 85, 86, 87, 490, 500, 501, 502, 503, 504, 983, 984, 985, 986, 987, 988]

test.each(LENGTHS)('writes a global header with a comment of %i characters that Python reads back', (length) => {
  const comment = 'x'.repeat(length)
  const script = `
import io, sys, tarfile
archive = tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()))
sys.stdout.write(','.join(archive.getnames()) + ' ' + archive.pax_headers['comment'])
`

  const header = commentHeader(comment)

  const { stdout, stderr } = run(['python3', '-c', script], Buffer.concat([header, tarOfOneFile()]))
  expect({ stdout, stderr }).toEqual({ stdout: `hostname ${comment}`, stderr: '' })
  expect(header.length % 512).toBe(0)
})

test.each(Object.entries(TAR_PROGRAMS))('is skipped by %s without a word', (_, extractInto) => {
  const scratch = makeScratch()
  try {
    const archive = Buffer.concat([commentHeader(encodeMark(MARK)), tarOfOneFile()])

    const { status, stderr } = run(extractInto(scratch.directory), archive)

    expect({ status, stderr, files: [...readTree(scratch.directory).keys()] }).toEqual({
      status: 0,
      stderr: '',
      files: ['hostname'],
    })
  } finally {
    scratch.remove()
  }
})

/** By GNU tar, so that nothing of ours stands behind the header. */
const tarOfOneFile = (): Buffer => {
  const { stdout, status } = run(['tar', '-c', '-f', '-', '--format=ustar', '-C', '/etc', 'hostname'])
  if (status !== 0) throw new Error('GNU tar could not write an archive')
  return Buffer.from(stdout)
}

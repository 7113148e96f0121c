import { expect, test } from '@jest/globals'

import {
  type Compression,
  compressionText,
  readCompression,
  readCompressWords,
  writeCompressWords,
} from '../../lib/protocol/index.ts'

test.each<[string, Compression]>([
  ['/usr/bin/gzip -c', { name: 'gzip' }],
  ['gzip -c -1', { name: 'gzip', level: 1 }],
  ['gzip -9c', { name: 'gzip', level: 9 }],
  ['gzip -c9', { name: 'gzip', level: 9 }],
  ['gzip', { name: 'gzip' }],
  ['/bin/gzip  --stdout  -q -', { name: 'gzip' }],
  ['gzip -1 -6', { name: 'gzip', level: 6 }], // the last one counts, as it does for gzip
  ['pigz -p 4 -c', { name: 'pigz', threads: 4 }],
  ['/usr/bin/pigz -p8 -0', { name: 'pigz', threads: 8, level: 0 }],
  ['pigz --processes=2', { name: 'pigz', threads: 2 }],
  ['/usr/bin/zstd -T4 -3', { name: 'zstd', threads: 4, level: 3 }],
  ['zstd -19 --threads=0 -c -q', { name: 'zstd', level: 19, threads: 0 }],
  ['xz -T2 -6', { name: 'xz', threads: 2, level: 6 }],
  ['xz -T 2 -0', { name: 'xz', threads: 2, level: 0 }],
  ['lz4 -c', { name: 'lz4' }],
  ['/opt/tools/bin/lz4 -12', { name: 'lz4', level: 12 }],
])('recognises %s', (words, compression) => {
  expect(readCompressWords(words)).toEqual(compression)
})

test.each([
  ['another program', 'bzip2 -c', 'bzip2'],
  ['a shell', '/bin/sh -c id', '/bin/sh'],
  ['a command behind it', 'gzip -c;id', '-c;id'],
  ['a command behind its name', 'gzip;id', 'gzip;id'],
  ['a pipe', 'gzip -c | tee /tmp/x', '|'],
  ['a redirection', 'gzip -c >/tmp/x', '>/tmp/x'],
  ['a substitution', 'gzip -c $(id)', '$(id)'],
  ['backquotes', '`id` -c', '`id`'],
  ['a program as an option', 'zstd -I/tmp/x', '-I/tmp/x'],
  ['a suffix', 'gzip --suffix=.x -c', '--suffix=.x'],
  ['a suffix in short', 'gzip -S .x', '-S'],
  ['another file', 'gzip -c /etc/shadow', '/etc/shadow'],
  ['a file to write', 'zstd -o /tmp/x', '-o'],
  ['a way up', '../gzip -c', '../gzip'],
  ['a way up in a path', '/usr/../tmp/gzip', '/usr/../tmp/gzip'],
  ['a relative path', './gzip', './gzip'],
  ['decompressing', 'gzip -dc', '-dc'],
  ['a level gzip does not have', 'gzip -0', '0'],
  ['a level zstd has only with --ultra', 'zstd -22', '22'],
  ['a level of days', 'pigz -11', '11'],
  ['many digits', 'gzip -0000000000000000000001', '0000000000000000000001'],
  ['a dictionary', 'zstd -D /etc/passwd', '-D'],
  ['a long window', 'zstd --long=31', '--long=31'],
  ['an extreme level', 'xz -9e', '-9e'],
  ['a filter', 'xz --lzma2=dict=1GiB', '--lzma2=dict=1GiB'],
  ['a format that was not meant', 'xz --format=lzma', '--format=lzma'],
  ['threads that gzip does not have', 'gzip -T4', '-T4'],
  ['threads that lz4 does not have', 'lz4 -T4', '-T4'],
  ['a number of threads that is none', 'zstd -Tx', 'x'],
  ['more threads than there can be use for', 'xz -T 65', '65'],
  ['no threads', 'pigz -p 0', '0'],
  ['an option whose number is missing', 'pigz -c -p', ''],
  ['a dash and nothing for a program', '-', '-'],
  ['blanks alone', '   ', ''],
  ['a name beginning like one', 'gzipx -c', 'gzipx'],
  ['another spelling', 'GZIP -c', 'GZIP'],
])('refuses %s, by name', (_, words, found) => {
  expect(() => readCompressWords(words)).toThrow(
    expect.objectContaining({ code: 'COMPRESS_REFUSED', message: expect.stringContaining(JSON.stringify(found)) }),
  )
})

test('says how to write it instead', () => {
  expect(() => readCompressWords('bzip2')).toThrow(
    expect.objectContaining({ hint: expect.stringContaining('zstd -c -3 -T4') }),
  )
})

test.each<[string, Compression]>([
  ['gzip', { name: 'gzip' }],
  ['zstd:3', { name: 'zstd', level: 3 }],
  ['pigz:0', { name: 'pigz', level: 0 }],
  ['xz:9', { name: 'xz', level: 9 }],
])('reads and writes the name %s', (text, compression) => {
  expect(readCompression(text, 'here')).toEqual(compression)
  expect(compressionText(compression)).toBe(text)
})

test.each([
  '',
  'bzip2',
  'zstd:',
  'zstd:0',
  'zstd:20',
  'zstd:03',
  'zstd:3:4',
  'zstd:-3',
  'zstd 3',
  'Zstd',
  'none:1',
  '/usr/bin/zstd',
])('refuses the name %j', (text) => {
  expect(() => readCompression(text, 'agent-stream-compress')).toThrow(
    expect.objectContaining({ code: 'COMPRESS_REFUSED', message: expect.stringContaining('agent-stream-compress') }),
  )
})

test.each<[Compression, string]>([
  [{ name: 'gzip' }, 'gzip -c'],
  [{ name: 'zstd', level: 3 }, 'zstd -c -3'],
])('what we write to an older agent, we would recognise: %j', (compression, words) => {
  expect(writeCompressWords(compression)).toBe(words)
  expect(readCompressWords(words)).toEqual(compression)
})

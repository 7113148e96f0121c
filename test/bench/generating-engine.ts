/**
 * A backup program that makes its stream while it writes it: any number of gigabytes, and none of them stored.
 *
 * Four files, the same chunk of ten megabytes over and over. The sizes are those of files with holes, which it holds open
 * as the real program does.
 */

import { randomBytes } from 'node:crypto'
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'

import { installEngine, WHOLE_XBSTREAM } from '../faults/made-engines.ts'

const FILES = 4
/** What mariadb-backup writes at most in one. */
const CHUNK_BYTES = 10 * 1024 * 1024

/** The layout of a chunk: `test/archive/xbstream-writer.ts`. */
const GENERATOR = `
my ($payload, $crc, $chunks, @paths) = @ARGV;
open(my $in, '<:raw', $payload); my $bytes = do { local $/; <$in> };
sub out { my $at = 0; while ($at < length($_[0])) { $at += syswrite(STDOUT, $_[0], 1 << 20, $at) // exit 1 } }
for my $path (@paths) {
  for my $chunk (0 .. $chunks - 1) {
    out(pack('a8Ca1Va*Q<Q<V', 'XBSTCK01', 0, 'P', length($path), $path, length($bytes), $chunk * length($bytes), $crc));
    out($bytes);
  }
  out(pack('a8Ca1Va*', 'XBSTCK01', 0, 'E', length($path), $path));
}
`

/** @returns a search path on which it is found first, and how much it sends at least */
export const generatingEngine = (directory: string, bytes: number): { path: string; contentBytes: number } => {
  const sources = join(directory, 'bench')
  mkdirSync(sources, { recursive: true })
  const chunks = Math.ceil(bytes / FILES / CHUNK_BYTES)
  const payload = randomBytes(CHUNK_BYTES)
  const [payloadFile, generator, rest] = ['payload', 'generator.pl', 'rest'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(payloadFile, payload)
  writeFileSync(generator, GENERATOR)
  writeFileSync(rest, WHOLE_XBSTREAM)
  const names = Array.from({ length: FILES }, (_, index) => `t${index}.ibd`)
  for (const name of names) {
    const source = openSync(join(sources, name), 'w')
    ftruncateSync(source, chunks * CHUNK_BYTES)
    closeSync(source)
  }
  const held = names.map((name, index) => `${index + 5}<'${join(sources, name)}'`).join(' ')
  const words = [payloadFile, String(crc32(payload)), String(chunks), ...names.map((name) => `bench/${name}`)]
  const path = installEngine(directory, {
    name: 'makes a stream',
    output: Buffer.alloc(0),
    afterwards: `exec ${held}
perl '${generator}' ${words.map((word) => `'${word}'`).join(' ')} && cat '${rest}'
echo '[00] 2026-01-01 00:00:00 completed OK!' >&2; exit 0`,
    code: undefined,
  })
  return { path, contentBytes: chunks * CHUNK_BYTES * FILES }
}

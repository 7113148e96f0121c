/**
 * Backup programs with one fault each, around an xbstream that is whole unless the fault is in it.
 *
 * The stand-ins of `fixtures/engines` write a word in place of a stream; these write what a
 * real one does, so that nothing but the fault keeps the backup from being complete.
 */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { pattern } from '../archive/converting.ts'
import { METADATA } from '../archive/tar-forge.ts'
import { endChunk, fileChunks, payloadChunk } from '../archive/xbstream-writer.ts'

export interface MadeEngine {
  readonly name: string
  /** What its output is; a whole backup by default. */
  readonly output?: Buffer
  /** Shell, run when the output is written. */
  readonly afterwards: string
  /** The code with which the agent gives up; undefined when the backup must come out whole. */
  readonly code: string | RegExp | undefined
}

const OK = `echo '[00] 2026-01-01 00:00:00 completed OK!' >&2`

/** Tables of several sizes, some of them in pieces that lie between others, and the files that come last. */
const wholeXbstream = (omit?: string): Buffer =>
  Buffer.concat([
    payloadChunk('ib_logfile0', 0, pattern(512)),
    fileChunks('ibdata1', pattern(40_000), 16_384),
    fileChunks('shop/orders.ibd', pattern(32_768, 2), 16_384),
    ...Array.from({ length: 20 }, (_, index) => fileChunks(`shop/t${index}.frm`, pattern(700 + index, index))),
    fileChunks('shop/empty.CSV', Buffer.alloc(0)),
    payloadChunk('ib_logfile0', 512, pattern(2048)),
    endChunk('ib_logfile0'),
    ...Object.entries(METADATA).flatMap(([path, text]) =>
      path === omit || path === 'ib_logfile0' ? [] : [fileChunks(path, Buffer.from(text))],
    ),
  ])

export const WHOLE_XBSTREAM = wholeXbstream()

const lastByteFlipped = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
  return copy
}

export const MADE_ENGINES: readonly MadeEngine[] = [
  { name: 'does everything right', afterwards: `${OK}; exit 0`, code: undefined },
  {
    name: 'floods its stderr, 500 000 lines',
    afterwards: `yes '[00] 2026-01-01 00:00:00 aria table file ./db/t.MAI is copied successfully.' | head -n 500000 >&2; ${OK}; exit 0`,
    code: undefined,
  },
  { name: 'exits with 0 without its word of success', afterwards: 'exit 0', code: 'ENGINE_NO_OK' },
  {
    name: 'says its word of success before something else',
    afterwards: `${OK}; echo 'one more thing' >&2; exit 0`,
    code: 'ENGINE_NO_OK',
  },
  { name: 'says its word of success and exits with 1', afterwards: `${OK}; exit 1`, code: 'ENGINE_FAILED' },
  { name: 'is killed after its last byte', afterwards: 'kill -KILL $$', code: 'ENGINE_FAILED' },
  { name: 'is killed after its word of success', afterwards: `${OK}; kill -KILL $$`, code: 'ENGINE_FAILED' },
  { name: 'writes nothing', output: Buffer.alloc(0), afterwards: `${OK}; exit 0`, code: 'ENGINE_NO_OUTPUT' },
  {
    name: 'leaves out the checkpoints',
    output: wholeXbstream('xtrabackup_checkpoints'),
    afterwards: `${OK}; exit 0`,
    code: /^(ARCHIVE_METADATA_MISSING|JOB_INCOMPLETE)$/,
  },
  {
    name: 'stops inside a chunk, and is content',
    output: WHOLE_XBSTREAM.subarray(0, WHOLE_XBSTREAM.length - 1),
    afterwards: `${OK}; exit 0`,
    code: 'XBSTREAM_TRUNCATED',
  },
  {
    name: 'never closes its redo log',
    output: Buffer.concat([payloadChunk('never-closed', 0, pattern(10)), WHOLE_XBSTREAM]),
    afterwards: `${OK}; exit 0`,
    code: 'XBSTREAM_FILE_OPEN',
  },
  {
    name: 'has a wrong byte in a table',
    output: lastByteFlipped(WHOLE_XBSTREAM, 20_000),
    afterwards: `${OK}; exit 0`,
    code: 'XBSTREAM_CHECKSUM',
  },
]

/** Puts the program under the name of a real one. @returns a search path on which it is found first */
export const installEngine = (directory: string, { output = WHOLE_XBSTREAM, afterwards }: MadeEngine): string => {
  const bin = join(directory, 'bin')
  mkdirSync(bin, { recursive: true })
  const stream = join(directory, 'stream')
  writeFileSync(stream, output)
  const program = join(bin, 'mariadb-backup')
  writeFileSync(
    program,
    `#!/bin/sh
case " $* " in
  *' --version '*) echo 'mariadb-backup based on MariaDB server 10.11.19-MariaDB stand-in (x86_64)'; exit 0 ;;
esac
cat '${stream}'
${afterwards}
`,
  )
  chmodSync(program, 0o755)
  return `${bin}:/usr/bin:/bin`
}

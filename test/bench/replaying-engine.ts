/**
 * A backup program that writes a recorded stream from memory, as fast as it is read or at a rate, behind a real agent.
 *
 * So the agent is what there is to wait for. Large files are held open while they are written, as the real program does:
 * their sizes are looked up there. Half of every page is random, the other half zeros, and no two are alike.
 */

import { randomBytes } from 'node:crypto'
import { closeSync, ftruncateSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'

import { fileChunks } from '../archive/xbstream-writer.ts'
import { installEngine, WHOLE_XBSTREAM } from '../faults/made-engines.ts'
import { AgentProcess } from '../rig/agent-process.ts'
import { plainEnvironment } from '../rig/run-program.ts'
import { makeMemoryDirectory } from './memory-directory.ts'

export interface Replayed {
  readonly files: number
  readonly fileBytes: number
  /** Without it, as fast as it is read. */
  readonly bytesPerSecond?: number | undefined
}

export interface Stage {
  /** In memory, for whatever else is to lie there. */
  readonly directory: string
  readonly agent: AgentProcess
  /** To be started without arguments: it writes the stream to its standard output. */
  readonly program: string
  readonly contentBytes: number
  /** The file with the recorded stream. */
  readonly stream: string
  close(): Promise<void>
}

const PAGE_BYTES = 16_384
/** Files below it come in one chunk, and nobody has to look up how large they are. */
const HELD_FROM_BYTES = 1024 * 1024

const pages = (bytes: number): Buffer => {
  const content = Buffer.alloc(bytes)
  for (let at = 0; at < bytes; at += PAGE_BYTES) {
    randomBytes(Math.min(PAGE_BYTES / 2, bytes - at)).copy(content, at)
  }
  return content
}

/** Writes standard input to standard output at a rate, a hundred pieces a second. */
const AT_A_RATE = `use Time::HiRes qw(time sleep); my ($rate) = @ARGV; my ($sent, $began) = (0, time);
while (my $read = sysread(STDIN, my $piece, $rate / 100)) {
  for (my $at = 0; $at < $read;) { $at += syswrite(STDOUT, $piece, $read - $at, $at) }
  $sent += $read; my $early = $sent / $rate - (time - $began); sleep($early) if $early > 0;
}`

export const replayingEngine = async ({ files, fileBytes, bytesPerSecond }: Replayed): Promise<Stage> => {
  const { path: directory, remove } = makeMemoryDirectory()
  const sources = join(directory, 'bench')
  const stream = join(directory, 'replayed')
  mkdirSync(sources)
  const names = Array.from({ length: files }, (_, index) => `t${index}.ibd`)
  const isHeld = fileBytes >= HELD_FROM_BYTES
  const held = isHeld ? names.map((name, index) => `${index + 5}<'${join(sources, name)}'`).join(' ') : ''
  const replay =
    bytesPerSecond === undefined ? `cat '${stream}'` : `perl -e '${AT_A_RATE}' ${bytesPerSecond} < '${stream}'`
  const path = installEngine(directory, {
    name: 'replays a stream',
    output: Buffer.alloc(0),
    afterwards: `exec ${held}\n${replay}\necho '[00] 2026-01-01 00:00:00 completed OK!' >&2; exit 0`,
    code: undefined,
  })
  const out = openSync(stream, 'w')
  for (const name of names) {
    if (isHeld) {
      const source = openSync(join(sources, name), 'w')
      ftruncateSync(source, fileBytes)
      closeSync(source)
    }
    const bytes = fileChunks(`bench/${name}`, pages(fileBytes))
    for (let at = 0; at < bytes.length; ) at += writeSync(out, bytes, at)
  }
  writeSync(out, WHOLE_XBSTREAM)
  closeSync(out)
  const environment = { ...plainEnvironment(), PATH: path, TMPDIR: directory }
  const agent = await AgentProcess.start(['--engine', 'mariadb-backup', '--spool-dir', directory], { environment })
  return {
    directory,
    agent,
    program: join(directory, 'bin', 'mariadb-backup'),
    contentBytes: files * fileBytes,
    stream,
    close: async () => {
      await agent.stop()
      await remove()
    },
  }
}

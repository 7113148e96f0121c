/**
 * A backup program that fails after thousands of small files, and readers of every speed.
 *
 * Every other byte of such a stream is a place where GNU tar takes the end for a whole archive.
 * So it matters that the client gets everything that was let go, and stops exactly there.
 */

import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { createDecoder, type EncodingName } from '../../lib/encodings/index.ts'
import { AnswerReader } from '../../lib/protocol/index.ts'
import { endChunk, payloadChunk } from '../archive/xbstream-writer.ts'
import { AgentProcess } from '../rig/agent-process.ts'
import { readingProgram } from '../rig/reading-program.ts'

let scratch: string
let agent: AgentProcess

/** Writes 12 MB of small files, waits until it is told to, and fails as a program does whose server went away. */
const failsAfterManyFiles = (directory: string): string => {
  const bin = join(directory, 'bin')
  mkdirSync(bin)
  const output = join(directory, 'output')
  const files = Array.from({ length: 10_000 }, (_, index) => `./shop/t${String(index).padStart(5, '0')}.frm`)
  writeFileSync(
    output,
    Buffer.concat(files.flatMap((path) => [payloadChunk(path, 0, Buffer.alloc(1000, 'x')), endChunk(path)])),
  )
  const program = join(bin, 'mariadb-backup')
  writeFileSync(
    program,
    `#!/bin/sh
case " $* " in
  *' --version '*) echo 'mariadb-backup based on MariaDB server 10.11.19-MariaDB stand-in (x86_64)'; exit 0 ;;
  *' --help '*) exit 0 ;;
esac
rm -f '${directory}/fail'
cat '${output}'
while [ ! -e '${directory}/fail' ]; do sleep 0.02; done
echo '[00] 2026-01-01 00:00:00 Error: the server is gone' >&2
exit 1
`,
  )
  chmodSync(program, 0o755)
  return bin
}

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'failed-stream-'))
  const bin = failsAfterManyFiles(scratch)
  agent = await AgentProcess.start(['--engine', 'mariadb-backup', '--spool-dir', scratch], {
    environment: { PATH: `${bin}:/usr/bin:/bin` },
  })
})
afterAll(async () => {
  await agent.stop()
  rmSync(scratch, { recursive: true })
})

const request = (mime: string): string => `0.76.1
7
action=copy from
user=backup
password=secret
backup-level=0
file=/srv/ZRM_LINKS/.
agent-stream-encoding=${mime}
agent-stream-block-size=4096

`

/** What a deployed client hands to its tar: of uuencode whole frames only. */
const decoded = (encoding: EncodingName, wire: Buffer): Buffer => {
  const decoder = createDecoder(encoding)
  const raw = decoder.decode(wire)
  try {
    raw.push(...decoder.end())
  } catch {
    // cut inside a unit, which is what is expected
  }
  return Buffer.concat(raw)
}

const CASES = (['octet', 'base64', 'uuencode'] as const).flatMap((encoding) =>
  (['at once', 'slowly'] as const).flatMap((reads) =>
    // Where a stream stops by accident, tar accepts it about every second time.
    Array.from({ length: reads === 'slowly' ? 5 : 1 }, (_, time) => ({ encoding, reads, time: time + 1 })),
  ),
)
const MIME = {
  octet: 'application/octet-stream',
  base64: 'application/x-base64-stream',
  uuencode: 'application/x-uuencode-stream',
}

test.each(CASES)(
  'a client that reads $encoding $reads has what its tar refuses ($time)',
  async ({ encoding, reads }) => {
    const client = readingProgram(agent.port, request(MIME[encoding]), reads === 'slowly' ? 4 : 0)
    await client.hasReceived(100_000)
    writeFileSync(join(scratch, 'fail'), '')

    const { bytes, ended } = await client.ended()
    const answer = new AnswerReader().push(bytes)
    const { status } = spawnSync('tar', ['-t', '-f', '-'], {
      input: decoded(encoding, answer?.rest ?? Buffer.alloc(0)),
    })

    expect(answer?.block.get('status')).toBe('SENDING')
    expect(ended).toBe('reset')
    expect(status).toBe(2)
  },
)

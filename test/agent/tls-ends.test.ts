/**
 * How streams end over TLS: a failed one never like a whole one, and no reader takes it for one.
 *
 * The engines are the stand-in of `failed-stream.test.ts`, and a real directory.
 */

import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { fetchBackup } from '../../lib/client/index.ts'
import { createDecoder, type EncodingName } from '../../lib/encodings/index.ts'
import { AnswerReader } from '../../lib/protocol/index.ts'
import { endChunk, payloadChunk } from '../archive/xbstream-writer.ts'
import { FaultProxy } from '../faults/fault-proxy.ts'
import { AgentProcess } from '../rig/agent-process.ts'
import { TestAuthority, type TestIdentity } from '../rig/certificates.ts'
import { makeGuardedDirectory, removeGuardedDirectory } from '../rig/guard.ts'
import { readingProgram } from '../rig/reading-program.ts'
import { Stunnel } from '../rig/stunnel.ts'
import { tlsReader } from '../rig/tls-reader.ts'

const MB = 1_000_000

let scratch: string
let ca: string
let tls: string[]
/** Its backup program sends many small files, and does then what it is told. */
let held: AgentProcess
/** A whole backup of random bytes. */
let whole: AgentProcess
let source: string

/** Writes 12 MB of small files and waits; it fails, or is killed, when it is told to. */
const program = (directory: string): string => {
  const bin = join(directory, 'bin')
  mkdirSync(bin)
  const output = join(directory, 'output')
  const files = Array.from({ length: 10_000 }, (_, index) => `./shop/t${String(index).padStart(5, '0')}.frm`)
  writeFileSync(
    output,
    Buffer.concat(files.flatMap((path) => [payloadChunk(path, 0, Buffer.alloc(1000, 'x')), endChunk(path)])),
  )
  const path = join(bin, 'mariadb-backup')
  writeFileSync(
    path,
    `#!/bin/sh
case " $* " in
  *' --version '*) echo 'mariadb-backup based on MariaDB server 10.11.19-MariaDB stand-in (x86_64)'; exit 0 ;;
  *' --help '*) exit 0 ;;
esac
rm -f '${directory}/fail'
echo $$ > '${directory}/pid'
cat '${output}'
while [ ! -e '${directory}/fail' ]; do sleep 0.02; done
echo '[00] 2026-01-01 00:00:00 Error: the server is gone' >&2
exit 1
`,
  )
  chmodSync(path, 0o755)
  return bin
}

beforeAll(async () => {
  scratch = makeGuardedDirectory('tls-ends')
  const authority = TestAuthority.make(scratch)
  ca = authority.certificate
  const own: TestIdentity = authority.issue('localhost', { names: ['DNS:localhost', 'IP:127.0.0.1'] })
  tls = ['--tls-cert', own.certificate, '--tls-key', own.key, '--spool-dir', scratch]
  held = await AgentProcess.start(['--engine', 'mariadb-backup', ...tls], {
    environment: { PATH: `${program(scratch)}:/usr/bin:/bin` },
  })
  source = join(scratch, 'source')
  mkdirSync(source)
  writeFileSync(join(source, 'ibdata1'), randomBytes(6 * MB))
  whole = await AgentProcess.start(['--directory', source, ...tls])
})
afterAll(async () => {
  await Promise.all([held.stop(), whole.stop()])
  await removeGuardedDirectory(scratch)
})

const MIME = {
  octet: 'application/octet-stream',
  base64: 'application/x-base64-stream',
  uuencode: 'application/x-uuencode-stream',
}

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

/** What a deployed client hands to its tar. */
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

const tarOf = (encoding: EncodingName, bytes: Buffer): number | null => {
  const answer = new AnswerReader().push(bytes)
  expect(answer?.block.get('status')).toBe('SENDING')
  return spawnSync('tar', ['-t', '-f', '-'], { input: decoded(encoding, answer?.rest ?? Buffer.alloc(0)) }).status
}

describe.each(['octet', 'base64', 'uuencode'] as const)('a client of 0.76 over TLS that reads %s', (encoding) => {
  test.each([
    ['at once', 0],
    ['slowly', 4],
    ['slowly, once more', 4],
  ])('%s has the whole backup, and the word that this is all', async (_, pauseMs) => {
    const { bytes, ended } = await tlsReader({
      port: whole.port,
      request: request(MIME[encoding]),
      ca,
      pauseMs,
    }).ended()

    expect(ended).toBe('finished')
    expect(tarOf(encoding, bytes)).toBe(0)
  })

  const ways = [
    ['fails', () => writeFileSync(join(scratch, 'fail'), '')],
    ['is killed', () => process.kill(Number(readFileSync(join(scratch, 'pid'), 'utf8')), 'SIGKILL')],
  ] as const
  const speeds = [
    ['at once', 0],
    ['slowly', 4],
    ['slowly', 6],
    ['slowly', 8],
  ] as const
  test.each(ways.flatMap(([how, end]) => speeds.map(([reads, pauseMs]) => ({ how, end, reads, pauseMs }))))(
    '$reads ($pauseMs ms) has what its tar refuses, and no such word, when the backup program $how',
    async ({ end, pauseMs }) => {
      const client = tlsReader({ port: held.port, request: request(MIME[encoding]), ca, pauseMs })
      await client.hasReceived(100_000)
      end()

      const { bytes, ended } = await client.ended()

      expect(ended).toBe('cut')
      expect(tarOf(encoding, bytes)).toBe(2)
    },
  )
})

const address = (port: number) => ({ host: '127.0.0.1', port, tls: { ca } })

describe('our own client over TLS', () => {
  test('is told in the stream that the backup program was killed', async () => {
    const file = join(scratch, 'killed.tar')
    const fetch = fetchBackup({ ...address(held.port), user: 'backup', password: 'secret', target: { file } })
    const failed = fetch.receipt.catch((error: unknown) => error)
    for await (const { bytes } of fetch) {
      if (bytes < 100_000) continue
      process.kill(Number(readFileSync(join(scratch, 'pid'), 'utf8')), 'SIGKILL')
      break
    }

    await expect(failed).resolves.toMatchObject({ code: 'CLIENT_BACKUP_FAILED' })
    expect(existsSync(file)).toBe(false)
  })

  test.each(['framed', 'octet', 'base64', 'uuencode'] as const)(
    'takes no %s stream that was cut or changed for a whole one',
    async (encoding) => {
      for (const at of [MB, 5 * MB]) {
        for (const fault of [
          { at, do: 'cut' },
          { at, do: 'reset' },
          { at, do: 'flip', bit: 3 },
        ] as const) {
          const proxy = await FaultProxy.start(whole.port, { toClient: { faults: [fault] } })
          const file = join(scratch, `${encoding}-${at}-${fault.do}.tar`)

          const failed = await fetchBackup({ ...address(proxy.port), encoding, target: { file } }).receipt.catch(
            (error: unknown) => error,
          )
          await proxy.close()

          expect(failed).toMatchObject({
            code: expect.stringMatching(/^(?:CLIENT_CUT|FRAME_TRUNCATED|ENCODING_TRUNCATED|ARCHIVE_TRUNCATED)$/),
          })
          expect(existsSync(file)).toBe(false)
        }
      }
    },
  )
})

test('a client that closes its half behind its request gets its backup over TLS too', async () => {
  const socat = spawnSync(
    'socat',
    ['-t', '60', '-', `OPENSSL:127.0.0.1:${whole.port},cafile=${ca},commonname=localhost`],
    {
      input: request(MIME.octet),
      maxBuffer: 100 * MB,
    },
  )

  expect(tarOf('octet', socat.stdout)).toBe(0)
})

describe.each(['octet', 'uuencode'] as const)('a deployed client behind stunnel that reads %s', (encoding) => {
  test('has its whole backup', async () => {
    const stunnel = await Stunnel.start({ port: whole.port, ca, name: 'localhost' })

    const { bytes, ended } = await readingProgram(stunnel.port, request(MIME[encoding]), 0).ended()
    await stunnel.stop()

    expect(ended).toBe('fin')
    expect(tarOf(encoding, bytes)).toBe(0)
  })

  test.each([0, 4, 6])('has what its tar refuses when the backup fails (reading each %d ms)', async (pauseMs) => {
    const stunnel = await Stunnel.start({ port: held.port, ca, name: 'localhost' })
    const client = readingProgram(stunnel.port, request(MIME[encoding]), pauseMs)
    await client.hasReceived(100_000)
    writeFileSync(join(scratch, 'fail'), '')

    const { bytes } = await client.ended()
    await stunnel.stop()

    expect(tarOf(encoding, bytes)).toBe(2)
  })
})

test('a backup is cancelled when its client over TLS is gone', async () => {
  const proxy = await FaultProxy.start(held.port)
  const client = tlsReader({ port: proxy.port, request: request(MIME.octet), ca })
  await client.hasReceived(100_000)

  await proxy.close()

  await held.logged((line) => line['code'] === 'JOB_CLIENT_GONE')
})

/**
 * What an archive is read and undressed into is used again when it was written. Here it is overwritten the moment that it
 * is given back: whoever still looks at it, or will, sees that, and so does the digest.
 */

import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals'

import { type RunningAgent, startAgent } from '../../lib/agent/index.ts'
import { type FetchOptions, fetchBackup, verifyBackup } from '../../lib/client/index.ts'
import { Base64Decoder } from '../../lib/encodings/base64-decoder.ts'
import { UuencodeDecoder } from '../../lib/encodings/uuencode-decoder.ts'
import { LentBuffers } from '../../lib/flow/index.ts'
import { mustRun } from '../rig/run-program.ts'

/** Many times what comes at once. */
const FILE_BYTES = 3_000_000

let home: string
let scratch: string
let source: string
let agent: RunningAgent
let takenBack: number

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'buffers-used-again-'))
  source = join(home, 'source')
  mkdirSync(join(source, 'shop'), { recursive: true })
  writeFileSync(join(source, 'ibdata1'), randomBytes(FILE_BYTES))
  writeFileSync(join(source, 'shop', 'orders.ibd'), randomBytes(FILE_BYTES))
  agent = await startAgent({ port: 0, directory: source, stateDirectory: join(home, 'state') })
})
afterAll(async () => {
  await agent.stop()
  rmSync(home, { recursive: true })
})
beforeEach(() => {
  scratch = mkdtempSync(join(home, 'case-'))
  takenBack = 0
  for (const { prototype } of [Base64Decoder, UuencodeDecoder]) {
    const { takeBack } = prototype
    jest.spyOn(prototype, 'takeBack').mockImplementation(function (this: typeof prototype, raws) {
      for (const raw of raws) {
        takenBack += raw.length
        raw.fill(0xee)
      }
      takeBack.call(this, raws)
    })
  }
  overwriteWhatIsRead()
})
afterEach(() => {
  jest.restoreAllMocks()
  rmSync(scratch, { recursive: true })
})

/** Of the client's connection; and in the agent, which is in this process too. */
const overwriteWhatIsRead = (): void => {
  const own = new WeakSet<ArrayBufferLike>()
  const { lend, takeBack } = LentBuffers.prototype
  jest.spyOn(LentBuffers.prototype, 'lend').mockImplementation(function (this: LentBuffers, buffer, bytes) {
    own.add(buffer.buffer)
    return lend.call(this, buffer, bytes)
  })
  jest.spyOn(LentBuffers.prototype, 'takeBack').mockImplementation(function (this: LentBuffers, views) {
    for (const view of views) if (own.has(view.buffer)) view.fill(0xdd)
    takeBack.call(this, views)
  })
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

type Options = Partial<FetchOptions> & Pick<FetchOptions, 'target'>

const fetchedAs = (encoding: FetchOptions['encoding']) => (options: Options) =>
  fetchBackup({ host: agent.host, port: agent.port, ...(encoding === undefined ? {} : { encoding }), ...options })
    .receipt

describe.each(['uuencode', 'base64', 'octet', 'framed'] as const)('of %s', (encoding) => {
  const fetched = fetchedAs(encoding)
  const isUndressed = encoding === 'uuencode' || encoding === 'base64'

  test('a file has what was summed up', async () => {
    const file = join(scratch, 'backup.tar')

    const receipt = await fetched({ target: { file } })

    expect(takenBack > 2 * FILE_BYTES).toBe(isUndressed)
    expect(sha256(readFileSync(file))).toBe(receipt.sha256)
    await mustRun('tar', ['-df', file, '-C', source])
  })

  test('a directory has what was sent', async () => {
    const directory = join(scratch, 'unpacked')

    await fetched({ target: { directory } })

    expect(takenBack > 2 * FILE_BYTES).toBe(isUndressed)
    await mustRun('diff', ['-r', source, directory])
  })

  test.each(['gzip', 'zstd:3'])('a file has what was summed up when %s is undone on arrival', async (compress) => {
    const file = join(scratch, 'backup.tar')

    const receipt = await fetched({ compress, target: { file } })

    expect(takenBack > FILE_BYTES).toBe(isUndressed)
    expect(sha256(readFileSync(file))).toBe(receipt.sha256)
    await mustRun('tar', ['-df', file, '-C', source])
  })

  test('a file that is kept compressed is whole', async () => {
    const file = join(scratch, 'backup.tar.gz')

    await fetched({ compress: 'gzip', target: { file } })

    expect(takenBack > FILE_BYTES).toBe(isUndressed)
    await expect(verifyBackup(file)).resolves.toMatchObject({ packed: { packing: 'gzip' } })
    await mustRun('tar', ['-dzf', file, '-C', source])
  })

  test('a stream may keep what was written to it', async () => {
    const stream = new PassThrough({ highWaterMark: 100 * FILE_BYTES })

    const receipt = await fetched({ target: { stream } })
    stream.end()

    expect(sha256(await buffer(stream))).toBe(receipt.sha256)
  })
})

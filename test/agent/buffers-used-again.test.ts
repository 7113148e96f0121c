/**
 * The buffers that a backup program and a compressor are read into are used again while the backup is under way, and so
 * are those of the spill. What arrives must be what was summed up, for a client that keeps up and for one that does not.
 */

import { createHash } from 'node:crypto'
import { Writable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { fetchBackup } from '../../lib/client/index.ts'
import { replayingEngine, type Stage } from '../bench/replaying-engine.ts'
import { ALL_ENCODINGS } from '../bench/ways.ts'

/** Many times what is read ahead. */
const FILE_BYTES = 48 * 1024 * 1024

let stage: Stage

beforeAll(async () => {
  stage = await replayingEngine({ files: 2, fileBytes: FILE_BYTES })
})
afterAll(() => stage.close())

const clients = [
  { client: 'keeps up', pauseMs: 0 },
  { client: 'is slow', pauseMs: 1 },
] as const

const ways = [
  { way: 'as it is', compress: undefined },
  { way: 'compressed', compress: 'zstd:1' },
] as const

test.each(
  ways.flatMap((way) =>
    ALL_ENCODINGS.flatMap((encoding) => clients.map((client) => ({ encoding, ...way, ...client }))),
  ),
)('a client that $client has what was summed up, $way, as $encoding', async ({ encoding, compress, pauseMs }) => {
  const { agent, contentBytes } = stage
  const digest = createHash('sha256')
  const sid = `${compress}-${encoding}-${pauseMs}`
  let bytes = 0
  const stream = new Writable({
    write: async (chunk: Buffer, _, taken) => {
      digest.update(chunk)
      bytes += chunk.length
      if (pauseMs > 0) await setTimeout(pauseMs)
      taken()
    },
  })
  const fetch = fetchBackup({
    host: '127.0.0.1',
    port: agent.port,
    user: 'backup',
    password: 'secret',
    encoding,
    compress,
    sid,
    target: { stream },
  })
  await fetch.receipt

  const complete = await agent.logged((line) => line.msg === 'backup complete' && line['sid'] === sid)
  expect(bytes).toBeGreaterThan(contentBytes)
  expect(digest.digest('hex')).toBe(complete['sha256'])
})

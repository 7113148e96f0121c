/** The compressed way of a backup's bytes, with a real compressor, and an engine that is quiet when it is told to be. */

import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'

import { expect, test } from '@jest/globals'

import type { ArchiveEntry } from '../../lib/archive/index.ts'
import { createDecoder, createEncoder } from '../../lib/encodings/index.ts'
import { type FilesRun, findCompressor, startCompressor } from '../../lib/engines/index.ts'
import { BackupError } from '../../lib/errors/index.ts'
import { Spill } from '../../lib/flow/index.ts'
import { toPackedArchive, toPackedWire } from '../../lib/jobs/packed-pipeline.ts'
import { type PipelineOptions, toArchive, toWire } from '../../lib/jobs/pipeline.ts'

const MIB = 1024 * 1024
const BLOCK_BYTES = 10_240
/** On the wire, in whichever encoding, wherever it begins. */
const ONE_READ = 1.5 * BLOCK_BYTES

/** A promise and who settles it. */
const gate = (): { readonly opened: Promise<void>; open(): void; fail(error: Error): void } => {
  let [open, fail]: [() => void, (error: Error) => void] = [() => {}, () => {}]
  const opened = new Promise<void>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  opened.catch(() => undefined)
  return { opened, open, fail }
}

/** An engine with one file, whose bytes stop coming in the middle until the gate is opened. */
const pausing = (before: Buffer, after: Buffer, paused: Promise<void>) => {
  const entry: ArchiveEntry = {
    ...{ path: 'ibdata1', type: 'file', mode: 0o600, mtimeMs: 0, uid: 0, gid: 0 },
    sizeBytes: before.length + after.length,
    body: async function* () {
      yield before
      await paused
      yield after
    },
  }
  return { kind: 'files', entries: Readable.from([entry]) } as unknown as FilesRun
}

const setUp = async (name: 'gzip' | 'zstd' | 'xz', before: Buffer, after: Buffer) => {
  const [paused, abort] = [gate(), new AbortController()]
  const compressor = await startCompressor(await findCompressor({ name, level: 1 }), abort.signal)
  const decided: number[] = []
  let left = 0
  const options: PipelineOptions = {
    format: 'tar',
    mark: { product: 'a/1', engine: 'directory', engineVersion: '1' },
    spill: new Spill({ memoryBytes: 8 * MIB, nowMs: () => 0 }),
    memoryBytes: MIB,
    spool: { directory: '/var/tmp', maxBytes: 0 },
    mtimeMs: 0,
    signal: abort.signal,
    settle: async () => undefined,
    decide: async (_, sentBytes) => {
      await turn()
      decided.push(sentBytes)
    },
    onEngineBytes: () => undefined,
    onMember: () => undefined,
    onData: () => undefined,
    onArchiveBytes: () => undefined,
    onLeft: (bytes) => {
      expect(bytes).toBeGreaterThanOrEqual(left)
      left = bytes
    },
    onFailure: () => undefined,
  }
  return {
    source: { run: pausing(before, after, paused.opened) },
    options,
    compressor,
    paused,
    abort,
    decided,
    left: () => left,
  }
}

/** Rings only when it is told to. */
class Clock {
  #ring: () => void = () => {}
  readonly wait = (): Promise<void> =>
    new Promise((resolve) => {
      this.#ring = resolve
    })
  #nowMs = 0
  readonly nowMs = (): number => this.#nowMs
  /** A minute has gone by. */
  ring(): void {
    this.#nowMs += 60_000
    this.#ring()
  }
}

const untar = (program: string, compressed: Buffer): { status: number | null; bytes: number } => {
  const { status, stdout } = spawnSync(program, ['-dc'], { input: compressed, maxBuffer: 1 << 30 })
  return { status, bytes: stdout.length }
}

test.each(['octet', 'uuencode'] as const)(
  'a client of 0.76 gets what completes one of its reads, encoded as %s, whenever the engine is quiet',
  async (encoding) => {
    const { source, options, compressor, paused, decided, left } = await setUp(
      'gzip',
      randomBytes(4 * MIB),
      randomBytes(MIB),
    )
    const clock = new Clock()
    const encoder = createEncoder(encoding, { blockBytes: BLOCK_BYTES })
    const wire: Buffer[] = []
    let isQuiet = gate()
    const onQuiet = (): void => isQuiet.open()
    const received = (): number => wire.reduce((sum, bytes) => sum + bytes.length, 0)
    const stream = toPackedWire(
      source,
      { ...options, encoder, blockBytes: BLOCK_BYTES, wait: clock.wait, nowMs: clock.nowMs, onQuiet },
      compressor,
    )
    const ended = (async () => {
      for await (const burst of stream) wire.push(...burst)
    })()

    // What comes by itself comes until the reserve is full; then the engine is quiet.
    while (compressor.takenBytes < 4 * MIB) await new Promise((resolve) => setImmediate(resolve))
    for (let time = 0; time < 20; time += 1) {
      isQuiet = gate()
      const before = received()
      clock.ring()
      await isQuiet.opened
      while (received() < before + ONE_READ) await new Promise((resolve) => setImmediate(resolve))
    }
    const quiet = Buffer.concat(wire)
    const decidedBefore = decided.length
    paused.open()
    await ended

    const decode = (bytes: Buffer): Buffer => Buffer.concat(createDecoder(encoding).decode(bytes))
    expect(decidedBefore).toBe(0)
    expect(untar('gzip', decode(quiet)).status).toBe(1)
    const whole = untar('gzip', decode(Buffer.concat(wire)))
    expect(whole.status).toBe(0)
    expect(decided).toEqual([whole.bytes])
    expect(left()).toBe(whole.bytes)
  },
)

test.each(['gzip', 'zstd', 'xz'] as const)(
  'nothing of the end of %s is yielded when there is no verdict',
  async (name) => {
    const { source, options, compressor, paused, abort } = await setUp(name, randomBytes(MIB), Buffer.alloc(MIB))
    const decide = async (): Promise<void> => {
      await turn()
      throw new BackupError('JOB_INCOMPLETE', 'not complete')
    }
    const out: Buffer[] = []
    paused.open()

    const reading = (async () => {
      for await (const bytes of toPackedArchive(source, { ...options, decide }, compressor)) out.push(bytes)
    })()

    await expect(reading).rejects.toMatchObject({ code: 'JOB_INCOMPLETE' })
    expect(await compressor.settled).toMatchObject({ exitCode: 0, tookAll: true })
    expect(Buffer.concat(out).length).toBeGreaterThan(MIB / 2)
    expect(untar(name, Buffer.concat(out)).status).not.toBe(0)
    abort.abort()
  },
)

test('an engine that fails ends the compressor before its end', async () => {
  const { source, options, compressor, paused } = await setUp('gzip', randomBytes(MIB), randomBytes(MIB))
  const out: Buffer[] = []

  const reading = (async () => {
    for await (const bytes of toPackedArchive(source, options, compressor)) {
      out.push(bytes)
      paused.fail(new BackupError('ENGINE_FAILED', 'the engine failed'))
    }
  })()

  await expect(reading).rejects.toMatchObject({ code: 'ENGINE_FAILED' })
  expect(await compressor.settled).toMatchObject({ isCancelled: true, tookAll: false })
  expect(untar('gzip', Buffer.concat(out)).status).not.toBe(0)
})

test.each(['archive', 'wire'] as const)(
  'nothing of the end of a plain %s is yielded when there is no verdict',
  async (way) => {
    const { source, options, paused, abort } = await setUp('gzip', randomBytes(MIB), Buffer.alloc(MIB))
    let madeBytes = 0
    const decide = async (_: unknown, sentBytes: number): Promise<void> => {
      madeBytes = sentBytes
      await turn()
      throw new BackupError('JOB_INCOMPLETE', 'not complete')
    }
    const wire = { encoder: createEncoder('octet'), blockBytes: 4096, wait: () => new Promise<void>(() => {}) }
    const stream =
      way === 'archive'
        ? toArchive(source, { ...options, decide })
        : toWire(source, { ...options, ...wire, decide, nowMs: () => 0, onQuiet: () => undefined })
    let yieldedBytes = 0
    paused.open()

    const reading = (async () => {
      for await (const out of stream) for (const bytes of [out].flat()) yieldedBytes += bytes.length
    })()

    await expect(reading).rejects.toMatchObject({ code: 'JOB_INCOMPLETE' })
    expect(yieldedBytes).toBeGreaterThan(MIB)
    expect(yieldedBytes).toBeLessThanOrEqual(madeBytes - END_OF_ARCHIVE_BYTES)
    abort.abort()
  },
)

/** Two blocks of zeros. */
const END_OF_ARCHIVE_BYTES = 1024

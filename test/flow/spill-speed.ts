/**
 * How fast a spill is: `node dist/test/flow/spill-speed.js [DIRECTORY]`. No test: figures are no verdict.
 *
 * `through memory`: the consumer keeps up. `onto disk`: the consumer pauses until all is pushed. `off disk`: it
 * then reads. `both at once`: the disk is written while it is read, with the consumer always behind.
 */

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { decoupled, Spill } from '../../lib/flow/index.ts'

const MIB = 1024 * 1024
const directory = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'spill-speed-'))
const chunk = randomBytes(64 * 1024) // what a pipe gives in one read
const nowMs = () => performance.now()

const report = (what: string, bytes: number, ms: number): void => {
  console.log(`${what.padEnd(40)} ${(bytes / 1e6 / (ms / 1000)).toFixed(0).padStart(7)} MB/s`)
}

const source = async function* (bytes: number): AsyncGenerator<Buffer> {
  for (let left = bytes; left > 0; left -= chunk.length) yield chunk
}

const plain = async (bytes: number): Promise<void> => {
  const began = nowMs()
  for await (const piece of source(bytes)) piece.length
  report('no spill at all, 64 KiB pieces', bytes, nowMs() - began)
}

const throughMemory = async (bytes: number): Promise<void> => {
  const spill = new Spill({
    memoryBytes: 64 * MIB,
    random: randomBytes,
    nowMs,
    disk: { directory, maxBytes: 1024 * MIB },
  })
  const began = nowMs()
  for await (const piece of decoupled(source(bytes), spill)) piece.length
  report(`through memory (${spill.state.peakDiskBytes} bytes spilled)`, bytes, nowMs() - began)
}

const throughDisk = async (bytes: number, recordBytes: number): Promise<void> => {
  const disk = { directory, maxBytes: 2 * bytes, recordBytes }
  const spill = new Spill({ memoryBytes: 64 * MIB, random: randomBytes, nowMs, disk })
  const name = `${recordBytes / 1024} KiB records:`
  const began = nowMs()
  for await (const piece of source(bytes)) await spill.push(piece)
  report(`${name} onto disk`, spill.state.peakDiskBytes, nowMs() - began)
  spill.end()
  const middle = nowMs()
  for await (const piece of spill) piece.length
  report(`${name} off disk`, bytes, nowMs() - middle)
  await spill.close()
}

const bothAtOnce = async (bytes: number, recordBytes: number): Promise<void> => {
  const disk = { directory, maxBytes: 2 * bytes, recordBytes }
  const spill = new Spill({ memoryBytes: 64 * MIB, random: randomBytes, nowMs, disk })
  for await (const piece of source(128 * MIB)) await spill.push(piece)
  const began = nowMs()
  let seen = 0
  await Promise.all([
    (async () => {
      for await (const piece of source(bytes)) await spill.push(piece)
      spill.end()
    })(),
    (async () => {
      for await (const piece of spill) seen += piece.length
    })(),
  ])
  report(`${recordBytes / 1024} KiB records: both at once`, seen, nowMs() - began)
  await spill.close()
}

try {
  await plain(4096 * MIB)
  await throughMemory(4096 * MIB)
  for (const recordKib of [128, 256, 512, 1024, 2048, 4096]) {
    await throughDisk(1024 * MIB, recordKib * 1024)
    await bothAtOnce(1024 * MIB, recordKib * 1024)
  }
} finally {
  rmSync(directory, { recursive: true })
}

/**
 * Writes a sealed generation anew, without what may be forgotten.
 *
 *     seal n ─▶ write a part ─▶ set n aside if it is damaged ─▶ link the part as n+1 ─▶ remove n
 *
 * A seal freezes what counts, so anybody can do this, several at once, and any number of
 * times: link(2) lets exactly one become n+1, and whoever dies half way leaves the rest to
 * the next one. Lines of jobs that are kept, and of later versions of ours, are copied byte
 * for byte. Lines that are damaged are not: the old file is kept for them.
 */

import type { FileHandle } from 'node:fs/promises'
import { unlink } from 'node:fs/promises'

import { fileFailure } from './file-failure.ts'
import type { Generation } from './generation.ts'
import { JobLedger, type LedgerLine } from './job-ledger.ts'
import { writeLine } from './journal-line.ts'
import { LineScanner } from './line-scanner.ts'
import { outdated, type Retention } from './retention.ts'
import type { StateDirectory } from './state-directory.ts'

/** Lines of later versions that are kept for every job that is. */
const FOREIGN_LINES_PER_JOB = 4
/** More than the heading of a new generation needs. */
const HEADING_BYTES = 4096
const LF = Buffer.from('\n')

export interface NextGenerationOrder {
  readonly directory: StateDirectory
  readonly retention: Retention
  readonly nowMs: number
  readonly newId: () => string
}

/** A file on the disk that is large enough for the next generation, or will be. */
export interface Part {
  readonly path: string
  readonly file: FileHandle
}

/**
 * Makes sure of the room for the next generation, before the seal: a sealed generation
 * without a successor would keep everybody waiting until there is room.
 *
 * @throws BackupError `HISTORY_FULL`, …; nothing has happened then
 */
export const reservePart = async (generation: Generation, order: NextGenerationOrder): Promise<Part> => {
  const part = await createPart(generation, order)
  try {
    // Bytes and not a hole; what is kept is never longer than what was there.
    await writeAll(part.file, Buffer.alloc(generation.bytes + HEADING_BYTES))
    await part.file.datasync()
    return part
  } catch (error) {
    await discardPart(part)
    throw fileFailure(`make room for a new journal in ${order.directory.path}`, error)
  }
}

/** @param reserved as made by `reservePart`; taken over, and gone afterwards */
export const succeed = async (
  generation: Generation,
  order: NextGenerationOrder,
  reserved?: Part,
): Promise<{ readonly droppedJobs: number }> => {
  const { directory } = order
  const part = reserved ?? (await createPart(generation, order))
  try {
    const { content, droppedJobs, damaged } = await kept(generation, order)
    await writeAll(part.file, content)
    await part.file.truncate(content.length)
    await part.file.sync()
    if (damaged) await directory.setAside(generation.number)
    await directory.publish(part.path, generation.number + 1)
    await directory.removeReplaced()
    return { droppedJobs }
  } catch (error) {
    throw fileFailure(`write a new journal in ${directory.path}`, error)
  } finally {
    await discardPart(part)
  }
}

const createPart = async (generation: Generation, { directory, newId }: NextGenerationOrder): Promise<Part> => {
  const [number, id] = [generation.number + 1, newId()]
  try {
    return { path: directory.part(number, id), file: await directory.createPart(number, id) }
  } catch (error) {
    throw fileFailure(`write a new journal in ${directory.path}`, error)
  }
}

export const discardPart = async ({ path, file }: Part): Promise<void> => {
  await file.close()
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw fileFailure(`remove ${path}`, error)
  })
}

/** The lines up to the seal that are still wanted. */
const kept = async (
  generation: Generation,
  { retention, nowMs, newId }: NextGenerationOrder,
): Promise<{ readonly content: Buffer; readonly droppedJobs: number; readonly damaged: boolean }> => {
  const ledger = new JobLedger()
  const lines: LedgerLine[] = []
  const scanner = new LineScanner(generation.file, {
    take: (bytes) => {
      const understood = ledger.take(bytes)
      if ('line' in understood) lines.push(understood.line)
    },
    takeDamage: () => ledger.takeDamage(),
  })
  await scanner.toEnd()

  const dropped = outdated(ledger.jobs, retention, nowMs)
  const wanted = lines.filter(({ job }) => job === undefined || !dropped.has(job))
  const foreign = wanted.filter(({ known }) => !known)
  const tooMany = new Set(foreign.slice(0, Math.max(0, foreign.length - retention.maxJobs * FOREIGN_LINES_PER_JOB)))
  const heading = writeLine({
    event: 'generation',
    id: newId(),
    at: new Date(nowMs).toISOString(),
    generation: generation.number + 1,
    droppedJobs: dropped.size,
    damagedLines: ledger.damagedLines,
  })
  const copies = wanted.filter((line) => !tooMany.has(line)).flatMap(({ bytes }) => [LF, bytes, LF])
  return {
    content: Buffer.concat([heading, ...copies]),
    droppedJobs: dropped.size,
    damaged: ledger.damagedHere > 0,
  }
}

const writeAll = async (file: FileHandle, bytes: Buffer): Promise<void> => {
  let at = 0
  while (at < bytes.length) at += (await file.write(bytes, at, bytes.length - at, at)).bytesWritten
}

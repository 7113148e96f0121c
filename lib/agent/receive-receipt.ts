/**
 * Waits for the client's word that it has the backup, and compares its count and digest with ours.
 *
 * Whatever comes instead (nothing, rubbish, other numbers, a client that could not keep
 * it) leaves the backup complete and sent, but not delivered. Never throws.
 */

import type { Socket } from 'node:net'

import { BackupError } from '../errors/index.ts'
import type { BackupResult } from '../jobs/index.ts'
import { LIMITS, readReceipt } from '../protocol/index.ts'

export type Receipt =
  | { readonly delivered: true }
  /** Why it is not known whether the client has the backup. */
  | { readonly delivered: false; readonly why: string }

/**
 * Listens from the moment of the call.
 *
 * @param waitMs how long the client may take to make the backup durable
 * @param hurry ends the waiting
 */
export const receiveReceipt = (
  socket: Socket,
  { bytes, sha256 }: BackupResult,
  waitMs: number,
  hurry: AbortSignal,
): Promise<Receipt> =>
  new Promise((resolve) => {
    const chunks: Buffer[] = []
    let length = 0
    const timer = setTimeout(() => give(`no receipt within ${waitMs / 1000} s`), waitMs)

    const settle = (receipt: Receipt): void => {
      clearTimeout(timer)
      hurry.removeEventListener('abort', onHurry)
      socket.off('data', onData).off('end', onEnd).off('close', onEnd)
      resolve(receipt)
    }
    const give = (why: string): void => settle({ delivered: false, why })
    const judge = (): void => {
      try {
        const receipt = readReceipt(Buffer.concat(chunks))
        if (receipt.status === 'FAILED') give(`the client could not keep it: ${receipt.msg}`)
        else if (receipt.bytes !== bytes || receipt.sha256 !== sha256) {
          give(
            `the client has ${receipt.bytes} bytes with the digest ${receipt.sha256}, sent were ${bytes} with ${sha256}`,
          )
        } else if (receipt.status === 'PASSED') {
          give('the client has passed every byte on, and cannot say whether it is kept')
        } else settle({ delivered: true })
      } catch (error) {
        give(error instanceof BackupError ? error.message : String(error))
      }
    }
    const onData = (chunk: Buffer): void => {
      const endsHere = endsBlock(chunks.at(-1), chunk)
      chunks.push(chunk)
      length += chunk.length
      if (length > LIMITS.maxBlockBytes) give('a receipt beyond the limits of a block')
      else if (endsHere) judge()
    }
    const onEnd = (): void => (length === 0 ? give('the client closed without a receipt') : judge())
    const onHurry = (): void => give('the agent ended before the receipt came')

    if (hurry.aborted) return onHurry()
    if (socket.readableEnded || socket.destroyed) return give('the client closed its half before it could answer')
    hurry.addEventListener('abort', onHurry)
    socket.on('data', onData).on('end', onEnd).on('close', onEnd)
  })

/** A block ends with an empty line; whatever follows makes it no receipt. */
const endsBlock = (before: Buffer | undefined, chunk: Buffer): boolean =>
  chunk.includes(EMPTY_LINE) || (chunk[0] === LF && before?.at(-1) === LF)

const LF = 0x0a
const EMPTY_LINE = Buffer.of(LF, LF)

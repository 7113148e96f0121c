/**
 * Single values in a block: reads those that the other side wrote, and writes ours.
 *
 * A value that is there must have its form; a key that is not there is not there. What
 * is written has the form that is read. Pure.
 */

import { BackupError } from '../errors/index.ts'
import { type KvBlock, KvBlockParser } from './kv-block-parser.ts'
import { LIMITS } from './limits.ts'
import { cutToBytes, escapeControls, showWire } from './wire-text.ts'

/** Fifteen digits stay below 2^53. */
const COUNT = /^(?:0|[1-9][0-9]{0,14})$/
export const MAX_COUNT = 999_999_999_999_999
const PERCENT = /^(?:0|[1-9][0-9]?|100)$/
/** Log sequence numbers are 64 bits wide and stay text. */
const LSN = /^[0-9]{1,20}$/
const SHA256 = /^[0-9a-f]{64}$/

export const isCount = (text: string): boolean => COUNT.test(text)
export const isLsn = (text: string): boolean => LSN.test(text)

/** @throws BackupError `PROTOCOL_*` unless the bytes are exactly one block */
export const parseBlock = (bytes: Buffer): KvBlock => {
  const parser = new KvBlockParser()
  const parsed = parser.push(bytes)
  if (parsed === undefined) {
    parser.end()
    throw new BackupError('PROTOCOL_TRUNCATED', 'expected a block, found nothing')
  }
  if (parsed.rest.length > 0) {
    throw new BackupError('PROTOCOL_TRAILING_BYTES', `expected one block, found ${parsed.rest.length} bytes behind it`)
  }
  return parsed.block
}

/** @throws BackupError `PROTOCOL_KEY_MISSING` */
export const required = (block: KvBlock, key: string): string => {
  const text = block.get(key)
  if (text === undefined) throw new BackupError('PROTOCOL_KEY_MISSING', `expected the key ${key} in a block`, { key })
  return text
}

/** @throws BackupError `PROTOCOL_VALUE_INVALID` */
export const optionalCount = (block: KvBlock, key: string): number | undefined =>
  numberOf(optionalOf(block, key, COUNT, 'a number in plain digits'))

/** @throws BackupError `PROTOCOL_VALUE_INVALID` */
export const optionalPercent = (block: KvBlock, key: string): number | undefined =>
  numberOf(optionalOf(block, key, PERCENT, '0 to 100'))

/** @throws BackupError `PROTOCOL_KEY_MISSING`, `PROTOCOL_VALUE_INVALID` */
export const count = (block: KvBlock, key: string): number => {
  required(block, key)
  return optionalCount(block, key) as number
}

/** A log sequence number, as digits. @throws BackupError `PROTOCOL_VALUE_INVALID` */
export const optionalLsn = (block: KvBlock, key: string): string | undefined =>
  optionalOf(block, key, LSN, 'up to 20 digits')

/** @throws BackupError `PROTOCOL_KEY_MISSING`, `PROTOCOL_VALUE_INVALID` */
export const sha256 = (block: KvBlock, key: string): string => {
  required(block, key)
  return optionalOf(block, key, SHA256, '64 hexadecimal digits in small letters') as string
}

/** Drops what is not there, and writes numbers as digits. A number that no reader would take is a bug. */
export const pairsOf = (fields: Readonly<Record<string, string | number | undefined>>): [string, string][] =>
  Object.entries(fields).flatMap(([key, value]) => {
    if (value === undefined) return []
    const text = String(value)
    if (typeof value === 'number' && !isCount(text)) throw new Error(`bug: ${key} cannot be ${text}`)
    return [[key, text]]
  })

/** Free text made fit for a block, however long it is and whatever it holds. */
export const fitting = (text: string): string => cutToBytes(escapeControls(text), LIMITS.maxMessageBytes)

/** Drops what is not there: an absent key says more than one that holds undefined. */
export const present = <Values extends Record<string, unknown>>(
  values: Values,
): { [Key in keyof Values]?: Exclude<Values[Key], undefined> } =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Key in keyof Values]?: Exclude<Values[Key], undefined>
  }

const numberOf = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text))

const optionalOf = (block: KvBlock, key: string, form: RegExp, expected: string): string | undefined => {
  const text = block.get(key)
  if (text === undefined || form.test(text)) return text
  const message = `expected ${expected} as the value of ${key}, found ${showWire(text)}`
  throw new BackupError('PROTOCOL_VALUE_INVALID', message, { key })
}

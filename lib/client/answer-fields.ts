/**
 * Single values of the blocks that an agent answers with.
 *
 * A value that is there must have its form: what a person reads on a screen, or a script
 * out of JSON, is not guessed. Pure.
 */

import { BackupError } from '../errors/index.ts'
import { type KvBlock, showWire } from '../protocol/index.ts'

/** Fifteen digits stay below 2^53. */
const COUNT = /^(?:0|[1-9][0-9]{0,14})$/

/** @throws BackupError `PROTOCOL_ANSWER_INVALID` when it is not there */
export const text = (block: KvBlock, key: string): string => {
  const value = block.get(key)
  if (value !== undefined) return value
  throw new BackupError('PROTOCOL_ANSWER_INVALID', `expected the key ${key} in the agent's answer, found none`, { key })
}

/** @throws BackupError `PROTOCOL_ANSWER_INVALID` when it is not there, or no number in plain digits */
export const count = (block: KvBlock, key: string): number => {
  text(block, key)
  return optionalCount(block, key) as number
}

/** @throws BackupError `PROTOCOL_ANSWER_INVALID` when it is no number in plain digits */
export const optionalCount = (block: KvBlock, key: string): number | undefined => {
  const value = block.get(key)
  if (value === undefined) return undefined
  if (COUNT.test(value)) return Number(value)
  throw unexpected(key, 'a number in plain digits', value)
}

/** @throws BackupError `PROTOCOL_ANSWER_INVALID` when it is not one of these */
export const choice = <Value extends string>(block: KvBlock, key: string, values: readonly Value[]): Value => {
  const found = text(block, key)
  const value = values.find((one) => one === found)
  if (value === undefined) throw unexpected(key, values.join(' or '), found)
  return value
}

const unexpected = (key: string, expected: string, found: string): BackupError =>
  new BackupError(
    'PROTOCOL_ANSWER_INVALID',
    `expected ${expected} as the value of ${key} in the agent's answer, found ${showWire(found)}`,
    { key },
  )

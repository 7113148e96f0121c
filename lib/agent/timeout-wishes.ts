/**
 * Which timeouts of the server a request wants for its backup.
 *
 *     xtrabackup-agent:mysql-wait-timeout=8         below 3600: hours
 *     xtrabackup-agent:mysql-net-timeout=7200       from 3600 on: seconds
 *     xtrabackup-agent:must-set-mysql-timeouts=1    no backup without them
 *
 * Deployed clients write the keys with and without their prefix. Pure. Keys: PROTOCOL.md,
 * "Timeouts of the server".
 */

import { BackupError } from '../errors/index.ts'
import { NO_TIMEOUTS, type TimeoutWishes } from '../jobs/index.ts'

const PREFIX = 'xtrabackup-agent:'
const NUMBER = /^[0-9]{1,9}$/
const HOUR = 3600

type Pairs = ReadonlyMap<string, string>

/** @throws BackupError `PROTOCOL_VALUE_INVALID` */
export const readTimeoutWishes = (pairs: Pairs): TimeoutWishes => {
  const wait = seconds(pairs, 'mysql-wait-timeout')
  const net = seconds(pairs, 'mysql-net-timeout')
  const must = valueOfKey(pairs, 'must-set-mysql-timeouts')
  if (must !== '' && must !== '0' && must !== '1') throw invalid('must-set-mysql-timeouts', '0 or 1')
  if (wait === undefined && net === undefined) return NO_TIMEOUTS
  return { wait, net, mustSet: must === '1' }
}

const seconds = (pairs: Pairs, key: string): number | undefined => {
  const text = valueOfKey(pairs, key)
  if (text === '') return undefined
  if (!NUMBER.test(text)) throw invalid(key, 'a number in plain digits, hours below 3600 and seconds from there on')
  const number = Number(text)
  if (number === 0) return undefined
  return number < HOUR ? number * HOUR : number
}

const valueOfKey = (pairs: Pairs, key: string): string => pairs.get(`${PREFIX}${key}`) || pairs.get(key) || ''

const invalid = (key: string, expected: string): BackupError =>
  new BackupError('PROTOCOL_VALUE_INVALID', `expected ${expected} as the value of ${key}, found something else`, {
    key,
  })

/**
 * One line of the journal: JSON that carries its own checksum.
 *
 *     {"sum":"5f0c7a1e9b3d2468","v":1,"event":"started",…}
 *      └── SHA-256 of everything after its comma, the first 16 hex digits
 *
 * Every line is written with a line feed before *and* after it. What a crash left half
 * written is thereby closed off by whoever comes next, without looking and without a lock,
 * and one damaged line feed never costs more than one line. Empty lines mean nothing.
 *
 * The rest of a line is never understood before its checksum was right. Pure.
 */

import { createHash } from 'node:crypto'

/** The form of the lines that this version writes. Lines of a later form are kept, not read. */
export const LINE_VERSION = 1

/** Longer than any line we write (a request is 64 KiB at most); what is longer is damage. */
export const MAX_LINE_BYTES = 1024 * 1024

const HEAD = '{"sum":"'
const SUM_DIGITS = 16
const SUM_END = HEAD.length + SUM_DIGITS
/** Where the checked bytes begin: after `",`. */
const BODY = SUM_END + 2

const checksum = (body: Buffer): string => createHash('sha256').update(body).digest('hex').slice(0, SUM_DIGITS)

/**
 * @param fields not empty; `undefined` ones are left out
 * @returns the bytes to append, with a line feed at either end
 * @throws Error when the line is longer than whoever reads it accepts: a bug, as requests are limited
 */
export const writeLine = (fields: Readonly<Record<string, unknown>>): Buffer => {
  const body = Buffer.from(JSON.stringify({ v: LINE_VERSION, ...fields }).slice(1))
  if (body.length > MAX_LINE_BYTES - BODY) throw new Error(`bug: a line of the journal with ${body.length} bytes`)
  return Buffer.concat([Buffer.from(`\n${HEAD}${checksum(body)}",`), body, Buffer.from('\n')])
}

/**
 * @param line without its line feeds
 * @returns the fields of a line whose checksum is right, else undefined
 */
export const readLine = (line: Buffer): Readonly<Record<string, unknown>> | undefined => {
  if (line.length <= BODY || line.toString('latin1', 0, HEAD.length) !== HEAD) return undefined
  if (line.toString('latin1', SUM_END, BODY) !== '",') return undefined
  if (line.toString('latin1', HEAD.length, SUM_END) !== checksum(line.subarray(BODY))) return undefined
  try {
    // Only own properties, `__proto__` among them: whoever reads asks for names it knows.
    return JSON.parse(`{${line.toString('utf8', BODY)}`) as Readonly<Record<string, unknown>>
  } catch {
    return undefined // a good checksum over what is no JSON: not written by us
  }
}

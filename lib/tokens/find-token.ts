/**
 * Finds the entry of a token that somebody shows.
 *
 *     token ─▶ SHA-256 ─▶ compared with every entry, in constant time, to the last one
 *
 * A fast hash is right here: it hides what is stored, and what it hides are 256 random bits, which
 * nobody tries out, however fast. A slow one (bcrypt, Argon2) makes up for secrets that people think of; here
 * it would only let every stranger spend this host's time. Pure.
 */

import { createHash, timingSafeEqual } from 'node:crypto'

import type { TokenEntry } from './token-entry.ts'

export const hashOf = (token: string): Buffer => createHash('sha256').update(token, 'utf8').digest()

/** Also one that is expired or revoked: whoever asks decides what that means. */
export const findToken = (entries: readonly TokenEntry[], token: string): TokenEntry | undefined => {
  const shown = hashOf(token)
  let found: TokenEntry | undefined
  for (const entry of entries) {
    const isSame = timingSafeEqual(shown, entry.hash)
    found = isSame ? entry : found // no early end: how long it takes says nothing of what is there
  }
  return found
}

/**
 * One token, as a line of the file says it. The token itself is nowhere: only its hash.
 *
 *     nightly sha256:9f86d0…(64)… backup 2026-03-01T02:00:00Z 2026-05-30T02:00:00Z -
 *     └─┬───┘ └───────┬─────────┘ └─┬──┘ └───────┬──────────┘ └───────┬──────────┘ │
 *     name          hash           role       created              expires      revoked
 *
 * One blank between two fields, `-` for never, times in UTC. Pure.
 */

export interface TokenEntry {
  readonly name: string
  /** SHA-256 of the token's text. */
  readonly hash: Buffer
  readonly role: string
  /** Milliseconds since the epoch, whole seconds; so are the others. */
  readonly createdMs: number
  /** From this moment on it is nothing. Undefined: never. */
  readonly expiresMs: number | undefined
  readonly revokedMs: number | undefined
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/
export const TOKEN_NAME_RULE = '1 to 64 of A-Z a-z 0-9 . _ @ -, the first a letter or digit'
export const isTokenName = (text: string): boolean => NAME.test(text)

/** As the configuration wants the name of a table. */
const ROLE = /^[a-z0-9][a-z0-9_-]{0,31}$/
const HASH = /^sha256:[0-9a-f]{64}$/
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
const NEVER = '-'
const FIELDS = ['name', 'hash', 'role', 'created', 'expires', 'revoked'] as const

/** Whether a token is nothing any more at that moment. */
export const isExpired = ({ expiresMs }: TokenEntry, nowMs: number): boolean =>
  expiresMs !== undefined && nowMs >= expiresMs

/** @returns the entry, or what is wrong with the line, in words that show nothing of it */
export const readEntry = (line: string): TokenEntry | string => {
  const fields = line.split(' ')
  if (fields.length !== FIELDS.length)
    return `expected ${FIELDS.length} fields (${FIELDS.join(', ')}), found ${fields.length}`
  const [name = '', hash = '', role = '', created = '', expires = '', revoked = ''] = fields
  if (!isTokenName(name)) return `expected a name of ${TOKEN_NAME_RULE}`
  if (!HASH.test(hash)) return 'expected sha256: and 64 small hexadecimal digits as the hash'
  if (!ROLE.test(role)) return 'expected the name of a role as the third field'
  const [createdMs, expiresMs, revokedMs] = [instant(created), instant(expires), instant(revoked)]
  if (createdMs === undefined) return 'expected a time, YYYY-MM-DDTHH:MM:SSZ, as the fourth field'
  if (expires !== NEVER && expiresMs === undefined) return 'expected a time or - as the fifth field'
  if (revoked !== NEVER && revokedMs === undefined) return 'expected a time or - as the sixth field'
  return { name, hash: Buffer.from(hash.slice('sha256:'.length), 'hex'), role, createdMs, expiresMs, revokedMs }
}

export const writeEntry = ({ name, hash, role, createdMs, expiresMs, revokedMs }: TokenEntry): string =>
  [name, `sha256:${hash.toString('hex')}`, role, label(createdMs), label(expiresMs), label(revokedMs)].join(' ')

/** A date that there is not (the 30th of February) is none, though `Date` would take it. */
const instant = (text: string): number | undefined => {
  if (!INSTANT.test(text)) return undefined
  const milliseconds = Date.parse(text)
  return !Number.isNaN(milliseconds) && label(milliseconds) === text ? milliseconds : undefined
}

const label = (milliseconds: number | undefined): string =>
  milliseconds === undefined ? NEVER : new Date(milliseconds).toISOString().replace(/\.\d{3}Z$/, 'Z')

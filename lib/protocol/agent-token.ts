/**
 * How a token of an agent is spelled: the secret by which a client shows that it may ask.
 *
 *     kvb_4xQ1…(43)…9ZtK2w8b
 *     └┬─┘└────────┬────────┘└─┬──┘
 *   prefix   256 random bits   CRC-32 of everything before it: base 62, 6 characters
 *
 * The prefix lets people, and programs that look for leaked secrets, see what it is. The
 * checksum lets a client tell a typing mistake from a token that was revoked, without
 * asking; it proves nothing. Letters and digits alone: it survives shells, option files and a
 * double click.
 *
 * Pure. Key and refusals: PROTOCOL.md, "Who may ask".
 */

/** The key of a request, in every version. */
export const AGENT_TOKEN_KEY = 'agent-token'

/** Random bytes in a token. */
export const TOKEN_BYTES = 32

const PREFIX = 'kvb_'
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const BASE = 62n
/** 62^43 > 2^256, 62^6 > 2^32. */
const SECRET_CHARACTERS = 43
const CHECKSUM_CHARACTERS = 6

const TOKEN = new RegExp(`^${PREFIX}[0-9A-Za-z]{${SECRET_CHARACTERS + CHECKSUM_CHARACTERS}}$`)

/** @param random `TOKEN_BYTES` bytes nobody can guess */
export const spellToken = (random: Buffer): string => {
  if (random.length !== TOKEN_BYTES) throw new Error(`bug: a token of ${random.length} random bytes`)
  const secret = PREFIX + inDigits(BigInt(`0x${random.toString('hex')}`), SECRET_CHARACTERS)
  return secret + checksumOf(secret)
}

/** What is wrong with a text that ought to be a token, in words that do not show it; undefined for a good one. */
export const tokenProblem = (text: string): string | undefined => {
  const form = `${PREFIX} and ${SECRET_CHARACTERS + CHECKSUM_CHARACTERS} letters and digits`
  if (!text.startsWith(PREFIX)) return `expected ${form}, found something that does not begin with ${PREFIX}`
  if (!TOKEN.test(text)) return `expected ${form}, found ${text.length - PREFIX.length} characters behind ${PREFIX}`
  const secret = text.slice(0, -CHECKSUM_CHARACTERS)
  return checksumOf(secret) === text.slice(-CHECKSUM_CHARACTERS)
    ? undefined
    : 'its checksum is not right: a character was mistyped'
}

const checksumOf = (secret: string): string => inDigits(BigInt(crc32(secret)), CHECKSUM_CHARACTERS)

/** As `crc32` of node:zlib, which takes a process of inetd longer to load than all the rest of an answer; for a few characters. */
const crc32 = (text: string): number => {
  let sum = -1
  for (const byte of Buffer.from(text, 'latin1')) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? REVERSED_POLYNOMIAL : 0)
  }
  return ~sum >>> 0
}

/** Of CRC-32. Source: RFC 1952, 8. */
const REVERSED_POLYNOMIAL = 0xedb88320

const inDigits = (value: bigint, characters: number): string => {
  let text = ''
  for (let rest = value; text.length < characters; rest /= BASE) text = DIGITS.charAt(Number(rest % BASE)) + text
  return text
}

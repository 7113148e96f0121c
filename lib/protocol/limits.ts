/**
 * The bounds of every message, in one place.
 *
 * They are checked before memory is taken, so that a count of a thousand million or
 * a line without an end costs the reader nothing. Deployed clients send their whole
 * configuration file, 20 to 80 pairs of it, and stay far below.
 *
 * PROTOCOL.md, "Limits", holds the same numbers; a test compares the two.
 */

/** What one block may measure. */
export interface KvLimits {
  readonly maxPairs: number
  /** Bytes of one line, without its LF. */
  readonly maxLineBytes: number
  /** Bytes of a whole block: count line, pairs and empty line, each with its LF. */
  readonly maxBlockBytes: number
}

export const LIMITS = {
  maxPairs: 256,
  maxLineBytes: 8_192,
  maxBlockBytes: 65_536,
  /** Bytes of the count line. Three digits are enough; the rest lets an absurd count be named as such. */
  maxCountBytes: 16,
  /** Bytes of a request's first line. */
  maxVersionBytes: 64,
  /** Bytes of an answer's first line; it need only contain `READY`. */
  maxReadyBytes: 256,
  /** Bytes of `msg` as the agent writes it; a longer text is cut, because a refusal must never fail itself. */
  maxMessageBytes: 2_048,
  /** Bytes of `user`. MariaDB's own bound is 128 characters. */
  maxUserBytes: 512,
  /** Bytes of `password`. */
  maxPasswordBytes: 1_024,
} as const satisfies KvLimits & Record<string, number>

/**
 * A recorded session: what a client said, what the agent answered, and how it ended.
 *
 *     # kv-backup-agent wire session 1     first line, always
 *     # any other comment
 *     > 0.76.1\n                           the client's bytes
 *     >cut                                 what follows leaves in a write of its own
 *     >pause 200                           the same, and so many milliseconds later
 *     >half-close                          the client closes its half
 *     < READY\n                            the agent's bytes, a line at a time
 *     < sid={sid}\n                        a placeholder for what differs from run to run
 *     <stream encoding=uuencode archive=whole members=2
 *     <member directory db
 *     <member file db/t.ibd 1024           what must hold of the stream
 *     <end status=COMPLETE\n               the block in its end frame, a line at a time
 *     >receipt                             what follows is said when the end frame was read
 *     > sha256={sha256}\n
 *     <fin                                 or <reset: how the agent ended it
 *
 * Bytes are printable ASCII; all others are `\n`, `\r`, `\t`, `\\`, `\{` or `\xHH`, so
 * that nothing invisible can differ. A newline is never implied. Placeholders: in the
 * client's lines `{password}` and `{token}`, filled at replay, because a session file holds no secret;
 * in the agent's lines also `{text}` (anything but a newline), `{version}` (numbers with
 * dots between) and `{sid}` (anything, and the same everywhere). Behind a stream, on both
 * sides, `{bytes}` and `{sha256}` are what was counted of the archive that arrived.
 *
 * Types only. The text is read in `recorded-session-parser.ts`, written in
 * `recorded-session-writer.ts`.
 */

import type { EncodingName } from '../encodings/index.ts'

/** First line of every session file; the number changes when an old reader would misread a new file. */
export const SESSION_MAGIC = '# kv-backup-agent wire session '
export const SESSION_FORMAT = 1

export const PLACEHOLDERS = ['password', 'token', 'sid', 'text', 'version', 'bytes', 'sha256'] as const
export type PlaceholderName = (typeof PLACEHOLDERS)[number]

/** How a stream is dressed: a name of `ENCODINGS`, or in frames. */
export type SessionEncoding = EncodingName | 'framed'

/** What an archive may be compressed with, in a session that can be replayed: what needs no program to be undone. */
export type SessionCompression = 'gzip'

/** Bytes, with placeholders between them. */
export type WireText = readonly (Buffer | { readonly placeholder: PlaceholderName })[]

/** What must hold of a stream; what is absent is not looked at. */
export interface ExpectedStream {
  readonly encoding: SessionEncoding
  /** Absent: it is not compressed. */
  readonly compression?: SessionCompression | undefined
  /** `whole`: proved from its first byte to its end. `cut`: stops where GNU tar refuses to; in frames, anywhere. */
  readonly archive: 'whole' | 'cut'
  /** Of a framed stream: `P` when it begins with progress, `D` when data came, `E` when the end frame came. */
  readonly frames?: string | undefined
  /** The block size the client asked for: uuencode comes in the frames that gives. */
  readonly blockBytes?: number | undefined
  readonly engine?: string | undefined
  readonly members?: number | undefined
  /** Bytes of the archive, before compression and encoding. */
  readonly bytes?: number | undefined
  /** Digest of the archive: for those that are the same on every machine. */
  readonly sha256?: string | undefined
  /** When there are any, all members in this order. */
  readonly memberList: readonly ExpectedMember[]
  /** When there are any, all lines of the block in the end frame. */
  readonly endLines: readonly ExpectedEndLine[]
}

export interface ExpectedEndLine {
  readonly line: number
  readonly text: WireText
}

export interface ExpectedMember {
  readonly line: number
  readonly type: 'file' | 'directory'
  readonly path: string
  /** Absent: any size. */
  readonly sizeBytes?: number | undefined
}

/** One line of the file; `line` is its number, from 1. */
export type SessionStep = { readonly line: number } & (
  | { readonly kind: 'comment'; readonly text: string }
  | { readonly kind: 'send'; readonly text: WireText }
  | { readonly kind: 'cut' }
  | { readonly kind: 'pause'; readonly milliseconds: number }
  | { readonly kind: 'half-close' }
  /** What the client says from here on waits for the end frame. */
  | { readonly kind: 'receipt' }
  | { readonly kind: 'answer'; readonly text: WireText }
  | { readonly kind: 'stream'; readonly expected: ExpectedStream }
  | { readonly kind: 'end'; readonly how: SessionEnd }
)

/** How the agent ended the connection: cleanly, or with a reset. Behind a half-close one may pass for the other. */
export type SessionEnd = 'fin' | 'reset'

export interface RecordedSession {
  /** Where it was read from, for messages; absent for a text. */
  readonly file?: string | undefined
  readonly steps: readonly SessionStep[]
}

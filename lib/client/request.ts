/**
 * Asks an agent for a backup and reads its answer, up to the first byte of the stream.
 *
 * A broken connection comes out of the stream as an error; a clean end comes out as an
 * end, and is proof of nothing.
 */

import { ENCODINGS, type EncodingName } from '../encodings/index.ts'
import { BackupError } from '../errors/index.ts'
import { AGENT_PROTOCOL_VERSION, AnswerReader, type KvBlock, writeRequest } from '../protocol/index.ts'
import { dial, interrupted, type Socket } from './request-connection.ts'

export { interrupted } from './request-connection.ts'

export interface BackupRequest {
  readonly host: string
  readonly port: number
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly sid?: string | undefined
  readonly encoding: EncodingName
  /** How long connecting may take. */
  readonly connectMs: number
  /** How long the agent may be silent while we wait for it. */
  readonly silenceMs: number
  readonly signal: AbortSignal
}

export interface OpenStream {
  /** The block after READY: `status`, `msg`, `sid`. */
  readonly answer: KvBlock
  /** Encoded bytes, until the agent ends the connection. */
  readonly wire: AsyncIterable<Buffer>
  close(): void
}

/** A full backup is started by the request whose `file` says so. Source: wire-facts, "file". */
const FULL_BACKUP_FILE = 'backup/ZRM_LINKS/.'

/**
 * @throws BackupError `CLIENT_CONNECT`, `CLIENT_REFUSED` (with the agent's own words), `CLIENT_NO_STREAM`,
 *   `PROTOCOL_ANSWER_INVALID`, `CLIENT_INTERRUPTED`
 */
export const openStream = async (request: BackupRequest): Promise<OpenStream> => {
  const socket = await dial(request)
  const chunks = received(socket, request)
  try {
    socket.write(writeRequest(AGENT_PROTOCOL_VERSION, pairs(request)))
    const { answer, rest } = await readAnswer(chunks, socket)
    return { answer, wire: joined(rest, chunks), close: () => socket.destroy() }
  } catch (error) {
    await chunks.return(undefined) // ends its timer too, which would keep the process alive
    socket.destroy()
    throw error
  }
}

const pairs = ({ user, password, sid, encoding }: BackupRequest): [string, string][] => [
  ['action', 'copy from'],
  ...(user === undefined ? [] : ([['user', user]] satisfies [string, string][])),
  ...(password === undefined ? [] : ([['password', password]] satisfies [string, string][])),
  ['backup-level', '0'],
  ['replication', '0'],
  ['file', FULL_BACKUP_FILE],
  ...(sid === undefined ? [] : ([['sid', sid]] satisfies [string, string][])),
  ['agent-stream-encoding', ENCODINGS[encoding]],
]

/** Everything the agent sends. A reset, a silence or an abort is thrown, never an end. */
async function* received(socket: Socket, { silenceMs, signal }: BackupRequest): AsyncGenerator<Buffer> {
  let failure: BackupError | undefined
  const give = (reason: BackupError): void => {
    failure ??= reason
    socket.destroy(reason)
  }
  const onAbort = (): void => give(interrupted(signal))
  // Counts only while we wait for the agent: our own slow disk is not its silence.
  let waiting = true
  const silence = setTimeout(() => {
    if (waiting)
      give(new BackupError('CLIENT_SILENCE', `the agent sent nothing for ${silenceMs / 1000} s`, { silenceMs }))
  }, silenceMs)
  signal.addEventListener('abort', onAbort)
  try {
    if (signal.aborted) onAbort()
    for await (const chunk of socket) {
      waiting = false
      yield chunk as Buffer
      waiting = true
      silence.refresh()
    }
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown'
    const cut = `the connection to the agent broke (${code})`
    throw failure ?? new BackupError('CLIENT_CUT', cut, { errno: code }, { cause, hint: CUT_HINT })
  } finally {
    clearTimeout(silence)
    signal.removeEventListener('abort', onAbort)
    socket.destroy()
  }
}

const CUT_HINT = 'the agent resets the connection when a backup fails: its log says why'

const readAnswer = async (
  chunks: AsyncGenerator<Buffer>,
  socket: Socket,
): Promise<{ answer: KvBlock; rest: Buffer }> => {
  const reader = new AnswerReader()
  const where = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? '?'}`
  for (;;) {
    const next = await chunks.next()
    if (next.done === true) {
      reader.end()
      throw new BackupError('PROTOCOL_ANSWER_INVALID', `expected an answer from ${where}, it closed the connection`)
    }
    const answer = reader.push(next.value)
    if (answer === undefined) continue
    const status = answer.block.get('status') ?? ''
    const msg = answer.block.get('msg') ?? 'no reason given'
    if (!answer.ready || status === 'FAILED') {
      throw new BackupError('CLIENT_REFUSED', `the agent refused: ${msg}`, {
        status,
        agentCode: answer.block.get('code') ?? null,
      })
    }
    if (status !== 'SENDING') {
      throw new BackupError('CLIENT_NO_STREAM', `the agent sends no backup (status ${status}): ${msg}`, { status })
    }
    return { answer: answer.block, rest: answer.rest }
  }
}

async function* joined(first: Buffer, others: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  try {
    if (first.length > 0) yield first
    yield* others
  } finally {
    await others.return(undefined)
  }
}

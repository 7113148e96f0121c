/**
 * A server that plays an agent byte by byte, as its scripts say: right, wrong, cut off, reset.
 *
 *     const agent = await ScriptedAgent.start(async (caller) => {
 *       await caller.request()
 *       caller.say(ACCEPTED, SENDING, framed(archive))
 *       answer = await caller.lastWords()
 *     })
 */

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'

import { blockFrame, dataFrames } from '../../lib/encodings/index.ts'
import {
  type CompleteBlock,
  type SessionFacts,
  sessionPairs,
  writeEnd,
  writeProgress,
  writeReady,
  writeStatus,
} from '../../lib/protocol/index.ts'
import { archive, mark, member } from '../archive/tar-forge.ts'

/** One client, from its connection to its end. */
export class Caller {
  readonly socket: Socket
  readonly #chunks: Buffer[] = []
  readonly #ended: Promise<void>
  #requestBytes = 0
  #wake: () => void = () => undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    this.#ended = new Promise((resolve) => {
      socket
        .on('end', resolve)
        .on('close', resolve)
        .on('error', () => resolve())
    })
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#wake()
    })
  }

  /** What the client asks, when it is whole: a version line, a block, an empty line. */
  async request(): Promise<string> {
    let asked = Buffer.concat(this.#chunks)
    while (!asked.includes('\n\n')) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        void this.#ended.then(resolve)
      })
      asked = Buffer.concat(this.#chunks)
      if (this.socket.destroyed || this.socket.readableEnded) break
    }
    const end = asked.indexOf('\n\n')
    this.#requestBytes = end === -1 ? asked.length : end + 2
    return asked.toString('utf8', 0, this.#requestBytes)
  }

  say(...pieces: readonly (Buffer | string)[]): void {
    this.socket.write(Buffer.concat(pieces.map((piece) => Buffer.from(piece))))
  }

  /** What the client has said behind its request, when it has closed its half or is gone. */
  async lastWords(): Promise<string> {
    await this.#ended
    return Buffer.concat(this.#chunks).subarray(this.#requestBytes).toString()
  }
}

export type Script = (caller: Caller) => Promise<void> | void

export class ScriptedAgent {
  readonly #server: Server
  readonly host = '127.0.0.1'
  readonly port: number
  /** Resolves when every script that has begun is done, and throws what one of them threw. */
  readonly #played: Promise<void>[] = []

  private constructor(server: Server) {
    this.#server = server
    this.port = (server.address() as { port: number }).port
  }

  /** @param scripts one for each connection, in their order; the last one for all that come then */
  static async start(...scripts: readonly [Script, ...Script[]]): Promise<ScriptedAgent> {
    const server = createServer({ allowHalfOpen: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const agent = new ScriptedAgent(server)
    let connections = 0
    server.on('connection', (socket) => {
      const script = scripts[Math.min(connections, scripts.length - 1)] as Script
      connections += 1
      const played = Promise.resolve(script(new Caller(socket)))
      played.catch(() => socket.destroy())
      agent.#played.push(played)
    })
    return agent
  }

  /** How many connections there were. */
  get connections(): number {
    return this.#played.length
  }

  /** Waits for the scripts, and closes. */
  async close(): Promise<void> {
    await Promise.all(this.#played)
    this.#server.close()
  }
}

export const SESSION: SessionFacts = {
  agent: 'kv-backup-agent/0.1.0',
  protocol: '0.77.0',
  engine: 'mariadb-backup',
  engineVersion: '10.11.19',
  format: 'tar',
  encoding: 'application/x-framed-stream',
  compression: 'none',
}

/** `READY` and the block that accepts. */
export const accepted = (changes: Partial<SessionFacts> = {}): Buffer =>
  Buffer.concat([
    writeReady(),
    writeStatus({ status: 'ACCEPTED', msg: 'starting', sid: 'nightly' }, sessionPairs({ ...SESSION, ...changes })),
  ])

export const SENDING = writeStatus({ status: 'SENDING', msg: 'here it comes', sid: 'nightly' })

/** What an agent of 0.76 says to a client of 0.77. */
export const TOO_NEW = writeStatus(
  { status: 'FAILED', msg: 'Incompatible client version 0.77.0. This agent speaks 0.76.1' },
  [['code', 'PROTOCOL_VERSION_INCOMPATIBLE']],
)

/** The smallest whole backup: a directory with one file of three bytes. */
export const SMALL_ARCHIVE = archive(
  mark({ engine: 'directory', engineVersion: '1', entries: 1, bytes: 3 }),
  member({ name: 'ibdata1' }, 'abc'),
)

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** The right end of an archive. */
export const complete = (bytes: Buffer, changes: Partial<CompleteBlock> = {}): CompleteBlock => ({
  status: 'COMPLETE',
  msg: 'done',
  sid: 'nightly',
  bytes: bytes.length,
  sha256: sha256(bytes),
  entries: 1,
  coordinates: {},
  lsn: {},
  paddedFiles: 0,
  paddedBytes: 0,
  engine: 'mariadb-backup',
  engineVersion: '10.11.19',
  engineExit: 0,
  ...changes,
})

export const endFrame = (bytes: Buffer, changes: Partial<CompleteBlock> = {}): Buffer =>
  blockFrame('end', writeEnd(complete(bytes, changes)))

export const progressFrame = (percent: number): Buffer =>
  blockFrame('progress', writeProgress({ bytes: percent, sent: 0, files: 1, stage: 'copying', percent, eta: 7 }))

/** Everything behind `SENDING`: progress, data in pieces, progress between them, the end. */
export const framed = (bytes: Buffer, changes: Partial<CompleteBlock> = {}, pieceBytes = 1000): Buffer => {
  const frames: Buffer[] = [progressFrame(0)]
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    frames.push(...dataFrames(bytes.subarray(at, at + pieceBytes)), progressFrame(50))
  }
  return Buffer.concat([...frames, endFrame(bytes, changes)])
}

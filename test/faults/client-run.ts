/**
 * `backup-client fetch` as its users run it, in a process of its own, and what it has left.
 */

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Readable } from 'node:stream'

import { CLIENT_PROGRAM } from '../rig/agent-process.ts'
import { forgetProcess, watchProcess } from '../rig/guard.ts'
import { plainEnvironment } from '../rig/run-program.ts'
import { type Dialogue, dialogueOf, type Encoding } from './product.ts'

export interface ClientOrder {
  /** `host:port` */
  readonly address: string
  /** An empty directory of this run. */
  readonly directory: string
  readonly encoding: Encoding
  /** That of the encoding by default. */
  readonly protocol?: Dialogue
  readonly sid: string
  /** Left out: none are sent. */
  readonly login?: { readonly user: string; readonly password: string }
  readonly silenceSeconds?: number
  /** Where the archive goes; `backup.tar` in the directory by default. */
  readonly out?: string
  /** A directory to unpack into, in place of an archive. */
  readonly extract?: string
  /** Where the receipt goes; beside the archive by default. */
  readonly receiptFile?: string
  /** What starts the client and becomes it: `ip netns exec …`. */
  readonly launcher?: readonly string[]
}

/** What `--json` prints of a complete backup. */
export interface ClientReceipt {
  readonly status: 'COMPLETE'
  readonly bytes: number
  readonly sha256: string
  readonly files: number
  readonly coordinates: unknown
  readonly lsn: unknown
}

export interface ClientEnd {
  readonly exitCode: number | null
  readonly killedBy: NodeJS.Signals | null
  /** The receipt, or why there is none; undefined when the client could not say. */
  readonly report:
    | ClientReceipt
    | { readonly status: 'FAILED'; readonly code: string; readonly message: string }
    | undefined
  /** Everything it said, for the search for secrets. */
  readonly said: string
  /** Path of the archive under its final name. */
  readonly final: string
  readonly hasFinal: boolean
  /** Other files of this run that are still there, a receipt without its archive among them. */
  readonly leftBehind: readonly string[]
  readonly seconds: number
}

export class ClientRun {
  readonly #process: ChildProcessByStdio<null, Readable, Readable>
  readonly ended: Promise<ClientEnd>

  constructor(order: ClientOrder) {
    const { address, directory, encoding, sid, login, silenceSeconds = 60, launcher = [] } = order
    const { protocol = dialogueOf(encoding) } = order
    const final = order.out ?? join(directory, 'backup.tar')
    const passwordFile = join(directory, 'password')
    if (login !== undefined) writeFileSync(passwordFile, `${login.password}\n`, { mode: 0o600 })
    const words = [
      ...[...launcher, process.execPath, CLIENT_PROGRAM, 'fetch', address],
      ...[
        ...(order.extract === undefined ? ['--out', final] : ['--extract', order.extract]),
        ...(order.receiptFile === undefined ? [] : ['--receipt-file', order.receiptFile]),
        '--encoding',
        encoding,
        '--protocol',
        protocol,
        '--sid',
        sid,
        '--json',
        '--silence-seconds',
        String(silenceSeconds),
      ],
      ...(login === undefined ? [] : ['--user', login.user, '--password-file', passwordFile]),
    ]
    const started = performance.now()
    const child = spawn(words[0] ?? '', words.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: plainEnvironment(),
      detached: true, // Ctrl-C in a terminal is for us
    })
    this.#process = child
    if (child.pid !== undefined) watchProcess(child.pid, CLIENT_PROGRAM)
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    this.ended = once(child, 'close').then(([exitCode, killedBy]) => {
      if (child.pid !== undefined) forgetProcess(child.pid)
      return {
        exitCode,
        killedBy,
        report: parseReport(stdout),
        said: stdout + stderr,
        final,
        hasFinal: existsSync(final),
        leftBehind: leftBehind(directory, final),
        seconds: (performance.now() - started) / 1000,
      }
    })
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name)
  }
}

/** Fetches once, to the end, whatever that is. */
export const fetchOnce = (order: ClientOrder): Promise<ClientEnd> => new ClientRun(order).ended

const leftBehind = (directory: string, final: string): string[] => {
  const ours = ['password', ...(existsSync(final) ? [basename(final), `${basename(final)}.receipt`] : [])]
  return readdirSync(directory).filter((name) => !ours.includes(name))
}

const parseReport = (stdout: string): ClientEnd['report'] => {
  try {
    return JSON.parse(stdout) as ClientEnd['report']
  } catch {
    return undefined
  }
}

/** `exit 5 ARCHIVE_TRUNCATED`, for a sentence. */
export const describeEnd = ({ exitCode, killedBy, report }: ClientEnd): string =>
  [killedBy ?? `exit ${exitCode}`, report?.status === 'FAILED' ? report.code : (report?.status ?? 'no report')].join(
    ' ',
  )

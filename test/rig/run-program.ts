/** Runs a program to its end and hands back everything it said. For tests and the demo. */

import { spawn } from 'node:child_process'
import { createReadStream, createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

export interface ProgramOptions {
  /** Text or bytes for its standard input. Without it, and without `inputFile`, the input is empty. */
  readonly input?: string | Buffer
  readonly inputFile?: string
  /** Where its standard output goes; `stdout` is then empty. */
  readonly outputFile?: string
  readonly directory?: string
  /** The whole environment; ours by default, without what Jest put there. */
  readonly environment?: Readonly<Record<string, string>>
  /** Kills the program. */
  readonly signal?: AbortSignal
  /**
   * Whether Ctrl-C in a terminal passes the program by, because the caller ends it otherwise.
   * It does for a program with a `signal`.
   */
  readonly apart?: boolean
}

export interface ProgramRun {
  readonly exitCode: number | null
  readonly killedBy: NodeJS.Signals | null
  readonly stdout: Buffer
  readonly stderr: string
  readonly seconds: number
}

/** Debian keeps servers in /usr/sbin, which is not in an ordinary user's PATH. */
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`

/** Our environment as a program outside Jest would see it. */
export const plainEnvironment = (): Record<string, string> => {
  const { NODE_OPTIONS: _, JEST_WORKER_ID: __, NODE_ENV: ___, ...rest } = process.env
  return { ...(rest as Record<string, string>), PATH }
}

/** Runs it, and says how it ended. Throws only when it cannot be started. */
export const runProgram = async (
  program: string,
  options: readonly string[],
  { input, inputFile, outputFile, directory, environment, signal, apart = signal !== undefined }: ProgramOptions = {},
): Promise<ProgramRun> => {
  const started = performance.now()
  const child = spawn(program, options, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: environment ?? plainEnvironment(),
    detached: apart,
    ...(directory === undefined ? {} : { cwd: directory }),
    ...(signal === undefined ? {} : { signal, killSignal: 'SIGKILL' }),
  })
  const closed = new Promise<readonly [number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.on('error', (error) => {
      // With an abort the process exists, and its end is what we wait for.
      if (error.name !== 'AbortError') reject(error)
    })
    child.on('close', (code, killedBy) => resolve([code, killedBy]))
  })
  const fed = feed(child.stdin, input, inputFile)
  const [end, stdout, stderr] = await Promise.all([
    closed,
    outputFile === undefined
      ? collect(child.stdout)
      : pipeline(child.stdout, createWriteStream(outputFile)).then(() => Buffer.alloc(0)),
    collect(child.stderr),
    fed,
  ])
  const [exitCode, killedBy] = end
  const seconds = (performance.now() - started) / 1000
  return { exitCode, killedBy, stdout, stderr: stderr.toString(), seconds }
}

/** Like `runProgram`, but anything else than exit status 0 is thrown, with the end of what it said. */
export const mustRun = async (
  program: string,
  options: readonly string[],
  settings?: ProgramOptions,
): Promise<ProgramRun> => {
  const run = await runProgram(program, options, settings)
  if (run.exitCode === 0) return run
  const end = run.killedBy === null ? `exit status ${run.exitCode}` : `killed by ${run.killedBy}`
  throw new Error(`${program} failed (${end}): ${lastLines(run.stderr || run.stdout.toString(), 8)}`)
}

/** The end of a text, for an error message. */
export const lastLines = (text: string, lines: number): string => text.trimEnd().split('\n').slice(-lines).join('\n')

const collect = async (stream: Readable): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

const feed = async (stdin: NodeJS.WritableStream, input?: string | Buffer, inputFile?: string): Promise<void> => {
  const source = inputFile === undefined ? Readable.from([Buffer.from(input ?? '')]) : createReadStream(inputFile)
  try {
    await pipeline(source, stdin)
  } catch (error) {
    // A program need not read its input to the end; its exit status tells what it thinks.
    if (!['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'].includes((error as NodeJS.ErrnoException).code ?? '')) {
      throw error
    }
  }
}

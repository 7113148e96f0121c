/**
 * Starts a program, watches it, stops it, and says how it ended. The only place that does.
 *
 * No shell; its own process group; a new environment; nothing on stdin, unless the caller
 * has something for it; stdout is a stream that waits for its reader; stderr is always
 * drained, because a program whose stderr nobody reads stops in the middle of its locks
 * (162 kB with 500 tables).
 *
 * Cancelling: stdout destroyed → SIGINT to the group → grace → SIGKILL → reaped. SIGTERM
 * is no use: mariadb-backup blocks it and runs on to its end.
 *
 * An agent that is killed by SIGKILL can stop nobody, so where the host can, the kernel
 * is asked to kill the child then; and a lock that excludes other children is held by the
 * child itself. Both by programs that become the next by exec: `host-guards.ts`.
 *
 * Knows nothing about backups. Rules: SECURITY.md, "What is protected today".
 */

import type { Readable, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'

import { BackupError } from '../errors/index.ts'
import type { LentBuffers } from '../flow/index.ts'
import { ChildOutput, type ChildSocket, openChildSocket } from './child-output.ts'
import { startProcess } from './child-start.ts'
import { guardWords } from './host-guards.ts'
import { forgetGroup, rememberGroup, signalGroup } from './process-group.ts'

/** Between SIGINT and SIGKILL. mariadb-backup dies of SIGINT at once. */
export const GRACE_MS = 3000

export interface ChildOrder {
  /** Absolute path. */
  readonly program: string
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly workingDirectory: string
  /** A pipe: the caller writes to `Child.stdin`, and ends it. Left out: the child finds nothing there. */
  readonly stdin?: 'pipe' | undefined
  /**
   * A directory that is ours alone: the child's output is read in large pieces, through a socket that is made there.
   * Left out, or where none can be made: through a pipe, in smaller ones.
   */
  readonly largeReadsIn?: string | undefined
  /** Becomes descriptor 3 of the child. The caller keeps its own and closes it after the start. */
  readonly descriptor3?: number | undefined
  /**
   * File or directory that is locked as long as the child lives; the program inherits the lock. Held by somebody
   * else, the program is not run: the child ends with `LOCK_HELD_EXIT` and without a word or a byte.
   */
  readonly lock?: string | undefined
  readonly signal: AbortSignal
  /** Called once with the process id, before anything the program says. Must not throw. */
  readonly onStart?: ((pid: number) => void) | undefined
  /** Every piece of stderr, as it comes. Must not throw. */
  readonly onStderr: (chunk: Buffer) => void
  readonly graceMs?: number | undefined
}

export interface ChildEnd {
  readonly exitCode: number | undefined
  readonly signal: string | undefined
}

export interface Child {
  /** Also the id of its process group. */
  readonly pid: number
  /** Where the order asked for it. What the child does not take any more is told to the write, not by an event. */
  readonly stdin: Writable | undefined
  /** To be read with `for await`; it does not flow by itself, but for what is read ahead. */
  readonly stdout: Readable | ChildOutput
  /** What the pieces of stdout stand in, where the order asked for large reads and got them. */
  readonly buffers: LentBuffers | undefined
  /** Bytes of stdout that have come so far, read or not. */
  outputBytes(): number
  /** Whether it was reaped. Its output may still have to be read. */
  hasEnded(): boolean
  /** Never rejects. Resolves after 'close': reaped, and nobody holds its stdout and stderr any more; its group is gone. */
  readonly settled: Promise<ChildEnd>
}

/**
 * Starts a child.
 *
 * @throws BackupError `ENGINE_UNUSABLE` when the program cannot be started; the signal's reason when it is already aborted
 */
export const startChild = async (order: ChildOrder): Promise<Child> => {
  order.signal.throwIfAborted()
  const { execa } = await import('execa') // with the first child: most questions need none
  order.signal.throwIfAborted()
  const socket = order.largeReadsIn === undefined ? undefined : await socketFor(order, order.largeReadsIn)
  const [file = order.program, ...args] = [...guardWords(order.lock), order.program, ...order.args]
  const options = {
    cwd: order.workingDirectory,
    env: { ...order.environment },
    extendEnv: false,
    shell: false,
    detached: true, // its own process group
    cleanup: false, // execa's would send SIGTERM; see process-group.ts
    buffer: false,
    encoding: 'buffer',
    reject: false,
    stripFinalNewline: false,
    // execa's types know the descriptors 3 to 9 only; it takes any.
    stdio: [
      order.stdin ?? 'ignore',
      socket?.childEnd ?? 'pipe',
      'pipe',
      ...(order.descriptor3 === undefined ? [] : [order.descriptor3 as 3]),
    ],
  } as const
  const { started: subprocess } = await startProcess(() => execa(file, args, options))
    .catch((error: unknown) => {
      const failure = cannotStart(order, (error as Error).message)
      socket?.output.destroy(failure)
      throw failure
    })
    .finally(() => socket?.childEnd.destroy()) // the child has its own
  const { pid, stderr } = subprocess
  const stdout = socket?.output ?? (subprocess.stdout as Readable | null)
  const stdin = order.stdin === undefined ? undefined : (subprocess.stdin ?? undefined)
  if (pid === undefined || stdout === null || stderr === null) {
    const { originalMessage = 'unknown reason' } = (await subprocess) as { originalMessage?: string }
    const failure = cannotStart(order, originalMessage)
    socket?.output.destroy(failure)
    throw failure
  }
  rememberGroup(pid)
  order.onStart?.(pid)

  const closed = new Promise<ChildEnd>((resolve) => {
    subprocess.once('close', (code: number | null, signal: string | null) => {
      resolve({ exitCode: code ?? undefined, signal: signal ?? undefined })
    })
  })
  let reaped = false
  subprocess.once('exit', () => {
    reaped = true // from here on the number may become another program's: it is never signalled again
    signalGroup(pid, 'SIGKILL') // whatever the program has left behind in its group
    forgetGroup(pid)
  })
  subprocess.catch(() => {}) // how it ended is told by 'close'
  if (!(stdout instanceof ChildOutput)) keepForItsReader(stdout)
  stderr.on('error', () => {})
  stdin?.on('error', () => {})
  stderr.on('data', order.onStderr)

  const cancel = (): void => {
    stdout.destroy(order.signal.reason as Error) // whoever reads it is told why
    stdin?.destroy()
    const stopped = reaped ? Promise.resolve() : stopGroup(pid, closed, order.graceMs ?? GRACE_MS, () => reaped)
    void stopped.finally(() => stderr.destroy()) // a stranger who inherited it must not keep 'close' from coming
  }
  if (order.signal.aborted)
    cancel() // `onStart` did it: there is no event for that any more
  else order.signal.addEventListener('abort', cancel, { once: true })

  const settled = Promise.all([closed, socket?.output.closed]).then(([end]) => {
    order.signal.removeEventListener('abort', cancel)
    return end
  })
  return {
    pid,
    stdin,
    stdout,
    buffers: socket?.output.buffers,
    outputBytes: () => (stdout as Pick<ChildOutput, 'bytesRead'>).bytesRead, // a pipe is a socket to Node
    hasEnded: () => reaped,
    settled,
  }
}

/** @returns undefined where no socket can be made, on some file systems for one: a pipe does it too, more slowly */
const socketFor = async (order: ChildOrder, directory: string): Promise<ChildSocket | undefined> => {
  const socket = await openChildSocket(directory).catch(() => undefined)
  if (socket === undefined || !order.signal.aborted) return socket
  socket.childEnd.destroy()
  socket.output.destroy(order.signal.reason)
  throw order.signal.reason
}

const cannotStart = ({ program }: ChildOrder, why: string): BackupError =>
  new BackupError('ENGINE_UNUSABLE', `${program} cannot be started: ${why}`, { program })

const keepForItsReader = (stdout: Readable): void => {
  stdout.on('error', () => {}) // told to whoever reads it; not reading it must not be fatal
  // When a child ends, Node makes whatever output nobody listens to flow away, to get at its end. A listener keeps
  // it, however late its reader comes.
  stdout.on('readable', () => {})
}

const stopGroup = async (
  group: number,
  closed: Promise<unknown>,
  graceMs: number,
  isReaped: () => boolean,
): Promise<void> => {
  if (!signalGroup(group, 'SIGINT')) return
  const abort = new AbortController()
  const grace = delay(graceMs, undefined, { signal: abort.signal }).catch(() => {})
  await Promise.race([closed, grace])
  abort.abort()
  if (!isReaped()) signalGroup(group, 'SIGKILL')
}

/**
 * What a killed or failed program has left on the host: processes, files, secrets.
 *
 * Looks at the kernel's own lists, and never at what a program says of itself.
 */

import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** A process, told apart from a later one with the same number. */
export interface SeenProcess {
  readonly pid: number
  readonly startTicks: string
  /** What it was started with, for people. */
  readonly command: string
}

interface Stat {
  readonly state: string
  readonly parent: number
  readonly startTicks: string
}

/** What follows the name in /proc/<pid>/stat: state, parent, …; the 20th is the start. Source: proc(5). */
const statOf = (pid: number): Stat | undefined => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const [state = '', parent = '', ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state, parent: Number(parent), startTicks: rest[17] ?? '' }
  } catch {
    return undefined
  }
}

const pids = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)

const see = (pid: number): SeenProcess | undefined => {
  const startTicks = statOf(pid)?.startTicks
  return startTicks === undefined ? undefined : { pid, startTicks, command: wordsOf(pid, 'cmdline') }
}

/** Arguments or environment of a process, with spaces for the zero bytes; empty when it is gone. */
const wordsOf = (pid: number, which: 'cmdline' | 'environ'): string =>
  readable(`/proc/${pid}/${which}`).replaceAll('\0', ' ')

const readable = (path: string): string => {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

/** Children of a process, their children, and so on. */
export const descendantsOf = (pid: number): SeenProcess[] => {
  const children = new Map<number, number[]>()
  for (const one of pids()) {
    const parent = statOf(one)?.parent
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), one])
  }
  const below = (parent: number): number[] => (children.get(parent) ?? []).flatMap((child) => [child, ...below(child)])
  return below(pid).flatMap((one) => see(one) ?? [])
}

/** Whether it still runs. A zombie does not: only its parent can make it go. */
export const runs = ({ pid, startTicks }: SeenProcess): boolean => {
  const stat = statOf(pid)
  return stat !== undefined && stat.startTicks === startTicks && stat.state !== 'Z' && stat.state !== 'X'
}

/** Processes that have to do with a directory: in their arguments, as working directory, or by an open file. */
export const processesTouching = (directory: string): SeenProcess[] =>
  pids().flatMap((pid) => {
    if (pid === process.pid) return []
    const places = [wordsOf(pid, 'cmdline'), linkOf(`/proc/${pid}/cwd`), ...openFilesOf(pid)]
    return places.some((place) => names(place, directory)) ? (see(pid) ?? []) : []
  })

/** `/a/b` is not named by `/a/bc`. */
const names = (place: string, directory: string): boolean =>
  place
    .split(directory)
    .slice(1)
    .some((rest) => rest === '' || rest.startsWith('/') || rest.startsWith(' '))

const linkOf = (path: string): string => {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

const openFilesOf = (pid: number): string[] => {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`))
  } catch {
    return []
  }
}

/** Of plain files, through which they can be read again: `/proc/PID/fd/N`. */
export const openDescriptorsOf = (pid: number): { readonly path: string; readonly target: string }[] => {
  try {
    return readdirSync(`/proc/${pid}/fd`)
      .map((fd) => `/proc/${pid}/fd/${fd}`)
      .filter(isPlainFile)
      .map((path) => ({ path, target: linkOf(path) }))
  } catch {
    return []
  }
}

const isPlainFile = (path: string): boolean => {
  try {
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** Everything below a directory, by path from there; directories end with a slash. */
export const everythingBelow = (directory: string): string[] =>
  existsSync(directory)
    ? readdirSync(directory, { recursive: true, encoding: 'utf8' })
        .map((name) => (isDirectory(join(directory, name)) ? `${name}/` : name))
        .sort()
    : []

const isDirectory = (path: string): boolean => {
  try {
    return lstatSync(path).isDirectory()
  } catch {
    return false
  }
}

/** More of a long secret than chance would write. */
const BEGINNING_BYTES = 40

const written = (form: string, text: string) => ({ form, bytes: Buffer.from(text).toString('latin1') })

/** A password that is easy to find again and hard to write down wrongly. */
export class Canary {
  readonly secret: string
  readonly #forms: readonly { readonly form: string; readonly bytes: string }[]

  /**
   * @param salt makes it unlike every other
   * @param secret one that is odd in another way, of twelve bytes at least
   */
  constructor(salt: string, secret = `Kan'"ar\\i €${salt}`) {
    this.secret = secret
    const bytes = Buffer.from(this.secret)
    // Base64 of what stands somewhere inside other bytes has three forms: compare the middle, which is the same.
    const middle = (shift: number): string =>
      Buffer.concat([Buffer.alloc(shift), bytes])
        .toString('base64')
        .slice(shift === 0 ? 0 : 4, -4)
    this.#forms = [
      { form: 'as it is', bytes: bytes.toString('latin1') },
      // A line that was cut shows the beginning alone.
      ...(bytes.length > 2 * BEGINNING_BYTES ? [written('its beginning', this.secret.slice(0, BEGINNING_BYTES))] : []),
      { form: 'hexadecimal', bytes: bytes.toString('hex') },
      { form: 'HEXADECIMAL', bytes: bytes.toString('hex').toUpperCase() },
      { form: 'percent-encoded', bytes: encodeURIComponent(this.secret) },
      { form: 'percent-encoded as a form', bytes: encodeURIComponent(this.secret).replaceAll('%20', '+') },
      written('as JSON', JSON.stringify(this.secret).slice(1, -1)),
      written('with backslashes', this.secret.replace(/[\\"]/g, '\\$&')),
      written('quoted for SQL', this.secret.replace(/[\\"']/g, '\\$&')),
      written('with quotes doubled for SQL', this.secret.replaceAll("'", "''")),
      ...[0, 1, 2].map((shift) => ({ form: 'base64', bytes: middle(shift) })),
    ]
  }

  /** The form in which the secret stands in a text, or nothing. */
  foundIn(text: string | Buffer): string | undefined {
    const bytes = (typeof text === 'string' ? Buffer.from(text) : text).toString('latin1')
    return this.#forms.find((form) => bytes.includes(form.bytes))?.form
  }

  /** In arguments and environments of processes. @returns sentences */
  foundInProcesses(processes: readonly SeenProcess[]): string[] {
    return processes.flatMap(({ pid, command }) =>
      (['cmdline', 'environ'] as const).flatMap((which) => {
        const form = this.foundIn(Buffer.from(readable(`/proc/${pid}/${which}`), 'latin1'))
        return form === undefined ? [] : [`${which} of "${command.slice(0, 60)}" (${form})`]
      }),
    )
  }

  /**
   * In the files that processes have open, those without a name among them.
   *
   * @param isAllowed whether a descriptor, by what it leads to, may hold it
   * @returns sentences
   */
  foundInOpenFiles(processes: readonly SeenProcess[], isAllowed: (target: string) => boolean): string[] {
    return processes.flatMap(({ pid, command }) =>
      openDescriptorsOf(pid).flatMap(({ path, target }) => {
        const form = isAllowed(target) ? undefined : this.foundIn(Buffer.from(readable(path), 'latin1'))
        return form === undefined ? [] : [`${target}, open in "${command.slice(0, 60)}" (${form})`]
      }),
    )
  }

  /** In every file below a directory. @returns sentences */
  foundBelow(directory: string): string[] {
    return everythingBelow(directory).flatMap((name) => {
      if (name.endsWith('/')) return []
      const form = this.foundIn(Buffer.from(readable(join(directory, name)), 'latin1'))
      return form === undefined ? [] : [`the file ${name} (${form})`]
    })
  }
}

/** What the matrix promises: two seconds after anything, nothing of it is left. */
export const GONE_WITHIN_MS = 2000

/** Resolves when nothing is found any more, or when the time is over, with what is still there and how long it took. */
export const untilNone = async <Item>(
  find: () => readonly Item[] | Promise<readonly Item[]>,
  withinMs: number,
): Promise<{ readonly left: readonly Item[]; readonly ms: number }> => {
  const started = performance.now()
  for (;;) {
    const left = await find()
    const ms = performance.now() - started
    if (left.length === 0 || ms > withinMs) return { left, ms }
    await delay(5)
  }
}

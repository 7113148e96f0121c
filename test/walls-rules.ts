/**
 * The walls of the house: which file may import what, and what may stand in it.
 *
 * Each rule looks at one source and says what is wrong with it, in a sentence that gives the
 * reason and the way out. The rooms and their layers are described in CONTRIBUTING.md; this
 * is the list that counts.
 */

import { posix } from 'node:path'

import { blankOut, findImports, type Import, lineOf, type Source } from './walls-source.ts'

/** Every room of lib/ and its layer. The rooms of layer 0 know `errors`, and not each other. */
export const LAYERS = {
  errors: 0,
  log: 0,
  scratch: 0,
  trust: 0,
  protocol: 1,
  encodings: 1,
  archive: 1,
  flow: 1,
  engines: 2,
  history: 2,
  config: 2,
  server: 2,
  tokens: 2,
  jobs: 3,
  certificates: 3,
  agent: 4,
  client: 4,
  doctor: 4,
  cli: 5,
} as const

export type Room = keyof typeof LAYERS

interface Home {
  readonly home: RegExp
  /** The same, for people. */
  readonly where: string
  /** Why there is but one place. */
  readonly why: string
  /** Who else may name its types, because things of that type are handed to them. */
  readonly typesIn?: RegExp
}

/** The only files that may import a package. */
const HOMES: Readonly<Record<string, Home>> = {
  execa: {
    home: /^lib\/engines\/child[^/]*\.ts$/,
    where: 'lib/engines/child*.ts',
    why: 'whoever starts a program must also be able to stop it and to say how it ended, and only that file knows how',
  },
  'node:child_process': {
    home: /^lib\/engines\/child[^/]*\.ts$/,
    where: 'lib/engines/child*.ts',
    why: 'whoever starts a program must also be able to stop it and to say how it ended, and only that file knows how',
  },
  semver: {
    home: /^lib\/protocol\/version\.ts$/,
    where: 'lib/protocol/version.ts',
    why: 'which versions fit together is one decision',
  },
  pino: {
    home: /^lib\/log\//,
    where: 'lib/log',
    why: 'redaction is set up there; a logger made elsewhere would print passwords',
  },
  'pino-pretty': {
    home: /^lib\/log\//,
    where: 'lib/log',
    why: 'redaction is set up there; a logger made elsewhere would print passwords',
  },
  commander: {
    home: /^lib\/cli\//,
    where: 'lib/cli',
    why: 'everything else is used as a library as well, where there is no command line',
  },
  mariadb: {
    home: /^lib\/server\/connection[^/]*\.ts$/,
    where: 'lib/server/connection*.ts',
    why: 'every statement that is ever run against the server passes there, and is documented',
  },
  'smol-toml': {
    home: /^lib\/config\/config-file[^/]*\.ts$/,
    where: 'lib/config/config-file*.ts',
    why: 'which file is read, who may write it and where a mistake in it stands is told there once',
  },
  valibot: {
    home: /^lib\/config\/schema[^/]*\.ts$/,
    where: 'lib/config/schema*.ts',
    why: 'what an operator may decide is one list, from which file, environment, options and documents come',
  },
  'fastest-levenshtein': {
    home: /^lib\/config\/nearest-name\.ts$/,
    where: 'lib/config/nearest-name.ts',
    why: 'a mistyped name is answered in the same words everywhere',
  },
  'node:net': {
    home: /^lib\/(agent\/listener|client\/request|log\/journal-destination|engines\/child-output)[^/]*\.ts$/,
    where:
      'lib/agent/listener*.ts, lib/client/request*.ts, lib/log/journal-destination.ts and lib/engines/child-output.ts',
    why: 'everything behind those works on streams, and can be tested without a network',
    typesIn: /^lib\/(agent|client)\//,
  },
  'node:tls': {
    home: /^lib\/(agent\/secure-server|client\/request-secure)\.ts$/,
    where: 'lib/agent/secure-server.ts and lib/client/request-secure.ts',
    why: 'which versions are spoken and who is trusted is one decision on either side, and forgetting it once is enough',
    typesIn: /^lib\/(agent|client)\//,
  },
}

/** What must not stand in lib/, seen in code without comments and strings. */
const FORBIDDEN: readonly {
  readonly pattern: RegExp
  readonly what: string
  readonly why: string
  readonly except?: RegExp
}[] = [
  {
    pattern: /\bconsole\s*\./g,
    what: 'console',
    why: 'under inetd standard output is the client’s socket; throw, or use the logger that you were given',
    except: /^lib\/cli\//,
  },
  {
    pattern: /\bprocess\s*\.\s*stdout\b/g,
    what: 'process.stdout',
    why: 'under inetd standard output is the client’s socket, and nothing but the session writes to it',
    except: /^lib\/cli\//,
  },
  {
    pattern: /\.\s*pipe\s*\(/g,
    what: '.pipe(',
    why: 'it forgets errors: the other end waits for ever or looks finished; use pipeline from node:stream/promises',
  },
  {
    pattern: /\bshell\s*:\s*(?!false\b)\S/g,
    what: 'shell',
    why: 'a shell would interpret what a client has sent; give the program a list of arguments',
  },
]

/** Names that say nothing about what is inside. */
const VAGUE_NAME = /(^|[/-])(utils?|helpers?|common|misc)([-./]|$)/

/** @returns one sentence for each broken wall, beginning with `file:line` */
export const brokenWalls = (source: Source): string[] => [
  ...findImports(source).flatMap((found) => brokenImport(source, found).map((why) => at(source, found.line, why))),
  ...brokenForm(source),
]

const at = ({ path }: Source, line: number, sentence: string): string => `${path}:${line}: ${sentence}`

const brokenImport = ({ path }: Source, { specifier, isTypeOnly }: Import): string[] => {
  if (!specifier.startsWith('.')) return brokenPackage(path, specifier, isTypeOnly)
  const target = posix.join(posix.dirname(path), specifier)
  return [...brokenDoor(path, target), ...brokenLayer(path, target)]
}

/** A package is imported in its home and nowhere else. */
const brokenPackage = (path: string, specifier: string, isTypeOnly: boolean): string[] => {
  const name = /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier
  const rule = HOMES[specifier] ?? HOMES[name]
  if (rule !== undefined) {
    if (rule.home.test(path) || (isTypeOnly && rule.typesIn?.test(path))) return []
    return [`imports ${specifier}, whose only home is ${rule.where}: ${rule.why}`]
  }
  if (specifier.startsWith('node:')) return []
  return [`imports the package ${name}, which has no home yet: give it one in test/walls-rules.ts, with the reason`]
}

/** A room is entered by its index.ts. */
const brokenDoor = (path: string, target: string): string[] => {
  const [from, to] = [roomOf(path), roomOf(target)]
  if (!target.startsWith('lib/')) {
    return [`imports ${target}, which is outside of lib: what is published is lib and bin alone`]
  }
  if (path.startsWith('bin/')) {
    // Under inetd the agent starts for each connection: what must come first, and nothing of the client.
    return ['lib/cli/index.ts', 'lib/cli/client-descriptors.ts', 'lib/cli/run-agent.ts'].includes(target)
      ? []
      : [`imports ${target}: a program hands its arguments to lib/cli/index.ts and does nothing else`]
  }
  if (target === 'lib/index.ts') {
    return [`imports lib/index.ts, the door for users of the library: import the room that has what you need`]
  }
  if (from === to || target === `lib/${to}/index.ts`) return []
  return [`enters the room ${to} by ${target}: use its door, lib/${to}/index.ts, so that the rest can change freely`]
}

/** Imports point down, and the rooms of layer 1 are strangers. */
const brokenLayer = (path: string, target: string): string[] => {
  const [from, to] = [roomOf(path), roomOf(target)]
  if (from === to || !isRoom(from) || !isRoom(to)) return []
  const [own, other] = [LAYERS[from], LAYERS[to]]
  const between = `${from} (layer ${own}) imports ${to} (layer ${other})`
  if (other > own) {
    return [`${between}: imports point down only; move what is needed down, or have it passed in as an argument`]
  }
  if (own === 1 && to === 'log')
    return [`${between}: layer 1 throws and never logs; the layers above are given a logger`]
  if (own === 1 && other === 1) {
    return [`${between}: the rooms of layer 1 are strangers to each other; bring them together in jobs or above`]
  }
  if (own === 4 && other === 4 && from !== 'doctor' && to !== 'doctor') {
    return [`${between}: agent and client meet on the wire alone, as strangers would`]
  }
  if (own === other && to !== 'errors') {
    return [`${between}: rooms of one layer do not import each other; bring them together in a layer above`]
  }
  return []
}

const brokenForm = (source: Source): string[] => {
  const { path, text } = source
  const broken: string[] = []
  if (!/^(#![^\n]*\n)?\/\*\*/.test(text)) {
    broken.push(
      at(source, 1, 'does not open with a doc comment (/** … */): say what the file is for and what it never does'),
    )
  }
  if (VAGUE_NAME.test(path)) {
    broken.push(at(source, 1, 'has a name that says nothing about what is inside: name it after its one idea'))
  }
  if (!path.startsWith('lib/')) return broken
  const room = roomOf(path)
  if (path !== 'lib/index.ts' && !isRoom(room)) {
    const rooms = Object.keys(LAYERS).join(', ')
    broken.push(at(source, 1, `is in no room we know (${rooms}): a new room needs a layer in test/walls-rules.ts`))
  }
  const code = blankOut(text)
  for (const { pattern, what, why, except } of FORBIDDEN) {
    if (except?.test(path)) continue
    for (const match of code.matchAll(pattern))
      broken.push(at(source, lineOf(text, match.index), `uses ${what}: ${why}`))
  }
  return broken
}

/** `lib/protocol/version.ts` is in `protocol`; a file that lies in lib itself is in no room. */
const roomOf = (path: string): string => /^lib\/([^/]+)\//.exec(path)?.[1] ?? ''

const isRoom = (name: string): name is Room => Object.hasOwn(LAYERS, name)

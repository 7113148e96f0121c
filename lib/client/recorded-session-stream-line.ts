/**
 * The lines of a session file that say what must hold of a stream, both ways.
 *
 *     <stream encoding=uuencode block-size=10240 archive=whole engine=directory members=2 bytes=4096
 *     <member directory db
 *     <member file db/t.ibd 1024
 *     <end status=COMPLETE\n
 *
 * A size of `*` is any size. Pure. Format: `recorded-session.ts`.
 */

import { ENCODINGS } from '../encodings/index.ts'
import type { ExpectedEndLine, ExpectedMember, ExpectedStream, SessionEncoding } from './recorded-session.ts'
import { parseWireText, showText, spellWireText } from './recorded-session-text.ts'

type Fail = (problem: string) => never

const WORDS = {
  encoding: /^[a-z0-9]+$/,
  compression: /^gzip$/,
  'block-size': /^[1-9]\d{0,8}$/,
  frames: /^(?=.)P?D?E?$/,
  archive: /^(?:whole|cut)$/,
  engine: /^[a-z0-9-]{1,64}$/,
  members: /^\d{1,15}$/,
  bytes: /^\d{1,15}$/,
  sha256: /^[0-9a-f]{64}$/,
} as const

type Word = keyof typeof WORDS

/**
 * @param words what follows `<stream`
 * @param lists filled later, by the lines that follow
 */
export const parseStreamLine = (
  words: readonly string[],
  lists: Pick<ExpectedStream, 'memberList' | 'endLines'>,
  fail: Fail,
): ExpectedStream => {
  const found = new Map<Word, string>()
  for (const word of words) {
    const equals = word.indexOf('=')
    const name = word.slice(0, equals) as Word
    const value = word.slice(equals + 1)
    if (equals < 1 || !Object.hasOwn(WORDS, name)) {
      return fail(`expected ${Object.keys(WORDS).join('=, ')}= after <stream, found ${showText(word)}`)
    }
    if (found.has(name)) return fail(`${name} stands twice`)
    if (!WORDS[name].test(value)) return fail(`the value of ${name} cannot be ${showText(value)}`)
    found.set(name, value)
  }
  const encoding = found.get('encoding') ?? ''
  if (!isEncoding(encoding)) {
    return fail(`expected encoding=${[...Object.keys(ENCODINGS), 'framed'].join(' or ')} after <stream`)
  }
  if (found.has('frames') && encoding !== 'framed') return fail(`there are no frames in a stream of ${encoding}`)
  const archive = found.get('archive')
  if (archive !== 'whole' && archive !== 'cut') return fail('expected archive=whole or archive=cut after <stream')
  return {
    encoding,
    compression: found.has('compression') ? 'gzip' : undefined,
    archive,
    frames: found.get('frames'),
    blockBytes: number(found.get('block-size')),
    engine: found.get('engine'),
    members: number(found.get('members')),
    bytes: number(found.get('bytes')),
    sha256: found.get('sha256'),
    ...lists,
  }
}

/** @param text what follows `<member ` */
export const parseMemberLine = (text: string, line: number, fail: Fail): ExpectedMember => {
  const match = /^(?:(directory) (\S.*)|(file) (\S.*) (\d{1,15}|\*))$/.exec(text)
  if (match === null) {
    return fail(`expected "<member directory PATH" or "<member file PATH SIZE", found ${showText(text)}`)
  }
  const [, directory, directoryPath, , filePath, size] = match
  const wire = parseWireText(directory === undefined ? (filePath ?? '') : (directoryPath ?? ''), fail)
  const [bytes] = wire
  if (wire.length !== 1 || !Buffer.isBuffer(bytes)) return fail('expected no placeholder in the path of a member')
  const path = bytes.toString('utf8')
  if (directory !== undefined) return { line, type: 'directory', path }
  return { line, type: 'file', path, sizeBytes: size === '*' ? undefined : number(size) }
}

/** @returns the lines, without a newline at the end */
export const spellStream = (stream: ExpectedStream): string[] => {
  const words: [Word, string | number | undefined][] = [
    ['encoding', stream.encoding],
    ['compression', stream.compression],
    ['block-size', stream.blockBytes],
    ['frames', stream.frames],
    ['archive', stream.archive],
    ['engine', stream.engine],
    ['members', stream.members],
    ['bytes', stream.bytes],
    ['sha256', stream.sha256],
  ]
  const said = words.filter(([, value]) => value !== undefined).map(([name, value]) => `${name}=${value}`)
  return [`<stream ${said.join(' ')}`, ...stream.memberList.map(spellMember), ...stream.endLines.map(spellEndLine)]
}

const spellEndLine = ({ text }: ExpectedEndLine): string => `<end ${spellWireText(text)}`

const spellMember = ({ type, path, sizeBytes }: ExpectedMember): string => {
  const spelled = spellWireText([Buffer.from(path)])
  return type === 'directory' ? `<member directory ${spelled}` : `<member file ${spelled} ${sizeBytes ?? '*'}`
}

const isEncoding = (text: string): text is SessionEncoding => text === 'framed' || Object.hasOwn(ENCODINGS, text)

const number = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text))

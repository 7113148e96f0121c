/**
 * The one rule for names inside a backup: relative, plain, and going down only.
 *
 * Every name that comes in through an xbstream, a directory or a tar passes here
 * before anything is done with it. A name that would mean one thing to us and
 * another to the tar program that unpacks it is refused, never repaired; the one
 * repair is a leading `./`, which backup programs write and which means nothing.
 *
 * Pure: never looks at a file system. Source of the rule: SECURITY.md, "Names".
 */

import { BackupError } from '../errors/index.ts'

/** Linux's NAME_MAX: a longer component cannot be created anywhere a backup is unpacked. */
export const MAX_COMPONENT_BYTES = 255

/** Linux's PATH_MAX is 4096 with the terminating NUL. */
export const MAX_PATH_BYTES = 4095

/** A data directory is three deep. Each directory of a name costs whoever unpacks it more than the bytes that name it. */
export const MAX_COMPONENTS = 64

/** C0, DEL and C1: bytes that a terminal or a log would obey. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

/**
 * What nearly all names look like, and none of the rules below says no to: components of ordinary characters that do not
 * begin with a dot, so few characters that no limit is near.
 */
const USUAL = /^[\w#@$][\w#@$.-]*(?:\/[\w#@$][\w#@$.-]*)*$/
/** The most that cannot have more than `MAX_COMPONENTS`: each but the last takes two characters. */
export const MAX_USUAL_LENGTH = 2 * MAX_COMPONENTS - 1

/** What a byte may be in a usual name: for who reads names byte by byte. */
export const UsualByte = Object.freeze({ none: 0, first: 1, later: 2, slash: 3 })
/** Of each byte: the same as `USUAL` says of characters. */
export const USUAL_BYTES: Readonly<Uint8Array> = Uint8Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte)
  if (byte > 0x7f) return UsualByte.none
  if (character === '/') return UsualByte.slash
  if (USUAL.test(character)) return UsualByte.first
  return USUAL.test(`a${character}`) ? UsualByte.later : UsualByte.none
})

/** What a decoder leaves behind where the bytes were no UTF-8: the name is not the one on disk any more. */
const REPLACEMENT = '\ufffd'
const LONE_SURROGATE = /\p{Surrogate}/u

/** Whether a name is a plain relative path at first sight; it is ASCII then. Of others `checkSafePath` knows. */
export const isUsualPath = (path: string): boolean => path.length <= MAX_USUAL_LENGTH && USUAL.test(path)

/**
 * Refuses a name that is not a plain relative path.
 *
 * Shape: 1 to 64 components of 1 to 255 bytes, none of them `.` or `..`, joined by single `/`; together at most 4095
 * bytes of UTF-8; no control characters, no backslash, nothing that was not UTF-8. A leading `./` is dropped. A directory
 * is named without a slash at its end.
 *
 * @returns the path as it may be used
 * @throws BackupError `ARCHIVE_PATH_UNSAFE`, its message showing the name with odd characters escaped
 */
export const checkSafePath = (path: string): string => {
  if (isUsualPath(path)) return path
  const plain = path.startsWith('./') ? path.slice(2) : path
  const reason = whyUnsafe(plain)
  if (reason !== undefined) {
    throw new BackupError('ARCHIVE_PATH_UNSAFE', `expected a plain relative path, found ${showPath(path)}: ${reason}`, {
      path: showPath(path),
    })
  }
  return plain
}

/** A name as a message may show it: quoted, odd characters escaped, cut after 200 characters. */
export const showPath = (path: string): string => {
  const shown = JSON.stringify(path.slice(0, 200)).replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return path.length > 200 ? `${shown}…` : shown
}

const whyUnsafe = (path: string): string | undefined => {
  if (path === '') return 'it is empty'
  if (path.startsWith('/')) return 'it is absolute'
  if (CONTROL.test(path)) return 'it holds a control character'
  if (path.includes('\\')) return 'it holds a backslash'
  if (path.includes(REPLACEMENT) || LONE_SURROGATE.test(path)) return 'it is not valid UTF-8'
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `it is longer than ${MAX_PATH_BYTES} bytes`
  const components = path.split('/')
  if (components.length > MAX_COMPONENTS) return `it is more than ${MAX_COMPONENTS} components deep`
  for (const component of components) {
    if (component === '') return 'it holds an empty component'
    if (component === '.') return 'it holds the component "."'
    if (component === '..') return 'it climbs with ".."'
    if (Buffer.byteLength(component) > MAX_COMPONENT_BYTES) {
      return `it holds a component longer than ${MAX_COMPONENT_BYTES} bytes`
    }
  }
  return undefined
}

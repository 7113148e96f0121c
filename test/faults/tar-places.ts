/**
 * Where in a tar a byte is, in the words of PROTOCOL.md, "What a cut stream looks like", and
 * which programs may take an archive for whole that stops there.
 *
 * Written from POSIX ustar and that table, not from our reader: what is to be checked is
 * whether the table is true.
 */

import type { SweptProgram } from '../archive/cut-sweep.ts'

const BLOCK = 512

/** A row of the table. */
export type Place =
  | 'before its first byte'
  | 'inside its first header'
  | 'inside the body of a member'
  | 'inside the body of a pax header'
  | 'exactly behind a member'
  | 'inside the header behind a member'
  | 'exactly behind the header of an empty member'
  | 'exactly behind the body of a global pax header'
  | 'inside the header behind a global pax header'
  | 'behind a member’s pax header'
  | 'exactly behind the header of a member that has a body'
  | 'exactly behind the header of a pax header'
  | 'inside the first zero block'
  | 'behind the first zero block'
  | 'whole'

/** The table: who may accept an archive that stops there. Whole archives must be accepted by all. */
export const MAY_ACCEPT: Readonly<Record<Place, readonly SweptProgram[]>> = {
  'before its first byte': ['bsdtar'],
  'inside its first header': [],
  'inside the body of a member': [],
  // "refused; 3.13 accepts some"
  'inside the body of a pax header': ["Python's tarfile"],
  'exactly behind a member': ['GNU tar', 'bsdtar', "Python's tarfile"],
  'inside the header behind a member': ['GNU tar', "Python's tarfile"],
  'exactly behind the header of an empty member': ['GNU tar', 'bsdtar', "Python's tarfile"],
  'exactly behind the body of a global pax header': ['GNU tar', 'bsdtar'],
  'inside the header behind a global pax header': ['GNU tar'],
  'behind a member’s pax header': ['GNU tar'],
  'exactly behind the header of a member that has a body': [],
  'exactly behind the header of a pax header': [],
  'inside the first zero block': ['GNU tar', "Python's tarfile"],
  'behind the first zero block': ['GNU tar', 'bsdtar', "Python's tarfile"],
  whole: ['GNU tar', 'bsdtar', "Python's tarfile"],
}

/** What stands in front of a header. */
type Before = 'nothing' | 'member' | 'pax' | 'global pax'

/**
 * @param archive whole: two zero blocks at its end
 * @returns for each length from 0 to that of the archive, the place where it would stop
 */
export const placesOf = (archive: Buffer): readonly Place[] => {
  const places: Place[] = []
  let before: Before = 'nothing'
  let at = 0
  const fill = (to: number, place: Place): void => {
    for (; places.length < to; ) places.push(place)
  }
  while (!isZero(archive.subarray(at, at + BLOCK))) {
    const [typeflag, sizeBytes] = readHeader(archive.subarray(at, at + BLOCK))
    const isPax = typeflag === 'x' || typeflag === 'g'
    fill(at + 1, behind(before))
    fill(at + BLOCK, inHeader(before))
    const bodyEnd = at + BLOCK + Math.ceil(sizeBytes / BLOCK) * BLOCK
    if (sizeBytes > 0) {
      fill(
        at + BLOCK + 1,
        isPax ? 'exactly behind the header of a pax header' : 'exactly behind the header of a member that has a body',
      )
      fill(bodyEnd, isPax ? 'inside the body of a pax header' : 'inside the body of a member')
      before = typeflag === 'x' ? 'pax' : typeflag === 'g' ? 'global pax' : 'member'
    } else {
      fill(at + BLOCK + 1, 'exactly behind the header of an empty member')
      before = 'member'
    }
    at = bodyEnd
  }
  fill(at + 1, behind(before))
  fill(at + BLOCK, 'inside the first zero block')
  fill(at + 2 * BLOCK, 'behind the first zero block')
  fill(archive.length + 1, 'whole')
  return places
}

const behind = (before: Before): Place =>
  before === 'nothing'
    ? 'before its first byte'
    : before === 'member'
      ? 'exactly behind a member'
      : before === 'global pax'
        ? 'exactly behind the body of a global pax header'
        : 'behind a member’s pax header'

const inHeader = (before: Before): Place =>
  before === 'nothing'
    ? 'inside its first header'
    : before === 'member'
      ? 'inside the header behind a member'
      : before === 'global pax'
        ? 'inside the header behind a global pax header'
        : 'behind a member’s pax header'

const isZero = (block: Buffer): boolean => block.every((byte) => byte === 0)

/** Type and size; sizes beyond octal are not for small archives. */
const readHeader = (block: Buffer): [typeflag: string, sizeBytes: number] => {
  const size = Number.parseInt(block.toString('latin1', 124, 136), 8)
  const typeflag = block.toString('latin1', 156, 157)
  if (Number.isNaN(size)) throw new Error('this archive is not one of the small ones')
  // A directory has no body, whatever its size says.
  return [typeflag, typeflag === '5' ? 0 : size]
}

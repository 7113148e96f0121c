/** An archive unpacked into an empty directory: whatever is in it, nothing outside of that may exist or change. */

import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { extractTar } from '../../../lib/archive/index.ts'
import { wholeBackup } from '../../archive/tar-forge.ts'
import { type Target, whole } from '../target.ts'
import { anyTar, mendTar, TAR_WORDS } from './archive-forge.ts'

const SENTINEL = 'nobody changes this'

let home = ''

/** home/ sentinel · around/ sentinel · around/target/ — every climbing name of the dictionary ends in one of them. */
const around = (): string => join(home, 'around')
const target = (): string => join(around(), 'target')

/** Looked at after each archive; anything but this means that something was written elsewhere. */
const mustBeUntouched = (): void => {
  const isAsMade =
    readdirSync(home).sort().join() === 'around,sentinel' &&
    readdirSync(around()).sort().join() === 'sentinel,target' &&
    [home, around()].every((path) => readFileSync(join(path, 'sentinel'), 'utf8') === SENTINEL)
  if (!isAsMade) throw new Error('something outside of the target was made, changed or removed')
}

/** @returns how many files and directories there are */
const mustBePlain = (): number => {
  const names = readdirSync(target(), { recursive: true, encoding: 'utf8' })
  for (const name of names) {
    const found = lstatSync(join(target(), name))
    if (!found.isFile() && !found.isDirectory()) throw new Error(`made ${JSON.stringify(name)}, which is no file`)
    if (found.isFile() && found.nlink !== 1) throw new Error(`made ${JSON.stringify(name)} with more than one name`)
    if ((found.mode & 0o7000) !== 0) throw new Error(`made ${JSON.stringify(name)} with a special bit`)
  }
  return names.length
}

export const EXTRACTION: Target = {
  name: 'extraction',
  side: 'client',
  does: 'an archive unpacked into an empty directory, and everything around it looked at afterwards',
  inputs: 4000,
  quickInputs: 50,
  maxInputBytes: 60_000,
  dictionary: TAR_WORDS,
  isPiecewise: false,
  seeds: () => [wholeBackup()],
  compose: anyTar,
  mend: mendTar,
  open: async () => {
    home = realpathSync(mkdtempSync(join(tmpdir(), 'fuzz-extraction-')))
    mkdirSync(around())
    for (const path of [home, around()]) writeFileSync(join(path, 'sentinel'), SENTINEL)
  },
  close: async () => rmSync(home, { recursive: true }),
  feed: async (chunks, trace) => {
    const bytes = whole(chunks)
    mkdirSync(target())
    try {
      const facts = await extractTar(inTwo(bytes), target())
      trace.say(`${facts.members} members, ${facts.contentBytes} bytes`)
      return 'unpacked'
    } finally {
      mustBePlain()
      mustBeUntouched()
      rmSync(target(), { recursive: true })
    }
  },
}

async function* inTwo(bytes: Buffer): AsyncGenerator<Buffer> {
  const half = bytes.length >> 1
  yield bytes.subarray(0, half)
  yield bytes.subarray(half)
}

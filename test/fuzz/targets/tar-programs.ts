/** What we accept, unpacked by GNU tar and bsdtar as well: all three must make the same tree of it. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'

import { ArchiveProof, extractTar } from '../../../lib/archive/index.ts'
import { readTree } from '../../archive/file-trees.ts'
import { metadataMembers, wholeBackup } from '../../archive/tar-forge.ts'
import { run, TAR_PROGRAMS } from '../../archive/tar-programs.ts'
import { type Target, whole } from '../target.ts'
import { anyTar, mendTar, TAR_WORDS } from './archive-forge.ts'

const OTHERS = ['GNU tar', 'bsdtar'] as const

let home = ''

export const TAR_AND_OTHERS: Target = {
  name: 'tar-programs',
  side: 'client',
  does: 'archives that are accepted: GNU tar and bsdtar must unpack the same from them',
  inputs: 1500,
  quickInputs: 40,
  maxInputBytes: 60_000,
  dictionary: TAR_WORDS,
  isPiecewise: false,
  seeds: () => [wholeBackup()],
  // Most of what is wrong with an archive has nothing to do with how others read it: so the rest is made right.
  compose: (random) => Buffer.concat([anyTar(random, 'plain'), ...metadataMembers(), Buffer.alloc(1024)]),
  mend: mendTar,
  open: async () => {
    home = mkdtempSync(join(tmpdir(), 'fuzz-tar-programs-'))
  },
  close: async () => rmSync(home, { recursive: true }),
  feed: async (chunks, trace) => {
    const bytes = whole(chunks)
    const proof = new ArchiveProof()
    proof.push(bytes)
    trace.say(String(proof.finish().members))
    const ours = newDirectory('ours')
    try {
      await extractTar(once(bytes), ours)
      const tree = readTree(ours)
      for (const name of OTHERS) mustAgree(name, bytes, tree)
      return 'unpacked alike'
    } finally {
      rmSync(ours, { recursive: true })
    }
  },
}

const mustAgree = (name: (typeof OTHERS)[number], bytes: Buffer, ours: ReadonlyMap<string, string>): void => {
  const directory = newDirectory('others')
  try {
    const { status, stderr } = run(TAR_PROGRAMS[name]?.(directory) ?? [], bytes)
    if (status !== 0) throw new Error(`${name} refuses what we accept: ${stderr.slice(0, 300)}`)
    const theirs = readTree(directory)
    if (!isDeepStrictEqual(theirs, ours)) {
      throw new Error(
        `${name} unpacks something else: ${JSON.stringify([...theirs])} instead of ${JSON.stringify([...ours])}`,
      )
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const newDirectory = (name: string): string => {
  const path = join(home, name)
  mkdirSync(path)
  return path
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

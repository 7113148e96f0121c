/** The same archive, unpacked by three programs that share no code, and compared file by file. */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'

import { mustRun } from '../rig/run-program.ts'
import { DemoFailure } from './story.ts'

interface Unpacker {
  readonly name: string
  readonly program: string
  options(file: string, directory: string): string[]
}

const PYTHON = 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])'

export const GNU_TAR: Unpacker = {
  name: 'GNU tar',
  program: 'tar',
  options: (file, directory) => ['-xf', file, '-C', directory],
}

export const OTHERS: readonly Unpacker[] = [
  { name: 'bsdtar', program: 'bsdtar', options: (file, directory) => ['-xf', file, '-C', directory] },
  { name: `Python's tarfile`, program: 'python3', options: (file, directory) => ['-c', PYTHON, file, directory] },
]

/** Unpacks into a new directory. */
export const unpack = async (
  { program, options }: Unpacker,
  file: string,
  directory: string,
  signal: AbortSignal,
): Promise<void> => {
  await mkdir(directory)
  await mustRun(program, options(file, directory), { signal })
}

/** What a directory holds: for each file its size and digest, for each directory that it is one. */
export type Tree = ReadonlyMap<string, string>

export const readTree = async (directory: string): Promise<Tree> => {
  const tree = new Map<string, string>()
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name)
    tree.set(relative(directory, path), entry.isDirectory() ? 'directory' : await describeFile(path))
  }
  return tree
}

const describeFile = async (path: string): Promise<string> => {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Buffer)
  return `${(await stat(path)).size} bytes, sha256 ${hash.digest('hex')}`
}

/** @throws DemoFailure naming the first difference */
export const compareTrees = (expected: Tree, found: Tree, name: string): void => {
  for (const path of new Set([...expected.keys(), ...found.keys()])) {
    if (expected.get(path) === found.get(path)) continue
    throw new DemoFailure(
      `${name} unpacked ${path} as ${found.get(path) ?? 'nothing'}, GNU tar as ${expected.get(path)}`,
    )
  }
}

/** Unpacks with the other programs, one after the other, and compares with what GNU tar made. */
export const compareUnpackers = async (
  expected: Tree,
  file: string,
  scratch: string,
  signal: AbortSignal,
): Promise<void> => {
  for (const unpacker of OTHERS) {
    const directory = join(scratch, 'tree of another program')
    await unpack(unpacker, file, directory, signal)
    compareTrees(expected, await readTree(directory), unpacker.name)
    await rm(directory, { recursive: true }) // three trees at once would be a lot of disk
  }
}

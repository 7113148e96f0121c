/** Unpacks the first N bytes of an archive, for thousands of N, with other people's tar. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { makeScratch } from './file-trees.ts'
import { PIPED_CUTS } from './piped-cuts.ts'
import { run } from './tar-programs.ts'

export type SweptProgram = 'GNU tar' | 'bsdtar' | "Python's tarfile"

const DRIVER = `${PIPED_CUTS}
import io, json, sys, tarfile, tempfile, threading
from concurrent.futures import ThreadPoolExecutor

directory, orders = sys.argv[1], json.load(open(sys.argv[2]))
data = open(sys.argv[3], 'rb').read()
filtered = {'filter': 'fully_trusted'} if hasattr(tarfile, 'fully_trusted_filter') else {}

# Each worker unpacks into a directory of its own: two programs in one take each other's files away, and fail by it.
place = threading.local()
def own_directory(): place.path = tempfile.mkdtemp(dir=directory)
def into(): return ['-C', place.path]

def python(cut):
    try:
        with tarfile.open(fileobj=io.BytesIO(data[:cut]), mode='r|') as archive:
            archive.extractall(place.path, **filtered)
        return 0
    except (tarfile.TarError, EOFError):
        return 1

programs = {
    'GNU tar': piped(['tar', '-x', '-f', '-'], data, into),
    'bsdtar': piped(['bsdtar', '-x', '-f', '-'], data, into),
    "Python's tarfile": python,
}
with ThreadPoolExecutor(2, initializer=own_directory) as pool:
    print(json.dumps({name: list(pool.map(programs[name], cuts)) for name, cuts in orders.items()}))
`

/**
 * @param orders for each program, the lengths to cut the archive to
 * @returns the exit statuses, in the same order
 */
export const sweepCuts = (
  archive: Buffer,
  orders: Readonly<Partial<Record<SweptProgram, readonly number[]>>>,
): Partial<Record<SweptProgram, readonly number[]>> => {
  const scratch = makeScratch()
  try {
    const ordersFile = join(scratch.directory, 'orders.json')
    const archiveFile = join(scratch.directory, 'archive.tar')
    writeFileSync(ordersFile, JSON.stringify(orders))
    writeFileSync(archiveFile, archive)
    const { status, stdout, stderr } = run(['python3', '-c', DRIVER, scratch.directory, ordersFile, archiveFile])
    if (status !== 0) throw new Error(`the sweep itself failed: ${stderr}`)
    return JSON.parse(stdout) as Partial<Record<SweptProgram, readonly number[]>>
  } finally {
    scratch.remove()
  }
}

/**
 * Unpacks the first N bytes of an archive, for thousands of N, with other people's tar.
 *
 * One Python process drives them all: starting a program from here costs several times as much. The archive must fit
 * into a pipe, so that nobody has to write while the program reads.
 */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { makeScratch } from './file-trees.ts'
import { run } from './tar-programs.ts'

export type SweptProgram = 'GNU tar' | 'bsdtar' | "Python's tarfile"

const DRIVER = `
import fcntl, io, json, os, sys, tarfile
from concurrent.futures import ThreadPoolExecutor

directory, orders = sys.argv[1], json.load(open(sys.argv[2]))
data = open(sys.argv[3], 'rb').read()
filtered = {'filter': 'fully_trusted'} if hasattr(tarfile, 'fully_trusted_filter') else {}
null = os.open('/dev/null', os.O_RDWR)
F_SETPIPE_SZ = 1031

def spawned(argv):
    def run(cut):
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(write_end, F_SETPIPE_SZ, 1 << 20)
        if cut: assert os.write(write_end, data[:cut]) == cut
        os.close(write_end)
        files = [(os.POSIX_SPAWN_DUP2, fd, to) for fd, to in ((read_end, 0), (null, 1), (null, 2))]
        pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=files)
        os.close(read_end)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return run

def python(cut):
    try:
        with tarfile.open(fileobj=io.BytesIO(data[:cut]), mode='r|') as archive:
            archive.extractall(directory, **filtered)
        return 0
    except (tarfile.TarError, EOFError):
        return 1

programs = {
    'GNU tar': spawned(['tar', '-x', '-f', '-', '-C', directory]),
    'bsdtar': spawned(['bsdtar', '-x', '-f', '-', '-C', directory]),
    "Python's tarfile": python,
}
with ThreadPoolExecutor(2) as pool:
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

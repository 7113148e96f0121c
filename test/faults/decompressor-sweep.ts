/**
 * Hands the first N bytes of a compressed stream, for thousands of N, to the program that decompresses it.
 *
 * One Python process drives it, as in `../archive/cut-sweep.ts`, and for the same reasons. The stream must fit into a pipe.
 */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { mustRun } from '../rig/run-program.ts'

const DRIVER = `
import fcntl, json, os, sys
from concurrent.futures import ThreadPoolExecutor

argv, cuts = json.loads(sys.argv[1]), json.load(open(sys.argv[2]))
data = open(sys.argv[3], 'rb').read()
null = os.open('/dev/null', os.O_RDWR)
F_SETPIPE_SZ = 1031

def run(cut):
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    fcntl.fcntl(write_end, F_SETPIPE_SZ, 1 << 20)
    if cut: assert os.write(write_end, data[:cut]) == cut
    os.close(write_end)
    files = [(os.POSIX_SPAWN_DUP2, fd, to) for fd, to in ((read_end, 0), (null, 1), (null, 2))]
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=files)
    os.close(read_end)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

with ThreadPoolExecutor(2) as pool:
    print(json.dumps(list(pool.map(run, cuts))))
`

/** @returns its exit status for each of the lengths, in the same order */
export const sweepDecompressor = async (
  words: readonly string[],
  compressed: Buffer,
  lengths: readonly number[],
  scratch: string,
): Promise<readonly number[]> => {
  const [ordersFile, file] = [join(scratch, 'lengths.json'), join(scratch, 'compressed')]
  writeFileSync(ordersFile, JSON.stringify(lengths))
  writeFileSync(file, compressed)
  const { stdout } = await mustRun('python3', ['-c', DRIVER, JSON.stringify(words), ordersFile, file])
  return JSON.parse(stdout.toString()) as number[]
}

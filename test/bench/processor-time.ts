/**
 * What a program costs: the processor time of it and its children, whatever else the machine does.
 *
 * Asked of the system by Python, because Node does not tell of its children. A program reads a file in memory and
 * writes to nowhere, so that no pipe and no neighbour is in the figure.
 */

import { mustRun } from '../rig/run-program.ts'

const SCRIPT = `
import resource, subprocess, sys
with open(sys.argv[1], 'rb') as source, open(sys.argv[2], 'wb') as sink:
    subprocess.run(sys.argv[3:], stdin=source, stdout=sink, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)
`

/** @returns seconds */
export const processorSeconds = async (
  command: readonly [string, ...string[]],
  { input, output = '/dev/null' }: { input: string; output?: string },
): Promise<number> => {
  const { stdout } = await mustRun('python3', ['-c', SCRIPT, input, output, ...command])
  return Number(stdout.toString())
}

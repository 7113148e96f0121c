/**
 * The tar programs of other people, which have the last word on what a tar is.
 */

import { spawnSync } from 'node:child_process'

const PYTHON_EXTRACT = `
import sys, tarfile
with tarfile.open(fileobj=sys.stdin.buffer, mode='r|') as archive:
    # Python 3.12 and later want to hear that nothing is to be left out or changed.
    filtered = {'filter': 'fully_trusted'} if hasattr(tarfile, 'fully_trusted_filter') else {}
    archive.extractall(sys.argv[1], **filtered)
`

/** Program and arguments that extract standard input into a directory. */
export const TAR_PROGRAMS: Readonly<Record<string, (directory: string) => string[]>> = {
  'GNU tar': (directory) => ['tar', '-x', '-f', '-', '-C', directory],
  bsdtar: (directory) => ['bsdtar', '-x', '-f', '-', '-C', directory],
  "Python's tarfile": (directory) => ['python3', '-c', PYTHON_EXTRACT, directory],
}

export interface Ran {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end, in a locale that knows UTF-8. */
export const run = ([program = '', ...args]: readonly string[], input: Buffer = Buffer.alloc(0)): Ran => {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    input,
    env: { ...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC' },
    maxBuffer: 2 ** 30,
  })
  if (error !== undefined && (error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
  return { status, stdout: stdout.toString(), stderr: stderr.toString() }
}

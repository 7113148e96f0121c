/** Hands the first N bytes of a compressed stream, for thousands of N, to the program that decompresses it. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { PIPED_CUTS } from '../archive/piped-cuts.ts'
import { mustRun } from '../rig/run-program.ts'

const DRIVER = `${PIPED_CUTS}
import json, sys
from concurrent.futures import ThreadPoolExecutor

argv, cuts = json.loads(sys.argv[1]), json.load(open(sys.argv[2]))
data = open(sys.argv[3], 'rb').read()
with ThreadPoolExecutor(2) as pool:
    print(json.dumps(list(pool.map(piped(argv, data), cuts))))
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

/**
 * A program that opens a scratch file, says what the kernel calls it, and waits to be killed.
 *
 *     node scratch-process.js DIR
 */

import { readdirSync, readlinkSync, writeSync } from 'node:fs'

import { ScratchDirectory } from '../../lib/scratch/index.ts'

const [directory = ''] = process.argv.slice(2)

await new ScratchDirectory({ directory }).open()
const links = readdirSync('/proc/self/fd').flatMap((fd) => {
  try {
    return [readlinkSync(`/proc/self/fd/${fd}`)]
  } catch {
    return [] // the descriptor with which /proc was read
  }
})
// At once and not by way of a buffer: what was told has happened, even when SIGKILL is next.
writeSync(1, `open ${links.filter((link) => link.startsWith(directory)).join(' ')}\n`)
process.stdin.resume()

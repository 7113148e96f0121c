/**
 * A program of Node that forwards the output of another one to a client: what Node, pipes and loopback allow here.
 *
 *     node bare-forwarder.js blind|summing PROGRAM [ARGUMENT …]      says the port on its standard output, serves one client, ends
 *
 * It reads in pieces of up to 256 KiB into buffers that it uses again, as nothing can that has to keep what it has read.
 * `blind` looks at nothing. `summing` makes the CRC32 and, beside, the SHA-256 of all, the two sums that an agent cannot do
 * without, and does nothing else of an agent's work.
 */

import { spawn } from 'node:child_process'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { once } from 'node:events'
import { crc32 } from 'node:zlib'

import { SideDigest } from '../../lib/flow/index.ts'
import { makeMemoryDirectory } from './memory-directory.ts'

const READ_BYTES = 256 * 1024

interface Onlooker {
  /** @returns what is to be waited for */
  look(piece: Buffer): Promise<void> | undefined
  end(): Promise<unknown>
}

const BLIND: Onlooker = { look: () => undefined, end: () => Promise.resolve() }

const summing = (): Onlooker => {
  const digest = new SideDigest()
  let sum = 0
  return {
    look: (piece) => {
      sum = crc32(piece, sum)
      return digest.update(piece)
    },
    end: () => digest.finish(),
  }
}

const forward = async (
  client: Socket,
  onlooker: Onlooker,
  program: string,
  words: readonly string[],
): Promise<void> => {
  const { path: directory, remove } = makeMemoryDirectory()
  const pair = createServer({ pauseOnConnect: true }).listen(join(directory, 'pair'))
  const free: Buffer[] = []
  const accepted = once(pair, 'connection') as Promise<[Socket]>
  const source = connect({
    path: join(directory, 'pair'),
    onread: {
      buffer: () => free.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (bytes, buffer) => {
        const piece = buffer.subarray(0, bytes) as Buffer
        const looked = onlooker.look(piece)
        const hasRoom = client.write(piece, () => free.push(buffer as Buffer))
        if (hasRoom && looked === undefined) return true
        void Promise.all([looked, hasRoom || once(client, 'drain')]).then(() => source.resume())
        return false
      },
    },
  })
  const [theirs] = await accepted
  pair.close()
  spawn(program, words, { stdio: ['ignore', theirs, 'ignore'] })
  theirs.destroy()
  await once(source, 'end')
  await onlooker.end()
  client.end()
  await remove()
}

const [way, program = '', ...words] = process.argv.slice(2)
const onlooker = way === 'summing' ? summing() : BLIND
const server = createServer((client) => {
  server.close()
  void forward(client, onlooker, program, words)
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
